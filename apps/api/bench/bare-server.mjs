/**
 * The other side of `npm run bench -- api`: a bare Fastify server that sends the same statements to the same database and
 * answers with the same bodies, and does nothing else: no validation, no coded errors, no authentication, no schemas.
 */
import { randomUUID } from 'node:crypto';
import Fastify from 'fastify';
import pg from 'pg';

const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 10 });
const server = Fastify();

const time = (at) => at?.toISOString() ?? null;
const view = (row) => ({
  id: row.id,
  project: row.project,
  name: row.name,
  state: row.state,
  reason: row.reason,
  labels: row.labels,
  priority: row.priority,
  spec: row.spec,
  epoch: row.epoch,
  worldSize: row.world_size,
  step: row.step,
  totalSteps: row.total_steps,
  pauseStep: row.pause_step,
  latest: row.latest,
  alarms: Object.values(row.alarms),
  restarts: { infrastructure: row.restarts_infrastructure, user: row.restarts_user },
  error: row.error,
  createdAt: time(row.created_at),
  startedAt: time(row.started_at),
  finishedAt: time(row.finished_at),
});

server.get('/v1/jobs/:id', async (request) => {
  const { rows } = await pool.query('SELECT * FROM job WHERE id = $1', [request.params.id]);
  return view(rows[0]);
});

server.get('/v1/jobs', async (request) => {
  const limit = Number(request.query.limit);
  const text = 'SELECT * FROM job ORDER BY created_at DESC, id DESC LIMIT $1';
  const { rows } = await pool.query(text, [limit + 1]);
  const items = rows.slice(0, limit);
  const { created_at, id } = items.at(-1);
  const cursor = Buffer.from(`-createdAt ${created_at.toISOString()} ${id}`).toString('base64url');
  return { items: items.map(view), nextCursor: rows.length > limit ? cursor : null };
});

server.post('/v1/jobs', async (request, reply) => {
  const spec = request.body;
  const id = `job-${randomUUID().slice(0, 18)}`;
  const client = await pool.connect();
  try {
    await client.query('BEGIN');
    const insert = `INSERT INTO job (id, project, name, state, labels, priority, pool, spec)
      VALUES ($1, 'default', $2, 'queued', $3, $4, $5, $6) RETURNING *`;
    const { priority, pool: nodes } = spec.resources;
    const { rows } = await client.query(insert, [id, spec.name, spec.labels, priority, nodes, spec]);
    const event = `INSERT INTO event (job_id, type, epoch, data) VALUES ($1, 'job.state', 0, $2)`;
    await client.query(event, [id, { from: null, to: 'queued', reason: null }]);
    await client.query(`SELECT pg_notify('clipyard_event', $1)`, [id]);
    const message = 'INSERT INTO outbox (queue, key, payload) VALUES ($1, $2, $3)';
    await client.query(message, ['scheduler', `${id}_0_submitted`, { type: 'job.submitted', id }]);
    await client.query(`SELECT pg_notify('clipyard_outbox', '')`);
    const record = `INSERT INTO audit_event (actor, action, target, project, details) VALUES ('local', 'submitJob', $1, 'default', $2)`;
    await client.query(record, [id, { name: spec.name }]);
    await client.query('COMMIT');
    return reply.code(201).header('location', `/v1/jobs/${id}`).send(view(rows[0]));
  } finally {
    client.release();
  }
});

process.once('disconnect', () => process.exit(0));
process.send({ url: await server.listen({ host: '127.0.0.1', port: 0 }) });
