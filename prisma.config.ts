import { defineConfig } from 'prisma/config';

/** For Prisma's own commands (`npx prisma migrate deploy`); Clipyard itself applies the same migrations at start. */
export default defineConfig({
  schema: 'prisma/schema.prisma',
  migrations: { path: 'prisma/migrations' },
  ...(process.env.DATABASE_URL === undefined ? {} : { datasource: { url: process.env.DATABASE_URL } }),
});
