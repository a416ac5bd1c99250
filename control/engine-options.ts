import { UserError } from "../shared/errors.ts";
import type { ParsedArguments } from "../shared/options.ts";
import { MEMBER_ID } from "./api/member-schemas.ts";

export const ENGINE_OPTIONS = {
  "member-id": {
    value: "<id>",
    env: "MANYBASE_MEMBER_ID",
    help: "Name of this replica of control; needed with --cluster and --join.",
  },
  cluster: {
    value: "<id=url,…>",
    env: "MANYBASE_CLUSTER",
    help: "Every founding replica with its address, the same list on each; 3 or 5 of them outlive the death of 1 or 2.",
  },
  join: {
    value: "<urls>",
    env: "MANYBASE_JOIN",
    help: "Join the running cluster that answers there; known already on later starts.",
  },
  advertise: {
    value: "<url>",
    env: "MANYBASE_CONTROL_ADVERTISE",
    help: "Where the other replicas reach this one, when it is not the address that it listens on.",
  },
  "store-engine": {
    value: "<name>",
    env: "MANYBASE_STORE_ENGINE",
    default: "raft",
    help: "What keeps the state: raft (in control itself) or etcd.",
  },
  etcd: {
    value: "<urls>",
    env: "MANYBASE_ETCD",
    help: "With --store-engine etcd: its client addresses.",
  },
};

export type EngineOptions =
  | {
      engine: "raft";
      memberId?: string;
      founders?: ReadonlyMap<string, string>;
      join?: string;
      advertise?: string;
    }
  | { engine: "etcd"; urls: string; memberId?: string; advertise?: string };

/** @throws UserError `invalid_option` */
export function readEngineOptions(values: ParsedArguments<typeof ENGINE_OPTIONS>["values"]): EngineOptions {
  const { cluster, join, advertise, etcd } = values;
  const memberId = values["member-id"];
  if (memberId !== undefined && !MEMBER_ID.test(memberId)) {
    throw invalid(`--member-id: ${JSON.stringify(memberId)} is not 1 to 32 of a-z, 0-9 and -`);
  }
  const common = {
    ...(memberId === undefined ? {} : { memberId }),
    ...(advertise === undefined ? {} : { advertise: url(advertise, "--advertise") }),
  };
  const engine = values["store-engine"];
  if (engine === "etcd") {
    if (etcd === undefined) throw invalid("--store-engine etcd: it needs --etcd");
    for (const one of etcd.split(",")) url(one, "--etcd");
    return { engine, urls: etcd, ...common };
  }
  if (engine !== "raft") throw invalid(`--store-engine: ${JSON.stringify(engine)} is neither raft nor etcd`);
  if (cluster !== undefined && join !== undefined) throw invalid("--join: this replica founds by --cluster");
  if ((cluster !== undefined || join !== undefined) && memberId === undefined) {
    throw invalid("--cluster and --join: they need --member-id");
  }
  const founders = cluster === undefined ? undefined : readFounders(cluster);
  if (founders !== undefined && memberId !== undefined && !founders.has(memberId)) {
    throw invalid(`--cluster: it does not name this replica, ${memberId}`);
  }
  return {
    engine,
    ...common,
    ...(founders === undefined ? {} : { founders }),
    ...(join === undefined
      ? {}
      : {
          join: join
            .split(",")
            .map((one) => url(one, "--join"))
            .join(","),
        }),
  };
}

function readFounders(text: string): ReadonlyMap<string, string> {
  const founders = new Map<string, string>();
  for (const part of text.split(",")) {
    const [id = "", ...rest] = part.trim().split("=");
    if (!MEMBER_ID.test(id)) throw invalid(`--cluster: ${JSON.stringify(part)} is not id=url`);
    if (founders.has(id)) throw invalid(`--cluster: ${id} is named twice`);
    founders.set(id, url(rest.join("="), "--cluster"));
  }
  if (new Set(founders.values()).size < founders.size)
    throw invalid("--cluster: two replicas have one address");
  return founders;
}

function url(text: string, name: string): string {
  const parsed = URL.parse(text.trim());
  if (parsed === null || !/^https?:$/.test(parsed.protocol)) {
    throw invalid(`${name}: ${JSON.stringify(text)} is not an http URL`);
  }
  return parsed.href.replace(/\/$/, "");
}

function invalid(state: string): UserError {
  return new UserError("invalid_option", `Cannot read ${state}`, { hint: "Try --help." });
}
