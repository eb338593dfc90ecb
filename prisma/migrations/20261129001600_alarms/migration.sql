-- AlterTable
ALTER TABLE "job" ADD COLUMN "alarms" JSONB NOT NULL DEFAULT '{}';
