// A rank that reports metrics as fast as it may: so many steps of so many values.
process.on('message', (message) => {
  if (message.type !== 'start') return;
  const { steps, names } = message.start.spec;
  let step = 0;
  const more = () => {
    for (let i = 0; i < 200 && step < steps; i++) {
      step++;
      const values = Object.fromEntries(names.map((name, k) => [name, Math.sin(step + k)]));
      process.send({ type: 'metrics', step, at: Date.now(), values });
    }
    if (step < steps) setImmediate(more);
    else process.send({ type: 'stopped' }, () => process.exit(0));
  };
  more();
});
process.send({ type: 'ready' });
