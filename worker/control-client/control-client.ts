import { z } from "zod";
import { UserError } from "../../shared/errors.ts";
import type { Incarnation, TenantId } from "../../shared/ids.ts";
import { InternalClient, type InternalClientOptions } from "../../shared/protocol/internal-client.ts";
import {
  type Assignment,
  type BeatRequest,
  type BeatResponse,
  type ExitRequest,
  type RegisterRequest,
  type RegisterResponse,
  type ReportRequest,
  assignmentSchema,
  beatResponseSchema,
  registerResponseSchema,
} from "../../shared/protocol/internal.ts";

const nothing = z.object({});

/** What a worker says to control. Throws what `InternalClient.call` throws. */
export class ControlClient {
  readonly #client: InternalClient;

  constructor(options: InternalClientOptions) {
    this.#client = new InternalClient(options);
  }

  /** All its replicas. */
  get urls(): string {
    return this.#client.urls;
  }

  register(request: RegisterRequest, signal?: AbortSignal): Promise<RegisterResponse> {
    return this.#client.call("POST", "/v1/workers", registerResponseSchema, request, signal);
  }

  beat(incarnation: Incarnation, request: BeatRequest, signal?: AbortSignal): Promise<BeatResponse> {
    return this.#client.call("POST", `/v1/workers/${incarnation}/beats`, beatResponseSchema, request, signal);
  }

  /** Undefined when control says that the tenant is not this incarnation's. */
  async assignment(
    incarnation: Incarnation,
    tenant: TenantId,
    signal?: AbortSignal,
  ): Promise<Assignment | undefined> {
    try {
      return await this.#client.call(
        "GET",
        `/v1/workers/${incarnation}/assignments/${tenant}`,
        assignmentSchema,
        undefined,
        signal,
      );
    } catch (error) {
      if (error instanceof UserError) return undefined;
      throw error;
    }
  }

  async report(incarnation: Incarnation, reports: ReportRequest["reports"]): Promise<void> {
    await this.#client.call("POST", `/v1/workers/${incarnation}/reports`, nothing, { reports });
  }

  async exit(incarnation: Incarnation, request: ExitRequest): Promise<void> {
    await this.#client.call("POST", `/v1/workers/${incarnation}/exit`, nothing, request);
  }
}
