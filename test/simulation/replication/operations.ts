import { join } from "node:path";
import { Database } from "bun:sqlite";
import { AUXILIARY_DB, DATA_DB } from "../../../shared/ids.ts";
import type { Tenant, WriteTransaction } from "../../../worker/tenant/contract.ts";
import type { LoadedDatabase } from "../../../worker/tenant/loaded-database.ts";
import type { SqlReader } from "../../../worker/sqlite/contract.ts";
import type { Random } from "../random.ts";
import type { Coverage } from "./coverage.ts";
import { EMPTY, type Expectations, IMPORT_STEP, type State, nextChain } from "./expectations.ts";
import { markOf } from "./seal-judge.ts";
import type { SimulatedPoints } from "./sim-points.ts";
import type { Schedule, Actor } from "./schedule.ts";

export const TABLE =
  "CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY, op INTEGER NOT NULL UNIQUE, chain INTEGER NOT NULL, body BLOB)";

export const OPERATIONS = [
  ["write", 40],
  ["read", 22],
  ["large", 4],
  ["slow", 6],
  ["effect", 8],
  ["rollback", 4],
  ["error", 6],
  ["shrink", 3],
  ["auxiliary", 5],
  ["vacuum", 1],
  ["import", 1],
  ["point", 6],
  ["branch", 4],
] as const;
export type Operation = (typeof OPERATIONS)[number][0];

/** What a process needs to carry out requests. */
export interface Desk {
  actor: Actor;
  schedule: Schedule;
  random: Random;
  coverage: Coverage;
  expectations: Expectations;
  /** For files to import, and of points in time. */
  directory: string;
  points: SimulatedPoints;
  isAsync: boolean;
}

export interface Answer {
  state: State;
  wrote: boolean;
}

class Refusal extends Error {}

export function newest(db: SqlReader): State {
  return (
    db.get<State & Record<string, number>>("SELECT id, chain FROM notes ORDER BY id DESC LIMIT 1") ?? EMPTY
  );
}

/**
 * One request from the moment it has its tenant until its answer may leave. What it resolves with has left; everything
 * that was shown is told to the expectations in that turn.
 */
