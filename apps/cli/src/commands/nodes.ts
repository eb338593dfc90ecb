import { type Context, clientOf, type ServerOptions } from '../context.js';
import { EXIT } from '../exit-codes.js';
import { formatAge } from '../output/format.js';
import { formatTable } from '../output/table.js';

export async function nodes(context: Context, options: ServerOptions): Promise<number> {
  const { terminal, signal } = context;
  const found = await (await clientOf(context, options)).nodes({ signal });
  if (options.json === true) terminal.out(JSON.stringify({ items: found }));
  else if (found.length === 0) terminal.out('no nodes: start a worker');
  else {
    const rows = found.map((node) => [
      node.name,
      node.state,
      node.pool,
      `${node.slots.filter((slot) => slot.jobId !== null).length}/${node.slots.length}`,
      node.engines.join(', '),
      node.host,
      formatAge(node.registeredAt),
    ]);
    for (const line of formatTable(['NODE', 'STATE', 'POOL', 'BUSY', 'ENGINES', 'HOST', 'AGE'], rows))
      terminal.out(line);
  }
  return EXIT.ok;
}
