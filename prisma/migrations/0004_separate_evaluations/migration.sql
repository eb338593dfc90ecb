-- AlterTable
ALTER TABLE "job" ADD COLUMN "evaluates" TEXT,
ADD COLUMN "settled" BOOLEAN NOT NULL DEFAULT false;

-- Those that have ended let go of checkpoints before this was recorded.
UPDATE "job" SET "settled" = true WHERE "state" IN ('succeeded', 'failed', 'cancelled');

-- CreateIndex
CREATE INDEX "job_evaluates_settled_idx" ON "job"("evaluates", "settled");

-- CreateIndex
CREATE INDEX "job_settled_state_idx" ON "job"("settled", "state");

-- AddForeignKey
ALTER TABLE "job" ADD CONSTRAINT "job_evaluates_fkey" FOREIGN KEY ("evaluates") REFERENCES "job"("id") ON DELETE CASCADE ON UPDATE CASCADE;
