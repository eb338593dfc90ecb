import { JOB_SORTS, JOB_STATES } from '@clipyard/contracts';
import { Argument, Command, CommanderError, Option } from 'commander';
import { accessCommands, contextCommands, tokenCommands } from './access-program.js';
import { collect, positiveNumber, wholeNumber } from './arguments.js';
import { evaluate, results } from './commands/evaluate.js';
import { ps, submit, watch } from './commands/jobs.js';
import { logs } from './commands/logs.js';
import { nodes } from './commands/nodes.js';
import type { Context } from './context.js';
import { EXIT } from './exit-codes.js';
import { jobCommands } from './job-program.js';
import { QuietTerminal } from './output/quiet-terminal.js';
import { sweepCommands } from './sweep-program.js';
import { toolCommands } from './tool-program.js';
import { webhookCommands } from './webhook-program.js';

// Loaded when asked for: the decoder of pictures, the engines and the database would double the start of all other commands.
const loadData = () => import('./commands/data.js');
const loadEngines = () => import('./commands/engines.js');
const loadInterchange = () => import('./commands/interchange.js');
const loadParameters = () => import('./commands/parameters.js');
const loadTokenizer = () => import('./commands/tokenizer.js');
const loadPresets = () => import('./commands/presets.js');
const loadUp = () => import('./commands/up.js');

/** Runs one command line; resolves with the exit code. Throws coded errors. */
export async function runProgram(argv: readonly string[], context: Context): Promise<number> {
  let code: number = EXIT.ok;
  const program = buildProgram(context, (result) => {
    code = result;
  });
  try {
    await program.parseAsync([...argv], { from: 'user' });
  } catch (error) {
    // Commander has printed what is wrong; help and version end here too.
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
    throw error;
  }
  return code;
}

