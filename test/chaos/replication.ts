import { CreateBucketCommand, S3Client } from "@aws-sdk/client-s3";
import { Random } from "../simulation/random.ts";
import { ensureS3Server } from "../../scripts/s3-server.ts";
import { Platform, type PlatformOptions, type Seat } from "./platform.ts";
import { type Tally, TenantLoad } from "./load.ts";
import { type StoppableServer, stoppable } from "./stoppable-server.ts";

const WORKERS = 3;
const TENANTS = 4;
const USERS_PER_TENANT = 2;
/** Longer than a lease: its tenants are taken over while it sleeps. */
const FREEZE_MS_MIN = 1_600;
const FREEZE_MS_MAX = 3_500;
const SERVED_AGAIN_MS_MAX = 20_000;
/** Longer than writes wait that were applied already. */
const OUTAGE_MS = 7_000;

export interface KillReport extends Tally {
  kills: number;
  freezes: number;
  seconds: number;
}

export interface S3 {
  /** Goes through a proxy that can be stopped. */
  server: StoppableServer;
  /** A place of its own for each platform. */
  place(): StorePlace;
}

/** Where a platform's object store is; nothing means a directory of its own. */
export type StorePlace = Pick<PlatformOptions, "store" | "environment">;

/** A bucket of its own on the real S3 server; undefined when there is none on this machine (which was said aloud). */
export async function openS3(): Promise<S3 | undefined> {
  const found = await ensureS3Server();
  if ("skip" in found) return undefined;
  const { endpoint, region, ...credentials } = found;
  const bucket = `chaos-${crypto.randomUUID()}`;
  const client = new S3Client({ endpoint, region, credentials, forcePathStyle: true });
  await client.send(new CreateBucketCommand({ Bucket: bucket }));
  client.destroy();
  const server = await stoppable(new URL(endpoint));
  const query = `endpoint=http://127.0.0.1:${server.port}&region=${region}&force-path-style=true`;
  let places = 0;
  return {
    server,
    place: () => ({
      store: `s3://${bucket}/place-${++places}?${query}`,
      environment: {
        AWS_ACCESS_KEY_ID: credentials.accessKeyId,
        AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
      },
    }),
  };
}

/**
 * Workers die by kill -9 and are frozen until their tenants are somebody else's, under load by the SDK through a gateway. What was
 * acknowledged must be there at the end, and nothing that was refused for sure.
 */
export async function killCampaign(
  place: StorePlace,
  kills: number,
  seed = 1,
  say: (line: string) => void = () => {},
): Promise<KillReport> {
  const random = new Random(seed);
  const startedMs = performance.now();
  const platform = await Platform.start({ workers: WORKERS, ...place });
  try {
    const loads = await startLoads(platform);
    let freezes = 0;
    const thaws: Promise<void>[] = [];
    const frozen = new Set<Seat>();
    for (let killed = 0; killed < kills; killed++) {
      await Bun.sleep(100 + random.below(600));
      if (random.chance(0.35) && frozen.size === 0) {
        const seat = random.pick(platform.seats);
        frozen.add(seat);
        freezes++;
        thaws.push(
          freeze(seat, FREEZE_MS_MIN + random.below(FREEZE_MS_MAX - FREEZE_MS_MIN)).finally(() =>
            frozen.delete(seat),
          ),
        );
        await Bun.sleep(random.below(1_500));
      }
      const seat = random.pick(platform.seats.filter((one) => !frozen.has(one)));
      seat.process.kill("SIGKILL");
      await seat.process.exited;
      await Bun.sleep(random.below(300));
      seat.process = await platform.startWorker(seat.name);
      await servedAgain(loads);
      if ((killed + 1) % 20 === 0) say(`${killed + 1} kills, ${freezes} freezes, ${sum(loads)} acknowledged`);
    }
    await Promise.all(thaws);
    await servedAgain(loads);
    const tally = combine(await Promise.all(loads.map((load) => load.finish())));
    return { ...tally, kills, freezes, seconds: (performance.now() - startedMs) / 1_000 };
  } finally {
    await platform.stop();
  }
}

export interface OutageReport extends Tally {
  outages: number;
  /** Creates that were acknowledged while the store was away, after what was under way had ended. */
  acknowledgedMeanwhile: number;
  refusedMeanwhile: number;
  /** The slowest recovery. */
  recoveryMsMax: number;
}

/** The store is stopped and started under load: durable tenants refuse, recover by themselves, and lose nothing. */
export async function outageCampaign(s3: S3, outages: number): Promise<OutageReport> {
  const platform = await Platform.start({ workers: 2, ...s3.place() });
  try {
    const loads = await startLoads(platform);
    let acknowledgedMeanwhile = 0;
    let refusedMeanwhile = 0;
    let recoveryMsMax = 0;
    for (let i = 0; i < outages; i++) {
      await Bun.sleep(500);
      s3.server.stop();
      await Bun.sleep(300);
      const before = sum(loads);
      const refusedBefore = loads.reduce((total, { refused }) => total + refused, 0);
      await Bun.sleep(OUTAGE_MS);
      acknowledgedMeanwhile += sum(loads) - before;
      refusedMeanwhile += loads.reduce((total, { refused }) => total + refused, 0) - refusedBefore;
      s3.server.start();
      const startedMs = performance.now();
      await servedAgain(loads);
      recoveryMsMax = Math.max(recoveryMsMax, performance.now() - startedMs);
    }
    const tally = combine(await Promise.all(loads.map((load) => load.finish())));
    return { ...tally, outages, acknowledgedMeanwhile, refusedMeanwhile, recoveryMsMax };
  } finally {
    s3.server.start();
    await platform.stop();
  }
}

async function startLoads(platform: Platform): Promise<TenantLoad[]> {
  const loads: TenantLoad[] = [];
  for (let i = 0; i < TENANTS; i++) {
    const slug = `tenant-${i}`;
    const load = new TenantLoad(slug, await platform.createTenant(slug));
    load.start(USERS_PER_TENANT);
    loads.push(load);
  }
  return loads;
}

async function freeze({ process }: Seat, ms: number): Promise<void> {
  process.kill("SIGSTOP");
  await Bun.sleep(ms);
  process.kill("SIGCONT");
}

/** Every tenant acknowledges writes from now on. @throws when one does not for too long */
async function servedAgain(loads: readonly TenantLoad[]): Promise<void> {
  const fromMs = performance.now();
  while (loads.some(({ lastAcknowledgedMs }) => lastAcknowledgedMs < fromMs)) {
    if (performance.now() - fromMs > SERVED_AGAIN_MS_MAX) {
      const dead = loads.flatMap(({ lastAcknowledgedMs }, i) =>
        lastAcknowledgedMs < fromMs ? [`tenant-${i}`] : [],
      );
      throw new Error(`${dead.join(", ")}: no write was acknowledged for ${SERVED_AGAIN_MS_MAX} ms`);
    }
    await Bun.sleep(10);
  }
}

const sum = (loads: readonly TenantLoad[]): number =>
  loads.reduce((total, { acknowledged }) => total + acknowledged, 0);

function combine(tallies: readonly Tally[]): Tally {
  const total: Tally = { acknowledged: 0, open: 0, refused: 0, reads: 0, violations: [] };
  for (const tally of tallies) {
    total.acknowledged += tally.acknowledged;
    total.open += tally.open;
    total.refused += tally.refused;
    total.reads += tally.reads;
    total.violations.push(...tally.violations);
  }
  return total;
}
