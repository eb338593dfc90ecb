-- CreateTable
CREATE TABLE "metric_bucket" (
    "job_id" TEXT NOT NULL,
    "width" INTEGER NOT NULL,
    "name" TEXT NOT NULL,
    "start" INTEGER NOT NULL,
    "count" INTEGER NOT NULL,
    "sum" DOUBLE PRECISION NOT NULL,
    "min" DOUBLE PRECISION NOT NULL,
    "max" DOUBLE PRECISION NOT NULL,
    "first_step" INTEGER NOT NULL,
    "first" DOUBLE PRECISION NOT NULL,
    "last_step" INTEGER NOT NULL,
    "last" DOUBLE PRECISION NOT NULL,

    CONSTRAINT "metric_bucket_pkey" PRIMARY KEY ("job_id", "width", "name", "start")
);

-- AddForeignKey
ALTER TABLE "metric_bucket" ADD CONSTRAINT "metric_bucket_job_id_fkey" FOREIGN KEY ("job_id") REFERENCES "job"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- What was recorded before.
INSERT INTO "metric_bucket"
SELECT "job_id", "width", "name", "step" / "width" * "width", count(*), sum("value"), min("value"), max("value"), min("step"), (min(ARRAY["step", "value"]))[2], max("step"), (max(ARRAY["step", "value"]))[2]
FROM "metric" CROSS JOIN (VALUES (16), (64), (256), (1024), (4096)) AS "widths"("width")
GROUP BY 1, 2, 3, 4;