function buildProgram(given: Context, finish: (code: number) => void): Command {
  const terminal = new QuietTerminal(given.terminal);
  const context = { ...given, terminal };
  const program = new Command('clipyard')
    .description('Trains CLIP-style models on many machines')
    .exitOverride()
    .hook('preAction', (_, command) => {
      terminal.quiet = command.opts().quiet === true;
    })
    .configureOutput({
      writeOut: (text) => terminal.out(text.trimEnd()),
      writeErr: (text) => terminal.err(text.trimEnd()),
    });
  const server = (command: Command) =>
    command
      .option(
        '--url <url>',
        'server to talk to (default: CLIPYARD_URL, the one in use by `login` or `context use`, the one that `npm start` runs)',
      )
      .option('--json', 'print JSON')
      .addOption(new Option('-q, --quiet', 'print ids and errors alone').conflicts('json'));
  const job = () => new Argument('<job>', 'id of the job');

  server(program.command('submit').argument('<spec>', 'run spec, YAML or JSON'))
    .description('submit a run spec')
    .option('--watch', 'follow it to its end')
    .option(
      '--set <path=value>',
      'change a field, such as batch.global=256; may be given often',
      collect,
      [] as string[],
    )
    .action(async (file, options) => finish(await submit(context, file, options)));
  server(program.command('ps'))
    .description('list jobs, newest first')
    .addOption(new Option('--state <state...>', 'only jobs in these states').choices(JOB_STATES).default([], 'all'))
    .option(
      '--label <label>',
      'only jobs with this label, key or key=value; may be given often',
      collect,
      [] as string[],
    )
    .option('--text <text>', 'only jobs with this in id, name, labels or reason')
    .option('--since <time>', 'only jobs not older than this, a time or an age such as 12h')
    .option('--before <time>', 'only jobs older than this')
    .addOption(new Option('--sort <by>', 'by what, - for descending (default: -createdAt)').choices(JOB_SORTS))
    .option('--limit <n>', 'at most so many', wholeNumber, 20)
    .option('--watch', 'go on showing them, with progress and time left, until Ctrl-C')
    .action(async (options) => finish(await ps(context, options)));
  server(program.command('watch').addArgument(job()))
    .description('follow a job to its end')
    .action(async (id, options) => finish(await watch(context, id, options)));
  server(program.command('logs').addArgument(job()))
    .description('print the log of a job')
    .option('-f, --follow', 'go on until the job has ended')
    .addOption(
      new Option('--level <level>', 'only lines of at least this level').choices(['debug', 'info', 'warn', 'error']),
    )
    .option('--rank <rank>', 'only lines of this rank', wholeNumber)
    .option('--grep <text>', 'only lines with these words, or else with this text')
    .action(async (id, options) => finish(await logs(context, id, options)));
  toolCommands(program, server, context, finish);
  jobCommands(program, server, context, finish);
  server(program.command('evaluate').argument('<checkpoint>', 'job, job@step, or the path of a directory with weights'))
    .description('measure the weights of a checkpoint, as a job of its own')
    .option(
      '--task <task>',
      'zeroshot, retrieval, linear-probe or few-shot, or a whole one in YAML; may be given often (default: those of the job)',
      collect,
      [] as string[],
    )
    .option('--spec <file>', 'sections of a run spec, such as data and evaluate, in place of those of the job')
    .option('--ranks <n>', 'number of ranks (default: as the job)', wholeNumber)
    .option('--set <path=value>', 'change a field; may be given often', collect, [] as string[])
    .option('--no-watch', 'submit it only')
    .action(async (checkpoint, options) => finish(await evaluate(context, checkpoint, options)));
  server(program.command('results').addArgument(job()))
    .description('print what the last evaluation of a job found; --json gives all of them, with details')
    .action(async (id, options) => finish(await results(context, id, options)));
  server(program.command('nodes'))
    .description('list nodes and their slots')
    .action(async (options) => finish(await nodes(context, options)));
  sweepCommands(program.command('sweep').description('search for hyper-parameters'), server, context, finish);
  accessCommands(program, server, context, finish);
  tokenCommands(program.command('token').description('make, list and revoke tokens'), server, context, finish);
  contextCommands(program.command('context').description('servers that were logged in to'), context, finish);
  server(program.command('export').argument('<source>', 'a job, job@step, or a directory: a checkpoint or an import'))
    .description('write a model for other programs')
    .requiredOption('--out <folder>', 'a new or an empty folder')
    .addOption(
      new Option('--format <format>', '`open_clip`: what open_clip loads strictly; `onnx`: .onnx files of both towers')
        .choices(['open_clip', 'onnx'])
        .default('open_clip'),
    )
    .option('--average', "a checkpoint's moving average of the weights, where the run keeps one")
    .option('--batch <n>', 'samples at once of the .onnx files (default: any number)', positiveNumber)
    .action(async (source, options) => finish(await (await loadInterchange()).exportModel(context, source, options)));
  program
    .command('import')
    .description("make a checkpoint of step 0 from open_clip's safetensors")
    .argument('<source>', 'a .safetensors file, or a directory with one and its open_clip_config.json')
    .requiredOption('--out <folder>', 'a new or an empty folder')
    .option('--model <model>', 'a preset, or a JSON file with the model_cfg (default: the open_clip_config.json)')
    .option('--json', 'print JSON')
    .action(async (source, options) => finish(await (await loadInterchange()).importModel(context, source, options)));
  webhookCommands(program.command('webhook').description('post events to URLs'), server, context, finish);
  dataCommands(program.command('data').description('pack, index and inspect data sets'), context, finish);
  program
    .command('parameters')
    .description('show every parameter of a run: shape, whether it is trained, weight decay, learning rate')
    .argument('<spec>', 'run spec, YAML or JSON')
    .option('--set <path=value>', 'change a field of the spec', collect, [])
    .option('--json', 'print JSON')
    .action(async (file, options) => finish(await (await loadParameters()).showParameters(context, file, options)));
  tokenizerCommands(program.command('tokenizer').description('train tokenizers, show token ids'), context, finish);
  engineCommands(program.command('engines').description('list and build the compute engines'), context, finish);
  presetCommands(program.command('presets').description('list and show the named models'), context, finish);
  program
    .command('up')
    .description('start database, API and a worker with two slots, and train the demo')
    .option('--no-demo', 'without the demo; stays up until a signal')
    .action(async (options) => finish(await (await loadUp()).up(context, options)));
  return program;
}

