/** The whole PocketBase API of a tenant: every feature in one frame. */
import { authRoutes } from "./features/auth/routes.ts";
import { batchRoutes } from "./features/batch/routes.ts";
import { collectionRoutes } from "./features/collections/routes.ts";
import { fileRoutes } from "./features/files/routes.ts";
import { healthRoutes } from "./features/health/routes.ts";
import { realtimeRoutes } from "./features/realtime/routes.ts";
import { recordRoutes } from "./features/records/routes.ts";
import { settingsRoutes } from "./features/settings/routes.ts";
import type { TenantApp } from "./http/contract.ts";
import { type Log, createLog } from "./log.ts";
import { createFrame } from "./pb/frame.ts";
import { fileCleanup } from "./pb/records/file-cleanup.ts";

export function createTenantApp(options: { log?: Log } = {}): TenantApp {
  return createFrame({
    log: options.log ?? createLog("api"),
    routes: [
      ...recordRoutes,
      ...authRoutes,
      ...collectionRoutes,
      ...realtimeRoutes,
      ...fileRoutes,
      ...batchRoutes,
      ...settingsRoutes,
      ...healthRoutes,
    ],
    prepare: [({ tenant }) => tenant.slot(fileCleanup)],
  });
}
