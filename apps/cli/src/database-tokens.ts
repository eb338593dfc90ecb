import {
  ClipyardError,
  type CreatedToken,
  fieldProblems,
  type NewTokenInput,
  newTokenSchema,
} from '@clipyard/contracts';
import { Behalf, createAccessPlane } from '@clipyard/control';
import { migrate, openDatabase } from '@clipyard/db';

/** Makes a token as whoever may write to the database; migrates that first. */
export async function createTokenInDatabase(databaseUrl: string, asked: NewTokenInput): Promise<CreatedToken> {
  const parsed = newTokenSchema.safeParse(asked);
  if (!parsed.success) {
    const fields = fieldProblems(parsed.error, asked, 'Correct this option.');
    throw new ClipyardError('request_invalid', fields.map((f) => `${f.path}: ${f.message}`).join('; '), { fields });
  }
  await migrate(databaseUrl);
  await using database = await openDatabase({ url: databaseUrl, connections: 1 });
  return await createAccessPlane({ database }, new Behalf()).createToken(parsed.data);
}
