import { SystemError } from "../../../shared/errors.ts";
import type { Incarnation, LogSeq } from "../../../shared/ids.ts";
import { limits } from "../../../shared/limits.ts";
import type { ObjectStore } from "../../../shared/objects/contract.ts";
import { claimRestoreBlock } from "../../../control/disaster/claim-restore-block.ts";
import { type Rebuilt, rebuild } from "../../../control/disaster/rebuild.ts";
import type { ControlSnapshot } from "../../../control/disaster/snapshot.ts";
import { sealKey } from "../../../control/domain/keys.ts";
import type { SealRecord, TenantRecord, WorkerRecord } from "../../../control/domain/records.ts";
import { parallel } from "../../../worker/replication/parallel.ts";
import { type TenantPlan, examineOrigins, examineTenant, isDamaged } from "./examine-tenant.ts";
import type { Span } from "./log-holes.ts";
import { readLosses } from "./loss-report.ts";
import { type LogContents, readLogs } from "./read-logs.ts";
import { readMetadata } from "./read-metadata.ts";
import { readPins } from "./read-pins.ts";

export interface Survey {
  cluster: string;
  block: number;
  contents: LogContents;
  rebuilt: Rebuilt;
  plans: TenantPlan[];
  /** Tenants that are to load. */
  loadable: TenantRecord[];
  /** What is missing, for who does not accept it. */
  problems: SystemError[];
}

/**
 * Claims numbers, seals, reads everything that is there and looks at every tenant. Changes nothing but by claim and seals.
 * @throws SystemError for what cannot be read, or does not belong together
 */
export async function survey(
  store: ObjectStore,
  from: { snapshot: ControlSnapshot | undefined; key: string | undefined; at: string; atMs: number },
  signal: AbortSignal,
  above = 0,
): Promise<Survey> {
  const { snapshot, key, at, atMs } = from;
  const block = await claimRestoreBlock(store, signal, above);
  const contents = await readLogs(store, knownLogs(snapshot), signal);
  // After the seals: what an old control still wrote until then is among it.
  const { tenants, problems: unreadable } = await readMetadata(store, signal);
  refuse(unreadable);
  const pins = await readPins(store, tenants.keys(), signal);
  const losses = await readLosses(store, signal);
  const blockSeen = Math.max(
    snapshot?.block ?? 0,
    ...contents.logs.map(({ incarnation }) => Math.floor(incarnation / limits.incarnationsPerBlock)),
    ...[...tenants.values()].map(({ written }) => written?.block ?? 0),
    ...[...losses.values()].map((loss) => loss.block),
  );
  // The claim of a number that was given away is missing from a copy: none is given away twice.
  if (blockSeen >= block) return survey(store, from, signal, blockSeen);
  const cluster = clusterOf(snapshot?.cluster, key, tenants);
  const { logs, logged } = contents;
  const rebuilt = rebuild({
    snapshot,
    cluster,
    block,
    used: 0,
    tenants,
    pins,
    logged,
    logs,
    losses,
    at,
    atMs,
  });
  const loadable = rebuilt.tenants.filter(
    ({ id, suspended, deletion }) =>
      deletion?.purging !== true && !(suspended && losses.get(id)?.suspend === true),
  );
  const plans = await parallel(loadable, limits.restoreTenantsParallel, (tenant) =>
    examineTenant(store, tenant, contents, signal),
  );
  await examineOrigins(store, plans, signal);
  const problems = [
    ...logs.flatMap(({ incarnation, missing }) => missing.map((span) => missingFromLog(incarnation, span))),
    ...plans.filter(isDamaged).map((plan) => damageOf(plan)),
  ];
  return { cluster, block, contents, rebuilt, plans, loadable, problems };
}

