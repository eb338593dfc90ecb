import { parseRunSpec, type RankStart, type RunSpecInput } from '@clipyard/contracts';

/** What a rank is started with that trains alone, without a worker, its data, runs and caches in a directory. */
export function testRankStart(
  { job, spec, directory, storageUrl }: TestStart,
  changes: Partial<RankStart> = {},
): RankStart {
  return {
    jobId: job,
    jobName: job,
    epoch: 1,
    rank: 0,
    worldSize: 1,
    secret: '',
    spec: parseRunSpec(spec),
    checkpoints: [],
    storageUrl,
    dataDir: directory,
    cacheDir: directory,
    listenHost: '127.0.0.1',
    advertiseHost: '127.0.0.1',
    threads: 1,
    slot: 0,
    ...changes,
  };
}

interface TestStart {
  readonly job: string;
  readonly spec: RunSpecInput;
  readonly directory: string;
  readonly storageUrl: string;
}
