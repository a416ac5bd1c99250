/** What the frame and its handlers learn of a request, for the tenant's logs: more than its client is told. */
import type { ApiError } from "./api-error.ts";
import type { AuthState } from "./route.ts";

/** Why it failed. A text: of a request that was answered as if nothing were wrong. */
export type Failure = ApiError | string;

const failures = new WeakMap<Request, Failure>();
const auths = new WeakMap<Request, AuthState>();

export function noteFailure(request: Request, failure: Failure): void {
  failures.set(request, failure);
}

export function failureOf(request: Request): Failure | undefined {
  return failures.get(request);
}

/** Who asked, as of then: what the request did may have ended the token. */
export function noteAuth(request: Request, auth: AuthState): void {
  auths.set(request, auth);
}

export function authOf(request: Request): AuthState | undefined {
  return auths.get(request);
}
