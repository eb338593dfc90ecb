-- AlterTable
ALTER TABLE "job" ADD COLUMN "project" TEXT NOT NULL DEFAULT 'default';

-- AlterTable
ALTER TABLE "sweep" ADD COLUMN "project" TEXT NOT NULL DEFAULT 'default';

-- CreateTable
CREATE TABLE "token" (
    "id" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "hash" TEXT NOT NULL,
    "scope" TEXT NOT NULL,
    "project" TEXT,
    "created_by" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "expires_at" TIMESTAMPTZ(3),
    "revoked_at" TIMESTAMPTZ(3),
    "last_used_at" TIMESTAMPTZ(3),

    CONSTRAINT "token_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "audit_event" (
    "id" BIGSERIAL NOT NULL,
    "at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "actor" TEXT NOT NULL,
    "token_id" TEXT,
    "action" TEXT NOT NULL,
    "target" TEXT,
    "project" TEXT,
    "details" JSONB NOT NULL DEFAULT '{}',
    "request_id" TEXT,
    "address" TEXT,

    CONSTRAINT "audit_event_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE INDEX "job_project_created_at_id_idx" ON "job"("project", "created_at", "id");

-- CreateIndex
CREATE INDEX "sweep_project_created_at_id_idx" ON "sweep"("project", "created_at", "id");

-- CreateIndex
CREATE INDEX "token_created_at_id_idx" ON "token"("created_at", "id");

-- CreateIndex
CREATE INDEX "audit_event_project_id_idx" ON "audit_event"("project", "id");

-- CreateIndex
CREATE INDEX "audit_event_target_idx" ON "audit_event"("target");
