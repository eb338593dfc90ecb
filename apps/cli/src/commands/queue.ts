import { type Context, clientOf, type ServerOptions } from '../context.js';
import { EXIT } from '../exit-codes.js';
import { formatAge } from '../output/format.js';
import { formatTable } from '../output/table.js';

export async function queue(
  context: Context,
  options: ServerOptions & { pool?: string; limit: number },
): Promise<number> {
  const { terminal, signal } = context;
  const { pool, limit } = options;
  const client = await clientOf(context, options);
  const page = await client.queue({ limit, ...(pool === undefined ? {} : { pool }) }, { signal });
  for (const { jobId } of page.items) terminal.id(jobId);
  if (options.json === true) terminal.out(JSON.stringify(page));
  else if (page.items.length === 0) terminal.out('no jobs wait');
  else {
    const rows = page.items.map((job) => [
      String(job.position),
      job.jobId,
      job.name,
      job.pool,
      String(job.priority),
      formatAge(job.createdAt),
      job.why,
    ]);
    for (const line of formatTable(['PLACE', 'JOB', 'NAME', 'POOL', 'PRIORITY', 'AGE', 'WAITS FOR'], rows))
      terminal.out(line);
    if (page.nextCursor !== null) terminal.out(`the first ${page.items.length}; --limit shows more`);
  }
  return EXIT.ok;
}
