-- AlterTable
ALTER TABLE "job" ADD COLUMN "pause_at" JSONB,
ADD COLUMN "pause_step" INTEGER;
