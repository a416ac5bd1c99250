import { type Tally, TenantLoad } from "./load.ts";
import { Platform } from "./platform.ts";

const TENANTS = 8;
const USERS_PER_TENANT = 1;
const AFTER_MS = 3_000;

export interface ControlOutageReport extends Tally {
  seconds: number;
  /** While control was away. */
  acknowledgedMeanwhile: number;
}

/**
 * Kills control while its tenants are in use and starts it again after a while. What workers and gateways know goes on: no request of a
 * tenant that they know may fail.
 */
export async function controlOutage(seconds: number): Promise<ControlOutageReport> {
  const platform = await Platform.start({ workers: 2 });
  try {
    const loads: TenantLoad[] = [];
    for (let i = 0; i < TENANTS; i++) {
      const slug = `tenant-${i}`;
      loads.push(new TenantLoad(slug, await platform.createTenant(slug)));
    }
    for (const load of loads) load.start(USERS_PER_TENANT);
    await Bun.sleep(AFTER_MS);
    const acknowledged = (): number => loads.reduce((total, load) => total + load.acknowledged, 0);
    await platform.killControl();
    const before = acknowledged();
    await Bun.sleep(seconds * 1_000);
    const acknowledgedMeanwhile = acknowledged() - before;
    await platform.startControl();
    await Bun.sleep(AFTER_MS);
    const tallies = await Promise.all(loads.map((load) => load.finish()));
    const total = tallies.reduce((sum, one) => ({
      acknowledged: sum.acknowledged + one.acknowledged,
      open: sum.open + one.open,
      refused: sum.refused + one.refused,
      reads: sum.reads + one.reads,
      violations: [...sum.violations, ...one.violations],
    }));
    if (total.refused > 0) total.violations.push(`${total.refused} requests failed while control was away`);
    if (acknowledgedMeanwhile === 0) total.violations.push("nothing was acknowledged while control was away");
    return { ...total, seconds, acknowledgedMeanwhile };
  } finally {
    await platform.stop();
  }
}
