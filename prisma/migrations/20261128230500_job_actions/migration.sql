-- AlterTable
ALTER TABLE "job" ADD COLUMN "resumes_init" BOOLEAN NOT NULL DEFAULT false;

-- AlterTable
ALTER TABLE "attempt" ADD COLUMN "saves" BOOLEAN NOT NULL DEFAULT false;

-- AlterTable
ALTER TABLE "node" ADD COLUMN "drained" BOOLEAN NOT NULL DEFAULT false;

-- Those that stop for a pause at this moment.
UPDATE "attempt" SET "saves" = true FROM "job"
WHERE "job"."id" = "attempt"."job_id" AND "job"."epoch" = "attempt"."epoch"
  AND "job"."state" = 'pausing' AND "attempt"."state" = 'stopping';