/** Workers that an old state names, with where their logs end if it knows. */
function knownLogs(snapshot: ControlSnapshot | undefined): Map<Incarnation, LogSeq | undefined> {
  const known = new Map<Incarnation, LogSeq | undefined>();
  const rows = new Map(snapshot?.rows);
  for (const [name, row] of rows) {
    if (!name.startsWith("worker/")) continue;
    const { incarnation } = row as WorkerRecord;
    const seal = rows.get(sealKey(incarnation)) as SealRecord | undefined;
    known.set(incarnation, seal?.cleared === undefined ? seal?.endSeq : undefined);
  }
  return known;
}

const PROBLEMS_SHOWN_MAX = 20;

const HINT =
  "Objects are missing. Put them back from the bucket's versions or its copy and run this again; nothing was changed but seals. Or give up what they held: with --accept-loss every tenant goes on from the point before its first hole, and a report says what is missing.";

function missingFromLog(incarnation: Incarnation, [from, to]: Span): SystemError {
  const slots = from === to ? `slot ${from} is missing` : `slots ${from} to ${to} are missing`;
  return new SystemError("log_corrupt", `Cannot read log ${incarnation}: ${slots}`, { hint: HINT });
}

function damageOf({ tenant, databases, condemned, problem }: TenantPlan): SystemError {
  const reasons = databases.flatMap(({ database, end, lost, fill, beyond }) => {
    if (lost === undefined)
      return fill.length + beyond.length === 0 ? [] : [`files of ${database} are missing`];
    const missing = lost.missing.map(([from, to]) => (from === to ? `${from}` : `${from} to ${to}`));
    return [
      `${database} ends at TXID ${end.txid}, and there was ${lost.to}` +
        (missing.length === 0 ? "" : `: ${missing.join(", ")} missing`),
    ];
  });
  if (reasons.length + condemned.length === 0 && problem === undefined) reasons.push("files are missing");
  if (condemned.length > 0)
    reasons.push("files that were to be deleted are needed, since others are missing");
  if (problem === "gone") reasons.push("nothing of its data.db can be read");
  if (problem === "key") reasons.push("its data key is missing");
  if (problem === "origin") reasons.push("what it reads of its parent is missing");
  const text = `Cannot restore tenant ${tenant.slug} (${tenant.id}): ${reasons.join("; ")}`;
  return new SystemError(problem === "gone" ? "tenant_missing" : "chain_gap", text, { hint: HINT });
}

function clusterOf(
  fromSnapshot: string | undefined,
  key: string | undefined,
  tenants: Awaited<ReturnType<typeof readMetadata>>["tenants"],
): string {
  const named = new Map<string, string>();
  for (const [id, { metadata }] of tenants) if (metadata !== undefined) named.set(metadata.cluster, id);
  const [first, second] = named.keys();
  if (second !== undefined || (fromSnapshot !== undefined && first !== undefined && first !== fromSnapshot)) {
    const all = [...new Set([...(fromSnapshot === undefined ? [] : [fromSnapshot]), ...named.keys()])];
    throw new SystemError(
      "object_foreign",
      `Cannot restore: ${key ?? "the metadata"} and tenants' metadata are of different clusters, ${all.join(", ")}`,
      {
        hint: `Choose a snapshot of the right cluster with --from, or none with --from none; tenants of others (such as ${named.get(second ?? first ?? "")}) must be moved away. Nothing was deleted.`,
      },
    );
  }
  return fromSnapshot ?? first ?? crypto.randomUUID();
}

/** Throws the only one, or all in one. */
export function refuse(problems: readonly SystemError[]): void {
  const [first] = problems;
  if (first === undefined) return;
  if (problems.length === 1) throw first;
  const lines = problems.slice(0, PROBLEMS_SHOWN_MAX).map(({ message }) => `  ${message}`);
  throw new SystemError(first.code, `Cannot restore: ${problems.length} problems\n${lines.join("\n")}`, {
    ...(first.hint === undefined ? {} : { hint: first.hint }),
    details: { problems: problems.length },
  });
}