export async function carryOut(
  desk: Desk,
  tenant: Tenant,
  operation: Operation,
  op: number,
): Promise<Answer> {
  const { expectations, coverage, schedule, isAsync } = desk;
  const seen = tenant.observe();
  const by = `${desk.actor.name} (epoch ${tenant.epoch}), ${operation} ${op}`;
  const show = (state: State): void => {
    if (desk.actor.state === "up" && !isAsync) expectations.exposed(tenant.id, state, by);
  };
  let committedMs = schedule.nowMs;
  /** What is shown and counted is what the transaction commits, when it does. */
  const append = (tx: WriteTransaction, body?: Uint8Array): State => {
    tx.afterCommit(() => (committedMs = schedule.nowMs));
    return appendRow(tx, op, markOf(tenant.id), body);
  };
  let state: State = EMPTY;
  let wrote = true;
  switch (operation) {
    case "read":
      state = tenant.data.read(seen, newest);
      wrote = false;
      break;
    case "error":
    case "rollback":
      wrote = false;
      try {
        await tenant.data.write(seen, (tx) => {
          state = newest(tx);
          if (operation === "rollback") append(tx);
          else if (state.id > 0)
            tx.run("INSERT INTO notes (id, op, chain) VALUES (?, ?, 0)", [state.id, -op]);
          throw new Refusal("rolled back");
        });
      } catch (error) {
        const expected = error instanceof Refusal || /UNIQUE/.test((error as Error).message);
        if (!expected) throw error;
      }
      coverage.add(operation === "error" ? "errors answered" : "rollbacks");
      break;
    case "slow":
      state = await tenant.data.write(seen, async (tx) => {
        const appended = append(tx);
        await new Promise<void>((resolve) => {
          schedule.at(desk.actor, desk.random.next() * 60, "a hook runs", resolve);
        });
        return appended;
      });
      coverage.add("transactions over several turns");
      break;
    case "large": {
      const body = new Uint8Array(16_000 + 4 * desk.random.below(3_000));
      for (let i = 0; i < body.length; i += 4)
        new DataView(body.buffer).setUint32(i, desk.random.below(2 ** 32));
      state = await tenant.data.write(seen, (tx) => append(tx, body));
      break;
    }
    case "shrink":
      state = await tenant.data.write(seen, (tx) => {
        tx.run("UPDATE notes SET body = NULL WHERE length(body) > 1000");
        return append(tx);
      });
      break;
    case "effect":
      state = await tenant.data.write(seen, (tx) => {
        const appended = append(tx);
        tx.afterDurable(() => {
          if (desk.actor.state !== "up") return;
          coverage.add("effects after a commit");
          // A mail is out, whatever the tenant's durability: it waits until the commit is durable.
          expectations.exposed(tenant.id, appended, by);
          expectations.acknowledged(tenant.id, op);
        });
        return appended;
      });
      break;
    case "auxiliary":
      await tenant.database(AUXILIARY_DB).write(seen, (tx) => {
        tx.exec("CREATE TABLE IF NOT EXISTS logs (id INTEGER PRIMARY KEY, text TEXT)");
        tx.run("INSERT INTO logs (text) VALUES (?)", [`op ${op}`]);
      });
      state = tenant.data.read(seen, newest);
      wrote = false;
      break;
    case "vacuum":
      wrote = false;
      (tenant.data as LoadedDatabase).vacuum(seen);
      coverage.add("vacuums");
      state = tenant.data.read(seen, newest);
      break;
    case "import":
      state = { id: op * IMPORT_STEP, chain: nextChain(0, op) };
      await tenant.replaceDatabases(seen, new Map([[DATA_DB, importFile(desk, op, state)]]));
      coverage.add("imports");
      break;
    case "point":
      wrote = false;
      await desk.points.goBack(desk, tenant, op);
      state = tenant.data.read(seen, newest);
      break;
    case "branch":
      wrote = false;
      await desk.points.branch(desk, tenant, op);
      state = tenant.data.read(seen, newest);
      break;
    case "write":
      state = await tenant.data.write(seen, (tx) => append(tx));
  }
  await seen.settled();
  show(state);
  if (wrote && desk.actor.state === "up") {
    if (isAsync) {
      coverage.add("async writes acknowledged");
      expectations.acknowledgedAsync(tenant.id, {
        op,
        instance: tenant,
        committedMs,
        acknowledgedMs: schedule.nowMs,
      });
    } else {
      coverage.add("writes acknowledged");
      expectations.acknowledged(tenant.id, op);
    }
  }
  return { state, wrote };
}

function appendRow(tx: WriteTransaction, op: number, mark: string, body: Uint8Array | undefined): State {
  const { id, chain } = newest(tx);
  const next = { id: id + 1, chain: nextChain(chain, op) };
  // Not only the newest pages change.
  if (op % 2 === 0)
    tx.run("UPDATE notes SET body = ? WHERE id = ?", [`changed by ${op}`, 1 + ((op * 7_919) % next.id)]);
  tx.run("INSERT INTO notes (id, op, chain, body) VALUES (?, ?, ?, ?)", [
    next.id,
    op,
    next.chain,
    body ?? `note ${op} ${mark}`.repeat(op % 12),
  ]);
  return next;
}

/** A database of another page size now and then, whose rows begin far above all others. */
function importFile(desk: Desk, op: number, { id, chain }: State): string {
  const path = join(desk.directory, `import-${op}.db`);
  const db = new Database(path, { create: true });
  db.run(`PRAGMA page_size = ${desk.random.pick([1024, 4096, 8192])}`);
  db.run(TABLE);
  db.run("INSERT INTO notes (id, op, chain) VALUES (?, ?, ?)", [id, op, chain]);
  db.close();
  return path;
}
