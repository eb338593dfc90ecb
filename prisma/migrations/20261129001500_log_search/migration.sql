-- Search for words; Prisma's schema cannot say it.
CREATE INDEX "log_line_words_idx" ON "log_line" USING gin (to_tsvector('simple', "message"));

-- Lines of a time.
CREATE INDEX "log_line_job_id_at_idx" ON "log_line"("job_id", "at");
