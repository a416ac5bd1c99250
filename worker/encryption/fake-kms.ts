/** For tests: as much of AWS KMS as Encrypt and Decrypt of symmetric keys need, over its JSON protocol. */
import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";

export interface FakeKms {
  endpoint: string;
  /** Calls so far, e.g. `Encrypt`. */
  calls: string[];
  /** Answers HTTP 500 while it is true. */
  broken: boolean;
  disabled: Set<string>;
  stop(): Promise<void>;
}

interface CallBody {
  KeyId?: string;
  Plaintext?: string;
  CiphertextBlob?: string;
  EncryptionContext?: Record<string, string>;
}

export function startFakeKms(keyIds: readonly string[]): FakeKms {
  const keys = new Map(keyIds.map((id) => [id, randomBytes(32)]));
  const fake: Omit<FakeKms, "endpoint" | "stop"> = { calls: [], broken: false, disabled: new Set() };
  const refuse = (type: string, status = 400): Response =>
    Response.json(
      { __type: type, message: type },
      { status, headers: { "content-type": "application/x-amz-json-1.1" } },
    );
  const server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    async fetch(request) {
      const action = (request.headers.get("x-amz-target") ?? "").replace("TrentService.", "");
      fake.calls.push(action);
      const body = (await request.json()) as CallBody;
      if (fake.broken) return refuse("KMSInternalException", 500);
      if (request.headers.get("authorization")?.startsWith("AWS4-HMAC-SHA256") !== true) {
        return refuse("MissingAuthenticationTokenException");
      }
      const key = keys.get(body.KeyId ?? "");
      if (key === undefined) return refuse("NotFoundException");
      if (fake.disabled.has(body.KeyId ?? "")) return refuse("DisabledException");
      const aad = Buffer.from(
        JSON.stringify(Object.entries(body.EncryptionContext ?? {}).toSorted(([a], [b]) => (a < b ? -1 : 1))),
      );
      if (action === "Encrypt") {
        const nonce = randomBytes(12);
        const cipher = createCipheriv("aes-256-gcm", key, nonce).setAAD(aad);
        const sealed = [nonce, cipher.update(Buffer.from(body.Plaintext ?? "", "base64")), cipher.final()];
        const CiphertextBlob = Buffer.concat([...sealed, cipher.getAuthTag()]).toString("base64");
        return Response.json({ KeyId: body.KeyId, CiphertextBlob, EncryptionAlgorithm: "SYMMETRIC_DEFAULT" });
      }
      const blob = Buffer.from(body.CiphertextBlob ?? "", "base64");
      try {
        const decipher = createDecipheriv("aes-256-gcm", key, blob.subarray(0, 12)).setAAD(aad);
        decipher.setAuthTag(blob.subarray(-16));
        const plain = Buffer.concat([decipher.update(blob.subarray(12, -16)), decipher.final()]);
        return Response.json({ KeyId: body.KeyId, Plaintext: plain.toString("base64") });
      } catch {
        return refuse("InvalidCiphertextException");
      }
    },
  });
  return Object.assign(fake, {
    endpoint: `http://127.0.0.1:${server.port}`,
    stop: () => server.stop(true),
  });
}
