import { type TenantId, parseTenantId } from "../ids.ts";
import { TICKET_ACTIONS, type TicketAction } from "./internal.ts";
import type { Keyring } from "./keys.ts";
import { equalText, mac } from "./mac.ts";

/** Leave to do one thing to one tenant for a short time; sent as `Authorization: Ticket <text>`. */
export interface Ticket {
  tenant: TenantId;
  action: TicketAction;
  expiresMs: number;
}

/** `t1.<key id>.<tenant>.<action>.<expiry ms>.<mac>` */
export function signTicket(keys: Keyring, ticket: Ticket): string {
  const head = `t1.${keys.signing.id}.${ticket.tenant}.${ticket.action}.${ticket.expiresMs}`;
  return `${head}.${mac(keys.signing, `ticket\n${head}`)}`;
}

/** @returns undefined for a ticket that is malformed, forged or expired */
export function verifyTicket(keys: Keyring, text: string, nowMs: number): Ticket | undefined {
  const parts = text.split(".");
  const [version, keyId, tenant, action, expiresMs, given] = parts;
  const key = keys.byId.get(keyId ?? "");
  if (parts.length !== 6 || version !== "t1" || key === undefined || given === undefined) return undefined;
  const head = parts.slice(0, 5).join(".");
  if (!equalText(given, mac(key, `ticket\n${head}`))) return undefined;
  const known = TICKET_ACTIONS.find((name) => name === action);
  if (known === undefined || !(nowMs < Number(expiresMs))) return undefined;
  return { tenant: parseTenantId(tenant ?? ""), action: known, expiresMs: Number(expiresMs) };
}
