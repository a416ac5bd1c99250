import type { MiddlewareHandler } from "hono";
import { UserError } from "../../../shared/errors.ts";
import { HEADERS } from "../../../shared/protocol/headers.ts";
import { verifyCall } from "../../../shared/protocol/signature.ts";
import type { Control } from "../../service.ts";
import { pathAndQuery } from "../http.ts";

export type Caller = "member" | "gateway";

/** Lets a call pass that one of these callers' keys signed. */
export function signedBy(control: Control, callers: readonly Caller[]): MiddlewareHandler {
  const rings = { member: control.memberKeys, gateway: control.gatewayKeys };
  return async (context, next) => {
    const header = context.req.header(HEADERS.signature) ?? null;
    const body = header === null ? new Uint8Array() : new Uint8Array(await context.req.arrayBuffer());
    const path = pathAndQuery(context.req.url);
    const signer = (Object.keys(rings) as Caller[]).find((caller) => {
      const now = control.clock.nowMs();
      return "keyId" in verifyCall(rings[caller], header, context.req.method, path, body, now);
    });
    if (signer === undefined) {
      throw new UserError(
        "unauthorized",
        `Cannot call ${context.req.path}: the signature is missing or wrong`,
        {
          hint: "Check that both sides have the same key and that their clocks agree.",
        },
      );
    }
    if (!callers.includes(signer)) {
      throw new UserError("forbidden", `Cannot call ${context.req.path}: the ${signer} key may not`);
    }
    await next();
  };
}
