import type { LogLevel } from '@clipyard/contracts';

/** Where the trainer writes what people should read. */
export type TrainLog = (level: LogLevel, message: string, fields?: Readonly<Record<string, unknown>>) => void;
