import { badRequest } from "./api-error.ts";
import type { Tenant } from "../tenant/contract.ts";

/** Tenant slot: the backup that is being made or restored. In memory, so that no crash leaves it set for ever. */
const slot = { create: (): { name: string | undefined } => ({ name: undefined }) };

export function runningBackup(tenant: Tenant): string | undefined {
  return tenant.slot(slot).name;
}

/** One at a time. @throws ApiError 400 while another is running */
export async function exclusively<T>(tenant: Tenant, name: string, work: () => Promise<T>): Promise<T> {
  const running = tenant.slot(slot);
  if (running.name !== undefined) {
    throw badRequest("Try again later - another backup/restore process has already been started");
  }
  running.name = name;
  try {
    return await work();
  } finally {
    running.name = undefined;
  }
}
