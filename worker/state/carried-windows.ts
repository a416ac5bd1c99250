import { FixedWindows } from "../pb/fixed-windows.ts";
import { limits } from "../../shared/limits.ts";
import type { Tenant } from "../tenant/contract.ts";

/** Windows of a tenant that go along when it moves. @param name - of what they count, once per tenant */
export function carriedWindows(tenant: Tenant, name: string): FixedWindows {
  const windows = new FixedWindows(limits.clientWindowsMax);
  const given = tenant.carry(name, () => windows.save(limits.carriedValueCharactersMax, Date.now()));
  if (given !== undefined) windows.resume(given);
  return windows;
}
