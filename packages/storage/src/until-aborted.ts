/** The chunks of `body`; an abort rejects at once, also while the next chunk is awaited. */
export async function* untilAborted(
  body: AsyncIterable<Uint8Array>,
  signal: AbortSignal | undefined,
): AsyncIterable<Uint8Array> {
  if (signal === undefined) return yield* body;
  let onAbort = () => {};
  const aborted = new Promise<never>((_resolve, reject) => {
    onAbort = () => reject(signal.reason);
  });
  // An abort while no chunk is awaited is seen by the next race; until then nobody else looks at this promise.
  aborted.catch(() => undefined);
  signal.addEventListener('abort', onAbort);
  const iterator = body[Symbol.asyncIterator]();
  try {
    signal.throwIfAborted();
    for (;;) {
      const next = await Promise.race([iterator.next(), aborted]);
      if (next.done) return;
      yield next.value;
    }
  } finally {
    signal.removeEventListener('abort', onAbort);
    // Not awaited: a body that hangs would hold the abort up; its own failure belongs to nobody any more.
    if (signal.aborted) void iterator.return?.().then(undefined, () => undefined);
  }
}
