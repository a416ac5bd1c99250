import { FixedWindows } from "../pb/fixed-windows.ts";
import { limits } from "../../shared/limits.ts";
import type { Tenant } from "../tenant/contract.ts";

/** Windows of a tenant that go along to its next owner. @param name - of what they count, once per tenant */
export function carriedWindows(tenant: Tenant, name: string): FixedWindows {
  const windows: FixedWindows = new FixedWindows(limits.clientWindowsMax, () => carried.changed());
  const carried = tenant.carry(name, () => windows.save(limits.carriedValueCharactersMax, Date.now()));
  if (carried.given !== undefined) windows.resume(carried.given);
  return windows;
}
