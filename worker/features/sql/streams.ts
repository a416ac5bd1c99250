import { randomText } from "../../../shared/ids.ts";
import { limits } from "../../../shared/limits.ts";
import { HranaStream } from "../../hrana/stream.ts";
import { ApiError, badRequest } from "../../pb/api-error.ts";
import type { Observation, Tenant } from "../../tenant/contract.ts";
import type { SqlAccess } from "../../statements/policy.ts";
import { TenantSession } from "./tenant-session.ts";

interface Kept {
  stream: HranaStream;
  session: TenantSession;
  access: SqlAccess;
  cancelTimer: () => void;
}

/** Hrana streams that stay open between requests, by their baton: new with every answer, useless to anyone who guesses. */
export class Streams {
  readonly #tenant: Tenant;
  readonly #kept = new Map<string, Kept>();
  #inUse = 0;

  constructor(tenant: Tenant) {
    this.#tenant = tenant;
    tenant.gone.addEventListener("abort", () => this.#drop(), { once: true });
  }

  /**
   * Runs `use` on the stream of that baton, or a new one.
   * @returns what `use` returned and the baton for the next request; undefined when the stream is closed
   * @throws ApiError 400 for an unknown baton, 429 when too many streams are open
   */
  async with<T>(
    baton: string | null | undefined,
    access: SqlAccess,
    seen: Observation,
    use: (stream: HranaStream) => Promise<T>,
  ): Promise<{ result: T; baton: string | undefined }> {
    const { stream, session } = this.#take(baton ?? undefined, access, seen);
    this.#inUse += 1;
    stream.startAnswer();
    let result: T;
    try {
      result = await use(stream);
    } catch (error) {
      await stream.close();
      throw error;
    } finally {
      this.#inUse -= 1;
    }
    return { result, baton: stream.isClosed ? undefined : this.#keep(stream, session, access) };
  }

  #take(baton: string | undefined, access: SqlAccess, seen: Observation): Pick<Kept, "stream" | "session"> {
    if (baton === undefined) {
      if (this.#kept.size + this.#inUse >= limits.sqlStreamsMax)
        throw new ApiError(429, `Too many SQL streams are open: at most ${limits.sqlStreamsMax}`);
      const session = new TenantSession(this.#tenant, access, seen);
      return { stream: new HranaStream(session), session };
    }
    const kept = this.#kept.get(baton);
    if (kept?.access !== access)
      throw badRequest("The stream of this baton is closed, or was idle for too long.");
    this.#kept.delete(baton);
    kept.cancelTimer();
    kept.session.observe(seen);
    return kept;
  }

  #keep(stream: HranaStream, session: TenantSession, access: SqlAccess): string {
    const baton = randomText(32, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789");
    const timer = setTimeout(() => {
      this.#kept.delete(baton);
      void stream.close();
    }, limits.sqlStreamIdleMs);
    this.#kept.set(baton, { stream, session, access, cancelTimer: () => clearTimeout(timer) });
    return baton;
  }

  #drop(): void {
    for (const { stream, cancelTimer } of this.#kept.values()) {
      cancelTimer();
      void stream.close();
    }
    this.#kept.clear();
  }
}

const slot = { create: (tenant: Tenant): Streams => new Streams(tenant) };

export function streamsOf(tenant: Tenant): Streams {
  return tenant.slot(slot);
}
