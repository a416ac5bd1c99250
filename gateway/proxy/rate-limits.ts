import { LRUCache } from "lru-cache";
import { UserError } from "../../shared/errors.ts";
import { limits } from "../../shared/limits.ts";

/** A token bucket's size and how fast it fills. */
export interface Rate {
  perSecond: number;
  burst: number;
}

interface Bucket {
  tokens: number;
  atMs: number;
}

/** What a bucket said, for the `RateLimit-*` headers. */
export interface Allowance {
  allowed: boolean;
  limit: number;
  remaining: number;
  /** Until the bucket is full again, or, when refused, until it has one token. */
  resetMs: number;
}

/** Token buckets by name. The least used ones are forgotten, which gives them a full bucket: memory is bounded, not fairness. */
export class RateLimiter {
  readonly #rate: Rate;
  readonly #buckets = new LRUCache<string, Bucket>({ max: limits.rateBucketsMax });
  readonly #nowMs: () => number;

  constructor(rate: Rate, nowMs: () => number = () => performance.now()) {
    this.#rate = rate;
    this.#nowMs = nowMs;
  }

  /** @param rate another one than everybody's */
  take(name: string, rate: Rate = this.#rate): Allowance {
    const { perSecond, burst } = rate;
    const nowMs = this.#nowMs();
    let bucket = this.#buckets.get(name);
    if (bucket === undefined) {
      bucket = { tokens: burst, atMs: nowMs };
      this.#buckets.set(name, bucket);
    }
    bucket.tokens = Math.min(burst, bucket.tokens + ((nowMs - bucket.atMs) / 1000) * perSecond);
    bucket.atMs = nowMs;
    const allowed = bucket.tokens >= 1;
    if (allowed) bucket.tokens -= 1;
    const missing = allowed ? burst - bucket.tokens : 1 - bucket.tokens;
    return {
      allowed,
      limit: burst,
      remaining: Math.floor(bucket.tokens),
      resetMs: (missing / perSecond) * 1000,
    };
  }
}

/**
 * What one client is counted as: its address, or its /64 for IPv6, where one customer has that many addresses.
 */
export function clientName(address: string): string {
  if (!address.includes(":")) return address;
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (mapped !== undefined) return mapped;
  const [head = "", tail] = address.toLowerCase().split("::");
  const front = head === "" ? [] : head.split(":");
  const back = tail === undefined || tail === "" ? [] : tail.split(":");
  const middle =
    tail === undefined ? [] : Array<string>(Math.max(0, 8 - front.length - back.length)).fill("0");
  return `${[...front, ...middle, ...back].slice(0, 4).join(":")}::/64`;
}

/** @throws UserError `rate_limited` */
export function refuseWhenEmpty(allowance: Allowance, whose: string): void {
  if (allowance.allowed) return;
  throw new UserError("rate_limited", `Cannot take this request: ${whose} sent too many`, {
    hint: "Wait a little, then send it again.",
    retryAfterMs: allowance.resetMs,
  });
}

/** `RateLimit-Limit`, `-Remaining` and `-Reset` (seconds), as the IETF's httpapi drafts had them and clients read them. */
export function rateHeaders(
  headers: { set: (name: string, value: string) => void },
  allowance: Allowance,
): void {
  headers.set("ratelimit-limit", String(allowance.limit));
  headers.set("ratelimit-remaining", String(allowance.remaining));
  headers.set("ratelimit-reset", String(Math.ceil(allowance.resetMs / 1000)));
}
