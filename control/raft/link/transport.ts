/** Members joined by WebSockets, one per pair, over the same listener as everything else. DESIGN.md says why. */
import type { Server } from "bun";
import { SystemError } from "../../../shared/errors.ts";
import { limits } from "../../../shared/limits.ts";
import type { Keyring } from "../../../shared/protocol/keys.ts";
import type { StoredResult } from "../../store/remembered-results.ts";
import type { Message, NodeId } from "../core/types.ts";
import type { Clock } from "../driver/clock.ts";
import type { Receiver, SentSnapshot, Transport } from "../driver/transport.ts";
import { type Greeting, type Hello, provesItself, readGreeting, sealers, signHello } from "./handshake.ts";
import { dial, type LinkSocketData } from "./sockets.ts";
import type { Identities } from "./identities.ts";
import { Peer } from "./peer.ts";

export interface LinkTransportParts {
  clusterId: string;
  memberId: NodeId;
  /** Where this member is reached. */
  url: string;
  identities: Identities;
  keys: Keyring;
  clock: Clock;
  /** Evenly in [0, 1). */
  random: () => number;
  nowMs: () => number;
  /** A link stands. */
  met: (id: NodeId) => void;
  /** Told once per message. `refused`: the other member does not accept this one. */
  problem: (error: SystemError, refused: boolean) => void;
}

export class LinkTransport implements Transport {
  readonly #parts: LinkTransportParts;
  readonly #peers = new Map<NodeId, Peer>();
  readonly #told = new Set<string>();
  #receiver: Receiver | undefined;
  #closed = false;

  constructor(parts: LinkTransportParts) {
    this.#parts = parts;
  }

  start(receiver: Receiver): void {
    this.#receiver = receiver;
    this.#watch();
  }

