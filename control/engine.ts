import { join } from "node:path";
import type { Logger } from "pino";
import type { SystemError } from "../shared/errors.ts";
import type { Keyring } from "../shared/protocol/keys.ts";
import { openEtcdStore } from "./etcd/etcd-store.ts";
import { ETCD_PREFIX } from "./etcd/layout.ts";
import type { EngineOptions } from "./engine-options.ts";
import { type OpenMember, openMember } from "./raft/cluster.ts";

export interface EngineParts {
  /** Of all of control's data. */
  data: string;
  /** Where this replica listens. */
  url: string;
  keys: Keyring;
  log: Logger;
  /** Aborts before the store is closed. */
  stopping: AbortSignal;
  /** The process has to end. */
  fail: (error: SystemError) => void;
}

/** @throws what keeps this replica from starting */
export async function openEngine(options: EngineOptions, parts: EngineParts): Promise<OpenMember> {
  const { data, keys, log, stopping, fail } = parts;
  const url = options.advertise ?? parts.url;
  if (options.engine === "etcd") {
    const id = options.memberId ?? crypto.randomUUID();
    const store = await openEtcdStore({ urls: options.urls, prefix: ETCD_PREFIX, id, url, onFailure: fail });
    return { store, accept: () => new Response(null, { status: 404 }) };
  }
  const { memberId, founders, join: joins } = options;
  let met = false;
  return openMember({
    directory: join(data, "control"),
    url,
    keys,
    stopping,
    ...(memberId === undefined ? {} : { memberId }),
    ...(founders === undefined ? {} : { founders }),
    ...(joins === undefined ? {} : { join: joins }),
    onFailure: fail,
    onMet: () => {
      met = true;
    },
    onProblem(error, refused) {
      // Once it works with others, a wrong address of one of them must not end this one.
      if (refused && !met) fail(error);
      else log.error({ code: error.code, hint: error.hint }, error.message);
    },
  });
}
