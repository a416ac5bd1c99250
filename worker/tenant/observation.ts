import type { SystemError } from "../../shared/errors.ts";
import type { Txid } from "../../shared/ids.ts";
import { HEADERS } from "../../shared/protocol/headers.ts";
import type { OutputGate, Seen } from "../replication/gate.ts";
import type { CommitMark } from "../replication/position.ts";
import type { Observation } from "./contract.ts";
import type { LoadedDatabase } from "./loaded-database.ts";

interface Noted extends Seen {
  database: LoadedDatabase;
  txid: Txid;
}

/** What one request has seen: per database the newest commit. */
export class RequestObservation implements Observation {
  readonly #gate: OutputGate;
  readonly #lost: () => SystemError | undefined;
  readonly #noted: Noted[] = [];
  #wrote = false;

  /** @param lost - why the tenant is not here any more */
  constructor(gate: OutputGate, lost: () => SystemError | undefined) {
    this.#gate = gate;
    this.#lost = lost;
  }

  /** The newest commit of this database was, or could be, seen. */
  note(database: LoadedDatabase): void {
    const { position } = database;
    const mark: CommitMark = database.newestMark;
    let known: Noted | undefined;
    for (const one of this.#noted) if (one.database === database) known = one;
    if (known === undefined) {
      const { isAsync, lagBytes } = database;
      this.#noted.push({ database, position, mark, txid: position.newestTxid, async: isAsync, lagBytes });
    } else {
      known.mark = mark;
      known.txid = position.newestTxid;
    }
  }

  noteWrite(database: LoadedDatabase): void {
    this.#wrote = true;
    this.note(database);
  }

  settled(signal?: AbortSignal): Promise<void> | void {
    const lost = this.#lost();
    if (lost !== undefined) {
      // A durable write stands, whoever serves the tenant now; what was only read may be out of date.
      const durable = this.#noted.every(({ position, mark }) => position.isDurable(mark));
      if (durable && (this.#wrote || lost.code === "tenant_moving")) return;
      if (!this.#wrote) throw lost;
    }
    return this.#gate.pass(this.#noted, this.#wrote, signal);
  }

  headers(): Record<string, string> {
    if (this.#noted.length === 0) return {};
    let positions = "";
    let durable = "1";
    for (const { database, txid, position, mark } of this.#noted) {
      const isDurable = position.isDurable(mark);
      if (!isDurable) durable = "0";
      // A commit that turned out to change nothing has made no TXID of its own.
      const known = isDurable ? Math.min(txid, position.durable.txid) : txid;
      positions += `${positions === "" ? "" : ","}${database.name}=${known}`;
    }
    return { [HEADERS.txid]: positions, [HEADERS.durable]: durable };
  }
}
