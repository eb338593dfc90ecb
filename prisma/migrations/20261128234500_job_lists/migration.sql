-- CreateIndex
CREATE INDEX "job_state_created_at_id_idx" ON "job"("state", "created_at", "id");

-- CreateIndex
CREATE INDEX "job_labels_idx" ON "job" USING GIN ("labels");