  members(addresses: ReadonlyMap<NodeId, string | undefined>): void {
    for (const [id, address] of addresses) {
      if (id === this.#parts.memberId) continue;
      const peer = this.#peer(id);
      if (address !== undefined) peer.address = address;
    }
    // Empty until a member that joins has heard who the others are.
    if (addresses.size === 0) return;
    for (const [id, peer] of this.#peers) {
      if (addresses.has(id)) continue;
      this.#peers.delete(id);
      peer.close();
    }
    void this.#parts.identities.keepOnly(new Set(addresses.keys())).catch((error: unknown) => {
      this.#tell(error);
    });
  }

  send(message: Message, snapshot?: () => Promise<SentSnapshot | undefined>): void {
    const peer = this.#peers.get(message.to);
    if (message.kind !== "snapshot" || snapshot === undefined) {
      peer?.send(message);
      return;
    }
    snapshot().then(
      (sent) => {
        if (sent !== undefined) peer?.sendSnapshot(message, sent);
      },
      (error: unknown) => this.#tell(error),
    );
  }

  propose(to: NodeId, command: Uint8Array, signal: AbortSignal): Promise<StoredResult> {
    return this.#peer(to).propose(command, signal);
  }

  close(): Promise<void> {
    this.#closed = true;
    for (const peer of this.#peers.values()) peer.close();
    return Promise.resolve();
  }

  /** Another member dials: for the listener. Undefined when the request became a WebSocket. */
  accept(request: Request, server: Server<LinkSocketData | undefined>): Response | undefined {
    const greeting = readGreeting(request, this.#parts.keys, this.#parts.nowMs());
    if (greeting === undefined) return new Response("not signed by a member", { status: 401 });
    const data = this.#acceptor(greeting);
    return server.upgrade(request, { data }) ? undefined : new Response("not a WebSocket", { status: 426 });
  }

  #acceptor(greeting: Greeting): LinkSocketData {
    const { keys, identities } = this.#parts;
    const { from, url, instance } = greeting;
    const hello = this.#answer(greeting);
    const seals = "refused" in hello ? undefined : sealers(greeting, hello, keys);
    let proven = false;
    let peer: Peer | undefined;
    return {
      opened: (socket, text) => {
        text(JSON.stringify(hello));
        if ("refused" in hello) socket.close();
      },
      received: (socket, bytes) => {
        if (typeof bytes === "string" || seals === undefined) return;
        if (peer !== undefined) {
          peer.received(socket, bytes);
          return;
        }
        // The first frame proves that this is a member and no echo of an older greeting. More may come before it is adopted.
        seals.out.open(bytes);
        if (proven) return;
        proven = true;
        identities.remember(from, instance).then(
          () => {
            if (this.#closed) return;
            peer = this.#peer(from);
            const preferred = from < this.#parts.memberId;
            this.#adopt(peer, { socket, out: seals.back, in: seals.out, preferred }, url);
          },
          (error: unknown) => this.#tell(error),
        );
      },
      closed: (socket) => {
        if (peer?.dropped(socket) === true) this.#linkSoon(peer);
      },
    };
  }

  #answer(greeting: Greeting): Hello {
    const { clusterId, memberId, identities, keys } = this.#parts;
    try {
      if (greeting.clusterId !== clusterId || greeting.to !== memberId || greeting.from === memberId) {
        throw new SystemError(
          "object_foreign",
          `Cannot accept member ${greeting.from}: this is member ${memberId} of cluster ${clusterId}, not ${greeting.to} of ${greeting.clusterId}`,
          { hint: "Check the ids and addresses of --cluster, and that every member has its own directory." },
        );
      }
      identities.check(greeting.from, greeting.instance);
      return signHello(greeting, identities.instance, crypto.randomUUID(), keys);
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      this.#tell(error);
      return { refused: { code: error.code, message: error.message, hint: error.hint ?? "" } };
    }
  }

  async #dial(peer: Peer, address: string): Promise<void> {
    const { clusterId, memberId, url, identities, keys } = this.#parts;
    const greeting: Greeting = {
      clusterId,
      from: memberId,
      to: peer.id,
      instance: identities.instance,
      url,
      nonce: crypto.randomUUID(),
    };
    let adopted = false;
    const ready = await dial(address, greeting, keys, this.#parts.nowMs(), {
      received: (socket, bytes) => {
        if (adopted) peer.received(socket, bytes);
      },
      closed: (socket) => {
        if (peer.dropped(socket)) this.#linkSoon(peer);
      },
    });
    if (ready === undefined) return;
    const { socket, hello } = ready;
    try {
      if ("refused" in hello) {
        this.#tell(new SystemError(hello.refused.code, hello.refused.message, hello.refused), true);
        socket.close();
        return;
      }
      if (!provesItself(greeting, hello, keys) || hello.member !== peer.id) {
        throw new SystemError("object_foreign", `Cannot use ${address}: it is not member ${peer.id}`);
      }
      identities.check(peer.id, hello.instance);
      await identities.remember(peer.id, hello.instance);
      const { out, back } = sealers(greeting, hello, keys);
      socket.send(out.seal({ kind: "ping" }));
      adopted = true;
      if (this.#closed || this.#peers.get(peer.id) !== peer) socket.close();
      else this.#adopt(peer, { socket, out, in: back, preferred: memberId < peer.id });
    } catch (error) {
      socket.close();
      throw error;
    }
  }

  #adopt(peer: Peer, link: Parameters<Peer["adopt"]>[0], url?: string): void {
    if (!peer.adopt(link)) return;
    this.#parts.met(peer.id);
    if (url === undefined || url === "") return;
    peer.address = url;
    this.#receiver?.address(peer.id, url);
  }

  #peer(id: NodeId): Peer {
    let peer = this.#peers.get(id);
    if (peer === undefined) {
      const receiver = this.#receiver;
      if (receiver === undefined) throw new Error("the transport is not started");
      peer = new Peer(id, receiver, () => this.#parts.clock.now());
      this.#peers.set(id, peer);
      this.#linkSoon(peer);
    }
    return peer;
  }

  /** The one with the smaller id dials; the other one only when that has not helped for a while, so that one link is made. */
  #linkSoon(peer: Peer, delayMs: number = limits.raftDialMsMin): void {
    const { clock, random, memberId } = this.#parts;
    const patience = memberId < peer.id ? 0 : limits.raftDialPatienceMs;
    clock.after((delayMs + patience) * (0.5 + random() / 2), () => {
      if (this.#closed || this.#peers.get(peer.id) !== peer || peer.linked) return;
      const next = Math.min(delayMs * 2, limits.raftDialMsMax);
      const dialled =
        peer.address === undefined || peer.address === ""
          ? Promise.resolve()
          : this.#dial(peer, peer.address);
      void dialled
        .catch((error: unknown) => this.#tell(error))
        .finally(() => {
          if (!peer.linked) this.#linkSoon(peer, next);
        });
    });
  }

  #watch(): void {
    this.#parts.clock.after(limits.raftLinkPingMs, () => {
      if (this.#closed) return;
      for (const peer of this.#peers.values()) if (peer.check()) this.#linkSoon(peer);
      this.#watch();
    });
  }

  #tell(problem: unknown, refused = false): void {
    const error =
      problem instanceof SystemError
        ? problem
        : new SystemError("internal", "Cannot link members: unexpected", { cause: problem });
    if (this.#told.has(error.message) || this.#told.size >= limits.raftRefusalsToldMax) return;
    this.#told.add(error.message);
    this.#parts.problem(error, refused);
  }
}
