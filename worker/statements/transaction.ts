import { statSync } from "node:fs";
import { limits } from "../../shared/limits.ts";
import type { SqlValue } from "../sqlite/contract.ts";
import type { LentFile, Observation, Tenant } from "../tenant/contract.ts";
import { storageFull } from "../tenant/quota.ts";
import { StatementFailure, interrupted } from "./failure.ts";
import type { Described, Question, Ran, StatementBounds } from "./messages.ts";
import type { SqlAccess } from "./policy.ts";
import { writerPool } from "./pool.ts";
import type { StatementProcess } from "./statement-process.ts";

export interface RanWithRows extends Ran {
  rows: SqlValue[][];
}

export interface TransactionOptions {
  access: SqlAccess;
  deferForeignKeys: boolean;
  /** After a commit that may have changed collections or settings behind the model's back. */
  onModelChanged: () => void;
}

/** A writing transaction on a tenant's data.db in a process of its own, under the tenant's write lock. */
export class SqlTransaction {
  readonly #process: StatementProcess;
  readonly #file: LentFile;
  readonly #options: TransactionOptions & { tenant: Tenant };
  readonly #walBytes: number;
  readonly #over: () => void;
  #ended: Promise<void>;
  #touchesModel = false;

  private constructor(
    process: StatementProcess,
    file: LentFile,
    options: TransactionOptions & { tenant: Tenant },
    ended: Promise<void>,
    over: () => void,
  ) {
    this.#process = process;
    this.#file = file;
    this.#options = options;
    this.#ended = ended;
    this.#over = over;
    this.#walBytes = walBytes(file.path);
  }

  /** Waits for a process and for the write lock. @throws SystemError, StatementFailure */
  static async begin(
    tenant: Tenant,
    seen: Observation,
    options: TransactionOptions,
  ): Promise<SqlTransaction> {
    // First the process: who waits for one must not keep the tenant's other writers waiting.
    const process = await writerPool().lease(tenant.id);
    const kill = (): void => void process.kill("The tenant has left this worker");
    tenant.gone.addEventListener("abort", kill, { once: true });
    const begun = Promise.withResolvers<LentFile>();
    const over = Promise.withResolvers<void>();
    const ended = tenant.data
      .lend(seen, async (file) => {
        const { access, deferForeignKeys } = options;
        const bytesMax = roomOf(tenant);
        const open: Question = {
          ...{ type: "open", path: file.path, access, writes: true, deferForeignKeys },
          ...(bytesMax === undefined ? {} : { bytesMax }),
        };
        await process.ask(open, limits.sqlStatementMs);
        begun.resolve(file);
        await over.promise;
      })
      .catch((error: unknown) => begun.reject(error))
      .finally(() => {
        tenant.gone.removeEventListener("abort", kill);
        writerPool().release(process);
      });
    return new SqlTransaction(process, await begun.promise, { ...options, tenant }, ended, over.resolve);
  }

  /** @throws what SQLite says, SqlRefused; StatementFailure with `isLost` when the transaction is over by that */
  async run(
    sql: string,
    params: readonly SqlValue[],
    how: { bounds: StatementBounds; mayNest: boolean; mustFit: boolean },
  ): Promise<RanWithRows> {
    const { told, rows } = await this.#ask({ type: "run", sql, params, ...how });
    if (told.type !== "ran") throw new Error("Cannot run a statement: its process said something else");
    this.#touchesModel ||= told.ran.ran && told.ran.nature.touchesModel;
    return { ...told.ran, rows: rows as SqlValue[][] };
  }

  async describe(sql: string): Promise<Described> {
    const { told } = await this.#ask({ type: "describe", sql });
    if (told.type !== "described") throw new Error("Cannot describe: its process said something else");
    return told.described;
  }

  /** The transaction is over whatever happens. @throws what COMMIT fails with: then nothing was committed */
  async commit(): Promise<void> {
    try {
      const send = async (): Promise<void> => {
        await this.#ask({ type: "commit" });
      };
      await this.#file.commit(send, this.#touchesModel ? this.#options.onModelChanged : undefined);
    } finally {
      await this.#end();
    }
  }

  async rollback(): Promise<void> {
    await this.#end();
  }

  /** Also while a statement runs: that is stopped. */
  async abort(why: string): Promise<void> {
    await this.#process.kill(why);
    await this.#end();
  }

  async #end(): Promise<void> {
    try {
      if (!this.#process.isEnded) await this.#ask({ type: "close" });
    } catch {
      await this.#process.kill("The transaction did not end");
    } finally {
      this.#over();
    }
    await this.#ended;
  }

  /** Looks after the WAL meanwhile: all of it is read and encoded by the worker when the transaction commits. */
  async #ask(question: Question): ReturnType<StatementProcess["ask"]> {
    const timer = setInterval(() => {
      if (this.#isTooLong()) void this.#process.kill(TOO_LONG);
    }, limits.sqlWalLookMs);
    try {
      if (question.type === "commit" && this.#isTooLong()) await this.#process.kill(TOO_LONG);
      if (this.#process.isEnded && question.type === "commit") throw interrupted(TOO_LONG);
      return await this.#process.ask(question, limits.sqlStatementMs);
    } catch (error) {
      throw asQuotaFailure(error, this.#options.tenant);
    } finally {
      clearInterval(timer);
    }
  }

  #isTooLong(): boolean {
    return walBytes(this.#file.path) - this.#walBytes > limits.sqlTransactionBytesMax;
  }
}

/** What the quota leaves to data.db; undefined: no quota. */
function roomOf({ quota, data }: Tenant): number | undefined {
  if (quota === undefined) return undefined;
  const others = quota.databaseBytes() - data.bytes;
  return quota.bytesMax - others - quota.uploadBytes;
}

function asQuotaFailure(error: unknown, { quota }: Tenant): unknown {
  if (quota === undefined || !(error instanceof StatementFailure) || error.code !== "SQLITE_FULL")
    return error;
  const { message } = storageFull("write", quota.bytesMax);
  return new StatementFailure(message, error.errno, error.code, error.isLost);
}

const TOO_LONG = `The transaction changes more than ${limits.sqlTransactionBytesMax} bytes`;

/** Nothing is opened for it: that would cost this process its locks. */
function walBytes(path: string): number {
  return statSync(`${path}-wal`, { throwIfNoEntry: false })?.size ?? 0;
}
