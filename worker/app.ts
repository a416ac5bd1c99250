/** The whole PocketBase API of a tenant: every feature in one frame. */
import { Crons } from "./crons/crons.ts";
import { policyCleanup } from "./auth/policy.ts";
import { authRoutes } from "./features/auth/routes.ts";
import { createSignIn } from "./features/auth/sign-in.ts";
import { autoBackupJob } from "./features/backups/auto-job.ts";
import { backupRoutes } from "./features/backups/routes.ts";
import { batchRoutes } from "./features/batch/routes.ts";
import { collectionRoutes } from "./features/collections/routes.ts";
import {
  mfaCleanupJob,
  optimizeJob,
  otpCleanupJob,
  rateLimitersCleanupJob,
} from "./features/crons/built-in.ts";
import { cronRoutes } from "./features/crons/routes.ts";
import { fileRoutes } from "./features/files/routes.ts";
import { healthRoutes } from "./features/health/routes.ts";
import { logsCleanupJob } from "./features/logs/cleanup-job.ts";
import { logJobFailure } from "./features/logs/job-failure.ts";
import { withRequestLogs } from "./features/logs/request-log.ts";
import { logRoutes } from "./features/logs/routes.ts";
import { mailAuthRoutes } from "./features/mail-auth/routes.ts";
import { noteOrigin } from "./features/mail-auth/sign-in-alert.ts";
import { offerProviders } from "./features/oauth2/auth-methods.ts";
import { oauth2Routes } from "./features/oauth2/routes.ts";
import { offerPasskeys, passkeyFactor } from "./features/passkeys/factor.ts";
import { passkeyRoutes } from "./features/passkeys/routes.ts";
import { passkeyCleanup } from "./features/passkeys/tables.ts";
import { realtimeHub } from "./features/realtime/hub.ts";
import { realtimeRoutes } from "./features/realtime/routes.ts";
import { recordRoutes } from "./features/records/routes.ts";
import { settingsRoutes } from "./features/settings/routes.ts";
import { testEmailRoutes } from "./features/test-email/routes.ts";
import { offerTotp, totpFactor } from "./features/totp/factor.ts";
import { totpRoutes } from "./features/totp/routes.ts";
import { credentialCleanup } from "./features/totp/tables.ts";
import { sqlRoutes } from "./features/sql/routes.ts";
import type { TenantApp } from "./http/contract.ts";
import { type Log, createLog } from "./log.ts";
import { Mailer } from "./mail/mailer.ts";
import { oauth2Services } from "./oauth2-services.ts";
import { Network } from "./outbound/network.ts";
import { createFrame } from "./pb/frame.ts";
import type { StrongFactor } from "./pb/sign-in.ts";
import { fileCleanup } from "./pb/records/file-cleanup.ts";
import { uploadSizes } from "./pb/records/upload-sizes.ts";
import type { Tenant } from "./tenant/contract.ts";

/** In the order in which PocketBase lists them. */
const CRON_JOBS = [
  optimizeJob,
  mfaCleanupJob,
  otpCleanupJob,
  logsCleanupJob,
  autoBackupJob,
  rateLimitersCleanupJob,
];

export const STRONG_FACTORS: readonly StrongFactor[] = [totpFactor, passkeyFactor];

/** The jobs of all tenants of a worker. @param work - see Crons */
export function createCrons(work?: (tenant: Tenant) => () => void): Crons {
  const log = createLog("crons");
  return new Crons({
    log,
    jobs: CRON_JOBS,
    onFailure: logJobFailure,
    ...(work === undefined ? {} : { work }),
  });
}

/** What a tenant needs from its load on, whoever writes to it first. Cheap when it was done before. */
export function attach(tenant: Tenant, crons: Crons): void {
  crons.attach(tenant);
  // It may have to note changes for clients of the owner before, who come again.
  tenant.slot(realtimeHub);
}

export interface TenantAppOptions {
  log?: Log;
  /** Also attached to tenants that are loaded without a request; the app's own when absent. */
  crons?: Crons;
  /** Where tenants may send this worker: to the public internet when absent. */
  network?: Network;
  mailer?: Mailer;
}

export function createTenantApp(options: TenantAppOptions = {}): TenantApp {
  const { network = new Network(), mailer = new Mailer({ network }), crons = createCrons() } = options;
  const log = options.log ?? createLog("api");
  const signIn = createSignIn({
    factors: STRONG_FACTORS,
    offers: [offerProviders, offerTotp, offerPasskeys],
    onSignedIn: (context, record) => noteOrigin(mailer, context, record),
  });
  const frame = createFrame({
    log,
    routes: [
      ...recordRoutes,
      ...authRoutes(signIn),
      ...oauth2Routes(oauth2Services(network, signIn)),
      ...totpRoutes(signIn),
      ...passkeyRoutes(signIn),
      ...mailAuthRoutes(mailer),
      ...collectionRoutes,
      ...realtimeRoutes,
      ...fileRoutes,
      ...batchRoutes,
      ...settingsRoutes,
      ...testEmailRoutes(mailer),
      ...healthRoutes,
      ...sqlRoutes,
      ...logRoutes,
      ...cronRoutes(crons),
      ...backupRoutes,
    ],
    prepare: [
      (tenant) => tenant.slot(fileCleanup),
      (tenant) => tenant.slot(uploadSizes),
      (tenant) => tenant.slot(policyCleanup),
      (tenant) => tenant.slot(credentialCleanup),
      (tenant) => tenant.slot(passkeyCleanup),
      (tenant) => attach(tenant, crons),
    ],
  });
  return withRequestLogs(frame);
}
