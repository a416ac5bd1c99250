/** A member of a cluster as control runs it: founding, joining, and the links to the others. */
import { createHash } from "node:crypto";
import type { Server } from "bun";
import { z } from "zod";
import { SystemError, UserError } from "../../shared/errors.ts";
import { limits } from "../../shared/limits.ts";
import { InternalClient } from "../../shared/protocol/internal-client.ts";
import type { Keyring } from "../../shared/protocol/keys.ts";
import type { ReplicatedStore } from "../store/contract.ts";
import { systemClock } from "./driver/clock.ts";
import { Identities } from "./link/identities.ts";
import type { LinkSocketData } from "./link/sockets.ts";
import { LinkTransport } from "./link/transport.ts";
import { type ClusterOptions, hasLog, ONLY_MEMBER, openRaftStore } from "./open.ts";

export interface MemberOptions {
  directory: string;
  /** Default: the only member of a cluster of its own. */
  memberId?: string;
  /** Where this member is reached by the others. */
  url: string;
  /** Ids and addresses of all founders, this one too; the same on each of them. */
  founders?: ReadonlyMap<string, string>;
  /** Address of a member of the cluster to join; several separated by commas. */
  join?: string;
  keys: Keyring;
  snapshotEvery?: number;
  /** Aborts before the store is closed: nothing more is asked of others. */
  stopping: AbortSignal;
  onFailure: (error: SystemError) => void;
  /** Another member was met and believed. */
  onMet: () => void;
  /** Told once per message; `refused`: another member does not accept this one. */
  onProblem: (error: SystemError, refused: boolean) => void;
}

export interface OpenMember {
  store: ReplicatedStore;
  /** Another member dials; for the listener. */
  accept(request: Request, server: Server<LinkSocketData | undefined>): Response | undefined;
}

export const membersSchema = z.object({
  cluster: z.string(),
  members: z.array(
    z.object({ id: z.string(), url: z.string(), role: z.enum(["leader", "follower", "learner"]) }),
  ),
});

/** @throws as `openRaftStore`; UserError `invalid_option`, `conflict`; what the cluster to join answers */
export async function openMember(options: MemberOptions): Promise<OpenMember> {
  const { directory, url, keys, onFailure, onProblem, snapshotEvery, join } = options;
  const memberId = options.memberId ?? ONLY_MEMBER;
  const fresh = !(await hasLog(directory));
  let transport: LinkTransport | undefined;
  const link = async ({
    disk,
    clusterId,
  }: {
    disk: Parameters<typeof Identities.open>[0];
    clusterId: string;
  }) => {
    const identities = await Identities.open(disk, () => crypto.randomUUID());
    transport = new LinkTransport({
      clusterId,
      memberId,
      url,
      identities,
      keys,
      clock: systemClock,
      random: Math.random,
      nowMs: Date.now,
      problem: onProblem,
      met: options.onMet,
    });
    return transport;
  };
  const cluster: ClusterOptions = { ...(await origin(options, memberId, fresh)), memberId, transport: link };
  const store = await openRaftStore({
    directory,
    cluster,
    url,
    onFailure,
    ...(snapshotEvery === undefined ? {} : { snapshotEvery }),
  });
  if (join !== undefined) {
    void promoteSelf(store, memberId, new InternalClient(callOptions(join, keys)), options.stopping);
  }
  return {
    store,
    accept: (request, server) =>
      transport === undefined ? new Response(null, { status: 503 }) : transport.accept(request, server),
  };
}

/** What a new directory starts from; an old one knows. */
async function origin(
  { founders, join, keys, url }: MemberOptions,
  memberId: string,
  fresh: boolean,
): Promise<Pick<ClusterOptions, "clusterId" | "founders" | "addresses">> {
  if (founders !== undefined && join !== undefined) {
    throw new UserError("invalid_option", "Cannot found a cluster and join one: give --cluster or --join");
  }
  if (founders !== undefined && founders.get(memberId) === undefined) {
    throw new UserError(
      "invalid_option",
      `Cannot found the cluster: --cluster does not name member ${memberId}`,
      {
        hint: "Give --member-id, and the same --cluster to every founder.",
      },
    );
  }
  if (!fresh) return { founders: [] };
  if (join !== undefined) return joinCluster(new InternalClient(callOptions(join, keys)), memberId, url);
  if (founders === undefined) return { founders: [memberId] };
  const ids = [...founders.keys()].sort();
  const text = ids.map((id) => `${id}=${founders.get(id)}`).join("\n");
  const clusterId = createHash("sha256").update(text).digest("hex").slice(0, 32);
  return { clusterId, founders: ids, addresses: Object.fromEntries(founders) };
}

async function joinCluster(
  client: InternalClient,
  id: string,
  url: string,
): Promise<Pick<ClusterOptions, "clusterId" | "founders" | "addresses">> {
  let known = await client.call("GET", "/v1/members", membersSchema);
  const already = known.members.find((member) => member.id === id);
  if (already !== undefined && already.role !== "learner") {
    throw new UserError(
      "conflict",
      `Cannot join: the cluster has a member ${id}, which this directory does not hold`,
      {
        hint: `Start ${id} on its own directory, or remove it from the cluster and join under a new id.`,
      },
    );
  }
  if (already === undefined) known = await client.call("POST", "/v1/members", membersSchema, { id, url });
  const addresses = Object.fromEntries(known.members.map((member) => [member.id, member.url]));
  return { clusterId: known.cluster, founders: [], addresses };
}

/** A learner that has caught up asks for a vote; refused while it lags. */
async function promoteSelf(
  store: ReplicatedStore,
  id: string,
  client: InternalClient,
  stopping: AbortSignal,
): Promise<void> {
  while (!stopping.aborted) {
    const members = await store.members();
    if (members.some((member) => member.id === id && member.role !== "learner")) return;
    await client
      .call("POST", `/v1/members/${id}/promote`, membersSchema, {}, stopping)
      .catch(() => undefined);
    await systemSleep(limits.raftPromoteRetryMs, stopping);
  }
}

function systemSleep(delayMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const cancel = systemClock.after(delayMs, resolve);
    signal.addEventListener("abort", () => (cancel(), resolve()), { once: true });
  });
}

function callOptions(url: string, keys: Keyring): ConstructorParameters<typeof InternalClient>[0] {
  return { url, keys, timeoutMs: 2 * limits.controlRequestMs };
}
