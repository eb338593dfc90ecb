import { dropUnheardErrors } from '@clipyard/runtime';
import pg from 'pg';

/** For pools, which listen to idle clients only, and for clients of a few queries: the next query tells of an error. */
export const SteadyClient = dropUnheardErrors(pg.Client);