function engineCommands(engines: Command, context: Context, finish: (code: number) => void): void {
  engines
    .command('list')
    .description('try each compute engine on this machine: whether it works, its version and device')
    .option('--json', 'print JSON')
    .action(async (options) => finish(await (await loadEngines()).showEngines(context, options)));
  engines
    .command('build')
    .description('build an engine for this machine, into its home; needs a C++ compiler')
    .addArgument(new Argument('<engine>', 'which one').choices(['tensorflow']))
    .option(
      '--from <path>',
      'a TensorFlow wheel, an archive of its C library or a folder such as site-packages/tensorflow (default: the wheel tensorflow-cpu of PyPI, or of PIP_INDEX_URL)',
    )
    .addOption(
      new Option('--gpu', "without --from: the wheel for NVIDIA's GPUs with its CUDA libraries").conflicts('from'),
    )
    .option('--json', 'print JSON')
    .action(async (_engine, options) => finish(await (await loadEngines()).buildEngine(context, options)));
}

function presetCommands(presets: Command, context: Context, finish: (code: number) => void): void {
  presets
    .command('list')
    .description('list the named models')
    .option('--json', 'print JSON')
    .action(async (options) => finish((await loadPresets()).listPresets(context, options)));
  presets
    .command('show')
    .description("print a preset's model config, and a run spec with what the paper trained it with")
    .argument('<name>', 'of the preset')
    .option('--json', 'print JSON')
    .action(async (name, options) => finish((await loadPresets()).showPreset(context, name, options)));
}

function dataCommands(data: Command, context: Context, finish: (code: number) => void): void {
  data
    .command('pack')
    .description('pack pictures with captions into WebDataset shards')
    .argument('<source>', 'folder with a recipe.mjs, or with pictures and their captions as .txt')
    .requiredOption('--out <folder>', 'where the shards go; below the data directory, so that run specs can name them')
    .option('--shard-size <n>', 'samples a shard', wholeNumber)
    .option('--json', 'print JSON')
    .action(async (source, options) => finish(await (await loadData()).packData(context, source, options)));
  data
    .command('index')
    .description('build the indices of shards ahead of the first run on them')
    .argument('<files...>', 'shards, braces allowed, relative to the data directory')
    .option('--json', 'print JSON')
    .action(async (files, options) => finish(await (await loadData()).indexData(context, files, options)));
  data
    .command('inspect')
    .description('read samples and tell what a data set holds')
    .argument('<files...>', 'shards or tables, relative to the data directory; or `shapes`')
    .option('--limit <n>', 'read at most so many samples', wholeNumber, 1000)
    .option('--image-size <pixels>', 'side that pictures are decoded to', wholeNumber, 64)
    .option('--json', 'print JSON')
    .action(async (files, options) => finish(await (await loadData()).inspectData(context, files, options)));
}

function tokenizerCommands(tokenizer: Command, context: Context, finish: (code: number) => void): void {
  tokenizer
    .command('train')
    .description('learn a byte-pair vocabulary from captions; a run spec names it as model.tokenizer: file:<path>')
    .requiredOption(
      '--data <files...>',
      'text files with a caption a line, a run spec (its training data), or shards or tables relative to the data directory',
    )
    .requiredOption('--out <file>', 'file to write, packed when it ends with .gz; below the data directory')
    .option('--vocab <n>', 'tokens, special ones included', wholeNumber, 8192)
    .option('--limit <n>', 'read at most so many captions', wholeNumber)
    .option('--json', 'print JSON')
    .action(async (options) => finish(await (await loadTokenizer()).trainTokenizer(context, options)));
  tokenizer
    .command('encode')
    .description('show the token ids of captions')
    .argument('<captions...>', 'captions')
    .option('--tokenizer <name>', '`clip`, or file:<path>', 'clip')
    .option('--context <n>', 'length of a row', wholeNumber, 77)
    .option('--json', 'print JSON, one line a caption')
    .action(async (captions, options) =>
      finish(await (await loadTokenizer()).encodeCaptions(context, captions, options)),
    );
}
