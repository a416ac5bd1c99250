/** An authenticator in software, for tests without a browser: ES256, no attestation. */
import { isoBase64URL, isoCBOR } from "@simplewebauthn/server/helpers";

interface Options {
  challenge: string;
}

export interface ResponseOptions {
  origin: string;
  rpId: string;
  /** Whether the device checked who holds it. */
  isVerified?: boolean;
}

const PRESENT = 0x01;
const VERIFIED = 0x04;
const ATTESTED = 0x40;

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64url");
const digest = async (bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array> =>
  new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));

export class TestAuthenticator {
  readonly id = crypto.getRandomValues(new Uint8Array(24));
  counter = 0;
  /** What `counter` grows by at each use: 0 as authenticators that do not count. */
  step = 1;
  userHandle = "";
  readonly #keys: CryptoKeyPair;

  private constructor(keys: CryptoKeyPair) {
    this.#keys = keys;
  }

  static async make(): Promise<TestAuthenticator> {
    const algorithm = { name: "ECDSA", namedCurve: "P-256" };
    return new TestAuthenticator(await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"]));
  }

  async create(
    options: Options & { user: { id: string } },
    at: ResponseOptions,
    extra?: Map<string, unknown>,
  ) {
    this.userHandle = options.user.id;
    const { x = "", y = "" } = await crypto.subtle.exportKey("jwk", this.#keys.publicKey);
    const key = isoCBOR.encode(
      new Map<number, unknown>([
        [1, 2],
        [3, -7],
        [-1, 1],
        [-2, isoBase64URL.toBuffer(x)],
        [-3, isoBase64URL.toBuffer(y)],
      ]) as Parameters<typeof isoCBOR.encode>[0],
    );
    const authData = Buffer.concat([
      await this.#head(at, ATTESTED),
      Buffer.alloc(16),
      Buffer.from([0, this.id.length]),
      this.id,
      key,
    ]);
    const attestation = new Map<string, unknown>([
      ["fmt", "none"],
      ["attStmt", new Map()],
      ["authData", new Uint8Array(authData)],
      ...(extra ?? []),
    ]);
    const encoded = isoCBOR.encode(attestation as Parameters<typeof isoCBOR.encode>[0]);
    return {
      ...this.#frame(),
      response: {
        clientDataJSON: text(clientData("webauthn.create", options, at)),
        attestationObject: text(encoded),
        transports: ["internal", "made-up"],
      },
    };
  }

  async get(options: Options, at: ResponseOptions) {
    this.counter += this.step;
    const authData = await this.#head(at, 0);
    const client = clientData("webauthn.get", options, at);
    const signed = new Uint8Array(Buffer.concat([authData, await digest(client)]));
    const algorithm = { name: "ECDSA", hash: "SHA-256" };
    const signature = new Uint8Array(await crypto.subtle.sign(algorithm, this.#keys.privateKey, signed));
    return {
      ...this.#frame(),
      response: {
        clientDataJSON: text(client),
        authenticatorData: text(authData),
        signature: text(toDer(signature)),
        userHandle: this.userHandle,
      },
    };
  }

  async #head({ rpId, isVerified = true }: ResponseOptions, flags: number): Promise<Buffer> {
    const counter = Buffer.alloc(4);
    counter.writeUInt32BE(this.counter);
    const hash = await digest(new TextEncoder().encode(rpId));
    return Buffer.concat([hash, Buffer.from([flags | PRESENT | (isVerified ? VERIFIED : 0)]), counter]);
  }

  #frame() {
    const id = text(this.id);
    return { id, rawId: id, type: "public-key", clientExtensionResults: {} };
  }
}

function clientData(type: string, { challenge }: Options, { origin }: ResponseOptions) {
  return new TextEncoder().encode(JSON.stringify({ type, challenge, origin, crossOrigin: false }));
}

/** Authenticators sign in DER, WebCrypto as two plain numbers. */
function toDer(signature: Uint8Array): Uint8Array {
  const half = signature.length / 2;
  const numbers = [signature.slice(0, half), signature.slice(half)].map((bytes) => {
    const first = bytes.findIndex((byte) => byte !== 0);
    const short = bytes.slice(first);
    const plain = (short[0] ?? 0) >= 0x80 ? Uint8Array.of(0, ...short) : short;
    return Uint8Array.of(0x02, plain.length, ...plain);
  });
  const body = Buffer.concat(numbers);
  return Uint8Array.of(0x30, body.length, ...body);
}
