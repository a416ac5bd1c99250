import { z } from "zod";
import { SystemError } from "../../shared/errors.ts";
import type { Epoch, Incarnation, TenantId } from "../../shared/ids.ts";
import { limits } from "../../shared/limits.ts";
import {
  type Assignment,
  type LoadedTenants,
  type OwnershipRequest,
  type Positions,
  type PrewarmRequest,
  type ReleaseResponse,
  loadedTenantsSchema,
  releaseResponseSchema,
} from "../../shared/protocol/internal.ts";
import { InternalClient } from "../../shared/protocol/internal-client.ts";
import type { Keyring } from "../../shared/protocol/keys.ts";

export interface WorkerAddress {
  incarnation: Incarnation;
  url: string;
}

/** What control asks of workers. Throws the worker's own error, or SystemError `worker_unreachable` (may have happened). */
export interface WorkerClient {
  release(
    worker: WorkerAddress,
    tenant: TenantId,
    epoch: Epoch,
    signal: AbortSignal,
  ): Promise<ReleaseResponse>;
  load(worker: WorkerAddress, tenant: TenantId, epoch: Epoch, signal: AbortSignal): Promise<void>;
  /** Where what is under the prefix ends, now that all that was durable has been put there. */
  flush(worker: WorkerAddress, tenant: TenantId, epoch: Epoch, signal: AbortSignal): Promise<Positions>;
  prewarm(worker: WorkerAddress, assignment: Assignment, signal: AbortSignal): Promise<void>;
  tenants(worker: WorkerAddress, signal: AbortSignal): Promise<LoadedTenants>;
}

export function createWorkerClient(parts: { memberKeys: Keyring; fetch: typeof fetch }): WorkerClient {
  const call = async <Schema extends z.ZodType>(
    worker: WorkerAddress,
    timeoutMs: number,
    method: "GET" | "POST",
    path: string,
    schema: Schema,
    body: OwnershipRequest | PrewarmRequest | undefined,
    signal: AbortSignal,
  ): Promise<z.infer<Schema>> => {
    const client = new InternalClient({
      url: worker.url,
      keys: parts.memberKeys,
      timeoutMs,
      fetch: parts.fetch,
    });
    try {
      return await client.call(method, path, schema, body, signal);
    } catch (error) {
      if (!(error instanceof SystemError) || error.code !== "control_unreachable") throw error;
      throw new SystemError(
        "worker_unreachable",
        `Cannot ask worker ${worker.incarnation} at ${worker.url}: it gave no answer`,
        { cause: error.cause, retryAfterMs: 1000 },
      );
    }
  };
  return {
    async release(worker, tenant, epoch, signal) {
      const path = `/v1/tenants/${tenant}/release`;
      const body = { incarnation: worker.incarnation, epoch };
      const schema = releaseResponseSchema;
      return await call(worker, limits.releaseCallMs, "POST", path, schema, body, signal);
    },
    async load(worker, tenant, epoch, signal) {
      const path = `/v1/tenants/${tenant}/load`;
      const body = { incarnation: worker.incarnation, epoch };
      await call(worker, limits.tenantLoadMsMax, "POST", path, z.object({}), body, signal);
    },
    async flush(worker, tenant, epoch, signal) {
      const path = `/v1/tenants/${tenant}/flush`;
      const body = { incarnation: worker.incarnation, epoch };
      const schema = releaseResponseSchema;
      return (await call(worker, limits.prewarmCallMs, "POST", path, schema, body, signal)).base;
    },
    async prewarm(worker, assignment, signal) {
      const path = `/v1/tenants/${assignment.tenant}/prewarm`;
      const body = { incarnation: worker.incarnation, assignment };
      await call(worker, limits.prewarmCallMs, "POST", path, z.object({}), body, signal);
    },
    async tenants(worker, signal) {
      const schema = loadedTenantsSchema;
      const answer = await call(worker, limits.workerCallMs, "GET", "/v1/tenants", schema, undefined, signal);
      return answer.tenants;
    },
  };
}
