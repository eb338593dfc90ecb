import { type Context, clientOf, type ServerOptions } from '../context.js';
import { EXIT } from '../exit-codes.js';
import { formatAge } from '../output/format.js';
import { formatTable } from '../output/table.js';

export async function nodes(context: Context, options: ServerOptions): Promise<number> {
  const { terminal, signal } = context;
  const found = await (await clientOf(context, options)).nodes({ signal });
  for (const { name } of found) terminal.id(name);
  if (options.json === true) terminal.out(JSON.stringify({ items: found }));
  else if (found.length === 0) terminal.out('no nodes: start a worker');
  else {
    const rows = found.map((node) => [
      node.name,
      node.state,
      node.pool,
      `${node.slots.filter((slot) => slot.busy).length}/${node.slots.length}`,
      node.engines.join(', '),
      node.host,
      formatAge(node.registeredAt),
    ]);
    for (const line of formatTable(['NODE', 'STATE', 'POOL', 'BUSY', 'ENGINES', 'HOST', 'AGE'], rows))
      terminal.out(line);
  }
  return EXIT.ok;
}

export async function drain(
  context: Context,
  name: string,
  options: ServerOptions & { evict?: boolean },
): Promise<number> {
  const client = await clientOf(context, options);
  const node = await client.drain(name, { evict: options.evict === true, signal: context.signal });
  const busy = node.slots.filter((slot) => slot.jobId !== null).length;
  if (options.json === true) context.terminal.out(JSON.stringify(node));
  else context.terminal.out(`${node.name} is drained; ${busy} of its ${node.slots.length} slots are busy still`);
  return EXIT.ok;
}

export async function undrain(context: Context, name: string, options: ServerOptions): Promise<number> {
  const node = await (await clientOf(context, options)).undrain(name, { signal: context.signal });
  context.terminal.out(options.json === true ? JSON.stringify(node) : `${node.name} ${node.state}`);
  return EXIT.ok;
}
