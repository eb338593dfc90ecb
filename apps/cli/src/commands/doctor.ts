import type { Context, ServerOptions } from '../context.js';
import type { Finding } from '../doctor/finding.js';
import { checkDisk, checkEngines, checkMemory, checkNode } from '../doctor/machine.js';
import { checkPort, checkServer, checkStores } from '../doctor/services.js';
import { EXIT } from '../exit-codes.js';
import { formatTable } from '../output/table.js';

/** Looks at all that Clipyard needs and says what is amiss and what to do; exit code 1 when something fails. */
export async function doctor(context: Context, options: ServerOptions): Promise<number> {
  const { config, terminal, signal } = context;
  const findings: Finding[] = [checkNode(), checkMemory(), await checkDisk(config.home)];
  terminal.status('trying the engines …');
  try {
    findings.push(...(await checkEngines(config.enginesDir, signal)));
    terminal.status('asking stores and server …');
    findings.push(...(await checkStores(config)), await checkPort(config), ...(await checkServer(context, options)));
  } finally {
    terminal.status(undefined);
  }
  const count = (state: Finding['state']) => findings.filter((finding) => finding.state === state).length;
  if (options.json === true) terminal.out(JSON.stringify({ items: findings }));
  else {
    const rows = findings.map(({ check, state, detail }) => [state, check, detail]);
    const [, ...lines] = formatTable(['', '', ''], rows);
    findings.forEach(({ remedy }, i) => {
      terminal.out(lines[i]!);
      if (remedy !== undefined) terminal.out(`        ${remedy}`);
    });
    terminal.out(`${count('ok')} ok, ${count('warn')} to look at, ${count('fail')} to mend`);
  }
  return count('fail') > 0 ? EXIT.failed : EXIT.ok;
}
