-- CreateTable
CREATE TABLE "job" (
    "id" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "state" TEXT NOT NULL,
    "reason" TEXT,
    "labels" JSONB NOT NULL,
    "priority" INTEGER NOT NULL,
    "pool" TEXT NOT NULL,
    "spec" JSONB NOT NULL,
    "epoch" INTEGER NOT NULL DEFAULT 0,
    "world_size" INTEGER,
    "step" INTEGER NOT NULL DEFAULT 0,
    "total_steps" INTEGER,
    "latest" JSONB NOT NULL DEFAULT '{}',
    "restarts_infrastructure" INTEGER NOT NULL DEFAULT 0,
    "restarts_user" INTEGER NOT NULL DEFAULT 0,
    "failures_in_a_row" INTEGER NOT NULL DEFAULT 0,
    "failed_at_checkpoint" INTEGER NOT NULL DEFAULT -1,
    "not_before" TIMESTAMPTZ(3),
    "error" JSONB,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "started_at" TIMESTAMPTZ(3),
    "finished_at" TIMESTAMPTZ(3),

    CONSTRAINT "job_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "attempt" (
    "job_id" TEXT NOT NULL,
    "epoch" INTEGER NOT NULL,
    "state" TEXT NOT NULL,
    "world_size" INTEGER NOT NULL,
    "secret" TEXT NOT NULL,
    "start_step" INTEGER,
    "error" JSONB,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "started_at" TIMESTAMPTZ(3),
    "finished_at" TIMESTAMPTZ(3),

    CONSTRAINT "attempt_pkey" PRIMARY KEY ("job_id", "epoch")
);

-- CreateTable
CREATE TABLE "rank" (
    "job_id" TEXT NOT NULL,
    "epoch" INTEGER NOT NULL,
    "rank" INTEGER NOT NULL,
    "node_id" TEXT NOT NULL,
    "slot" INTEGER NOT NULL,
    "state" TEXT NOT NULL,
    "host" TEXT,
    "port" INTEGER,
    "pid" INTEGER,
    "error" JSONB,
    "finished_at" TIMESTAMPTZ(3),

    CONSTRAINT "rank_pkey" PRIMARY KEY ("job_id", "epoch", "rank")
);

-- CreateTable
CREATE TABLE "node" (
    "id" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "pool" TEXT NOT NULL,
    "state" TEXT NOT NULL,
    "host" TEXT NOT NULL,
    "version" TEXT NOT NULL,
    "engines" TEXT[],
    "registration" TEXT NOT NULL,
    "lease_expires_at" TIMESTAMPTZ(3) NOT NULL,
    "registered_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "node_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "slot" (
    "node_id" TEXT NOT NULL,
    "index" INTEGER NOT NULL,
    "job_id" TEXT,
    "epoch" INTEGER,
    "rank" INTEGER,

    CONSTRAINT "slot_pkey" PRIMARY KEY ("node_id", "index")
);

-- CreateTable
CREATE TABLE "checkpoint" (
    "id" TEXT NOT NULL,
    "job_id" TEXT NOT NULL,
    "epoch" INTEGER NOT NULL,
    "step" INTEGER NOT NULL,
    "position" BIGINT NOT NULL,
    "world_size" INTEGER NOT NULL,
    "prefix" TEXT NOT NULL,
    "bytes" BIGINT NOT NULL,
    "manifest_sha256" TEXT NOT NULL,
    "metrics" JSONB NOT NULL,
    "files" JSONB NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "checkpoint_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "metric" (
    "job_id" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "step" INTEGER NOT NULL,
    "value" DOUBLE PRECISION NOT NULL,
    "epoch" INTEGER NOT NULL,
    "at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "metric_pkey" PRIMARY KEY ("job_id", "name", "step")
);

-- CreateTable
CREATE TABLE "log_line" (
    "id" BIGSERIAL NOT NULL,
    "job_id" TEXT NOT NULL,
    "epoch" INTEGER NOT NULL,
    "rank" INTEGER,
    "at" TIMESTAMPTZ(3) NOT NULL,
    "level" TEXT NOT NULL,
    "message" TEXT NOT NULL,
    "fields" JSONB,

    CONSTRAINT "log_line_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "event" (
    "id" BIGSERIAL NOT NULL,
    "job_id" TEXT NOT NULL,
    "type" TEXT NOT NULL,
    "epoch" INTEGER NOT NULL,
    "at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "data" JSONB NOT NULL,

    CONSTRAINT "event_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "outbox" (
    "id" BIGSERIAL NOT NULL,
    "queue" TEXT NOT NULL,
    "key" TEXT NOT NULL,
    "payload" JSONB NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "sent_at" TIMESTAMPTZ(3),

    CONSTRAINT "outbox_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "idempotency_key" (
    "key" TEXT NOT NULL,
    "request_hash" TEXT NOT NULL,
    "job_id" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "idempotency_key_pkey" PRIMARY KEY ("key")
);

-- CreateIndex
CREATE INDEX "job_created_at_id_idx" ON "job"("created_at", "id");

-- CreateIndex
CREATE INDEX "job_state_priority_created_at_idx" ON "job"("state", "priority", "created_at");

-- CreateIndex
CREATE INDEX "rank_node_id_state_idx" ON "rank"("node_id", "state");

-- CreateIndex
CREATE UNIQUE INDEX "node_name_key" ON "node"("name");

-- CreateIndex
CREATE INDEX "node_pool_state_idx" ON "node"("pool", "state");

-- CreateIndex
CREATE UNIQUE INDEX "slot_job_id_epoch_rank_key" ON "slot"("job_id", "epoch", "rank");

-- CreateIndex
CREATE UNIQUE INDEX "checkpoint_job_id_step_key" ON "checkpoint"("job_id", "step");

-- CreateIndex
CREATE INDEX "metric_job_id_step_idx" ON "metric"("job_id", "step");

-- CreateIndex
CREATE INDEX "log_line_job_id_id_idx" ON "log_line"("job_id", "id");

-- CreateIndex
CREATE INDEX "event_job_id_id_idx" ON "event"("job_id", "id");

-- CreateIndex
CREATE INDEX "outbox_sent_at_id_idx" ON "outbox"("sent_at", "id");

-- AddForeignKey
ALTER TABLE "attempt" ADD CONSTRAINT "attempt_job_id_fkey" FOREIGN KEY ("job_id") REFERENCES "job"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "rank" ADD CONSTRAINT "rank_job_id_epoch_fkey" FOREIGN KEY ("job_id", "epoch") REFERENCES "attempt"("job_id", "epoch") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "rank" ADD CONSTRAINT "rank_node_id_fkey" FOREIGN KEY ("node_id") REFERENCES "node"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "slot" ADD CONSTRAINT "slot_node_id_fkey" FOREIGN KEY ("node_id") REFERENCES "node"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "checkpoint" ADD CONSTRAINT "checkpoint_job_id_fkey" FOREIGN KEY ("job_id") REFERENCES "job"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "metric" ADD CONSTRAINT "metric_job_id_fkey" FOREIGN KEY ("job_id") REFERENCES "job"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "log_line" ADD CONSTRAINT "log_line_job_id_fkey" FOREIGN KEY ("job_id") REFERENCES "job"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "event" ADD CONSTRAINT "event_job_id_fkey" FOREIGN KEY ("job_id") REFERENCES "job"("id") ON DELETE CASCADE ON UPDATE CASCADE;
