/**
 * How two members meet. The one that dials opens a WebSocket at `/v1/members/link?…`, signed like every internal call; the other
 * answers with a signed hello, or says why not. Both derive two keys from the member key and their nonces, one per direction, and
 * every frame after it is signed with them.
 */
import type { SystemErrorCode } from "../../../shared/errors.ts";
import { HEADERS } from "../../../shared/protocol/headers.ts";
import type { Keyring } from "../../../shared/protocol/keys.ts";
import { equalText, mac } from "../../../shared/protocol/mac.ts";
import { signCall, verifyCall } from "../../../shared/protocol/signature.ts";
import { Sealer } from "./frame.ts";

export const LINK_PATH = "/v1/members/link";
const PROTOCOL = "1";

/** What the dialling member says of itself. */
export interface Greeting {
  clusterId: string;
  from: string;
  to: string;
  /** Of the data directory: a member that lost it is another one. */
  instance: string;
  /** Where it is reached. */
  url: string;
  nonce: string;
}

/** What the other one answers, with a mac over both. */
export interface Welcome {
  member: string;
  instance: string;
  nonce: string;
  keyId: string;
  mac: string;
}

export type Hello = Welcome | { refused: { code: SystemErrorCode; message: string; hint: string } };

export function greetingRequest(
  greeting: Greeting,
  keys: Keyring,
  nowMs: number,
): { path: string; headers: Record<string, string> } {
  const path = `${LINK_PATH}?${new URLSearchParams({ ...greeting, protocol: PROTOCOL }).toString()}`;
  const signature = signCall(keys, "GET", path, new Uint8Array(), nowMs);
  return { path, headers: { [HEADERS.signature]: signature } };
}

/** Undefined when it is not signed by a member. */
export function readGreeting(request: Request, keys: Keyring, nowMs: number): Greeting | undefined {
  const { pathname, search, searchParams } = new URL(request.url);
  const header = request.headers.get(HEADERS.signature);
  if ("problem" in verifyCall(keys, header, "GET", pathname + search, new Uint8Array(), nowMs))
    return undefined;
  const read = (name: string): string => searchParams.get(name) ?? "";
  if (read("protocol") !== PROTOCOL) return undefined;
  return {
    clusterId: read("clusterId"),
    from: read("from"),
    to: read("to"),
    instance: read("instance"),
    url: read("url"),
    nonce: read("nonce"),
  };
}

export function signHello(greeting: Greeting, instance: string, nonce: string, keys: Keyring): Welcome {
  const said = { member: greeting.to, instance, nonce, keyId: keys.signing.id };
  return { ...said, mac: mac(keys.signing, covered(greeting, said)) };
}

/** Whether the hello is the answer to this greeting, by someone who has the key. */
export function provesItself(greeting: Greeting, hello: Welcome, keys: Keyring): boolean {
  const key = keys.byId.get(hello.keyId);
  return key !== undefined && equalText(hello.mac, mac(key, covered(greeting, hello)));
}

/** For the member that dialled; the other one uses them the other way round. */
export function sealers(
  greeting: Greeting,
  hello: { nonce: string; keyId: string },
  keys: Keyring,
): { out: Sealer; back: Sealer } {
  const key = keys.byId.get(hello.keyId) ?? keys.signing;
  const derive = (direction: string): Sealer =>
    new Sealer(mac(key, `link key\n${direction}\n${greeting.nonce}\n${hello.nonce}`));
  return { out: derive("out"), back: derive("back") };
}

function covered(greeting: Greeting, said: { member: string; instance: string; nonce: string }): string {
  const { clusterId, from, nonce } = greeting;
  return `link hello\n${clusterId}\n${from}\n${nonce}\n${said.member}\n${said.instance}\n${said.nonce}`;
}
