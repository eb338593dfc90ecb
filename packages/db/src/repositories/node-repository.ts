import type { NodeState } from '@clipyard/contracts';
import { type Node as NodeRow, Prisma, type Slot as SlotRow } from '../generated/client.js';
import type { Client } from './client.js';

export type { NodeRow, SlotRow };
export type NodeWithSlots = NodeRow & { readonly slots: SlotRow[] };

export interface NodeData {
  readonly name: string;
  readonly pool: string;
  readonly host: string;
  readonly version: string;
  readonly engines: readonly string[];
}

export interface FreeSlot {
  readonly nodeId: string;
  readonly index: number;
}

/** Slots of nodes that are ready, in use or not; `engines` are those that the nodes have. */
export interface ReadySlots {
  readonly pool: string;
  readonly engines: readonly string[];
  readonly slots: number;
}

/** Of a node `n`: it may get ranks. */
const USABLE = Prisma.sql`n.state = 'ready' AND NOT n.drained AND n.lease_expires_at > clock_timestamp()`;

/** Nodes with their slots and leases. */
export class NodeRepository {
  readonly #client: Client;

  constructor(client: Client) {
    this.#client = client;
  }

  async find(id: string): Promise<NodeRow | null> {
    return await this.#client.node.findUnique({ where: { id } });
  }

  async findByName(name: string): Promise<NodeRow | null> {
    return await this.#client.node.findUnique({ where: { name } });
  }

  async findByIdOrName(idOrName: string): Promise<NodeWithSlots | null> {
    return await this.#client.node.findFirst({
      where: { OR: [{ id: idOrName }, { name: idOrName }] },
      include: { slots: { orderBy: { index: 'asc' } } },
    });
  }

  async list(): Promise<NodeWithSlots[]> {
    return await this.#client.node.findMany({
      include: { slots: { orderBy: { index: 'asc' } } },
      orderBy: { name: 'asc' },
    });
  }

  /** Makes the node ready with a fresh lease and `slots` slots; the row is made or taken over by its name. Returns the id. */
  async register(id: string, registration: string, data: NodeData, slots: number, leaseMs: number): Promise<string> {
    const rows = await this.#client.$queryRaw<{ id: string }[]>`
      INSERT INTO node (id, name, pool, state, host, version, engines, registration, lease_expires_at)
      VALUES (${id}, ${data.name}, ${data.pool}, 'ready', ${data.host}, ${data.version}, ${[...data.engines]}::text[],
              ${registration}, clock_timestamp() + make_interval(secs => ${leaseMs / 1000}))
      ON CONFLICT (name) DO UPDATE SET pool = excluded.pool, state = 'ready', host = excluded.host,
        version = excluded.version, engines = excluded.engines, registration = excluded.registration, lease_expires_at = excluded.lease_expires_at,
        registered_at = clock_timestamp()
      RETURNING id`;
    const nodeId = rows[0]!.id;
    await this.#client.slot.deleteMany({ where: { nodeId, index: { gte: slots }, jobId: null } });
    await this.#client.slot.createMany({
      data: Array.from({ length: slots }, (_, index) => ({ nodeId, index })),
      skipDuplicates: true,
    });
    return nodeId;
  }

  async setState(id: string, state: NodeState): Promise<void> {
    await this.#client.node.update({ where: { id }, data: { state } });
  }

  /** Waits for allocations under way, which hold the node. */
  async setDrained(id: string, drained: boolean): Promise<void> {
    await this.#client.node.update({ where: { id }, data: { drained } });
  }

  /** Renews the lease by the database's clock; false when the node was given up or is unknown. */
  async renewLease(id: string, leaseMs: number): Promise<boolean> {
    const renewed = await this.#client.$executeRaw`
      UPDATE node SET lease_expires_at = clock_timestamp() + make_interval(secs => ${leaseMs / 1000})
      WHERE id = ${id} AND state IN ('ready', 'draining')`;
    return renewed === 1;
  }

  /** Marks as lost the nodes whose lease ran out, and returns their names. */
  async expire(): Promise<string[]> {
    const rows = await this.#client.$queryRaw<{ name: string }[]>`
      UPDATE node SET state = 'lost'
      WHERE state IN ('ready', 'draining') AND lease_expires_at < clock_timestamp() RETURNING name`;
    return rows.map((row) => row.name);
  }

  /** The free slots of ready nodes with a valid lease, as they are now. */
  async freeSlots(): Promise<(FreeSlot & { readonly pool: string; readonly engines: readonly string[] })[]> {
    return await this.#client.$queryRaw<(FreeSlot & { pool: string; engines: string[] })[]>`
      SELECT n.pool, n.engines, s.node_id AS "nodeId", s.index FROM slot s JOIN node n ON n.id = s.node_id
      WHERE ${USABLE} AND s.job_id IS NULL`;
  }

  /**
   * The free slots of ready nodes with a valid lease in a pool, only of nodes that have `engine` if given, locked until
   * the transaction ends together with their nodes, so that neither another allocation nor the loss of a node comes
   * between.
   */
  async lockFreeSlots(pool: string, engine: string | null): Promise<FreeSlot[]> {
    return await this.#client.$queryRaw<FreeSlot[]>`
      SELECT s.node_id AS "nodeId", s.index FROM slot s JOIN node n ON n.id = s.node_id
      WHERE n.pool = ${pool} AND ${USABLE} AND s.job_id IS NULL
        AND (${engine}::text IS NULL OR ${engine}::text = ANY(n.engines))
      ORDER BY s.node_id, s.index FOR UPDATE OF s FOR SHARE OF n`;
  }

  /** The slots of ready nodes with a valid lease, by pool and the engines of the nodes. */
  async readySlots(): Promise<ReadySlots[]> {
    return await this.#client.$queryRaw<ReadySlots[]>`
      SELECT n.pool, n.engines, count(s.index)::int AS slots FROM node n LEFT JOIN slot s ON s.node_id = n.id
      WHERE ${USABLE} GROUP BY n.pool, n.engines`;
  }

  /** Slots by pool and state of their node: how many there are, and how many hold a rank. */
  async slotUse(): Promise<{ pool: string; state: string; slots: number; busy: number }[]> {
    return await this.#client.$queryRaw`
      SELECT n.pool, CASE WHEN n.state = 'ready' AND n.drained THEN 'draining' ELSE n.state END AS state,
        count(s.index)::int AS slots, count(s.job_id)::int AS busy
      FROM node n JOIN slot s ON s.node_id = n.id GROUP BY 1, 2 ORDER BY 1, 2`;
  }

  /** All slots ever registered in a pool, only of nodes that have `engine` if given, and the nodes that have them. */
  async capacity(pool: string, engine: string | null): Promise<{ nodes: number; slots: number }> {
    const [row] = await this.#client.$queryRaw<{ nodes: number; slots: number }[]>`
      SELECT count(DISTINCT n.id)::int AS nodes, count(s.index)::int AS slots FROM node n LEFT JOIN slot s ON s.node_id = n.id
      WHERE n.pool = ${pool} AND (${engine}::text IS NULL OR ${engine}::text = ANY (n.engines))`;
    return row!;
  }
}
