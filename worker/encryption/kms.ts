import { DecryptCommand, EncryptCommand, KMSClient, KMSServiceException } from "@aws-sdk/client-kms";
import { SystemError, UserError } from "../../shared/errors.ts";
import { limits } from "../../shared/limits.ts";
import { dataKeyKey } from "../../shared/objects/layout.ts";
import { keyRefused } from "./errors.ts";
import type { KeyContext, KeyProvider } from "./key-provider.ts";

const PREFIX = "kms:";
const KEY = /^(?:arn:[a-z-]+:kms:([a-z0-9-]+):[0-9]{12}:key\/)?[A-Za-z0-9-]{1,128}$/;
/** The key itself says no; everything else may pass. */
const REFUSALS: ReadonlySet<string> = new Set([
  "InvalidCiphertextException",
  "IncorrectKeyException",
  "NotFoundException",
  "DisabledException",
  "KMSInvalidStateException",
  "InvalidKeyUsageException",
  "AccessDeniedException",
]);

const ignore = (): void => undefined;
const SILENT = { debug: ignore, info: ignore, warn: ignore, error: ignore };

/**
 * A symmetric key of AWS KMS; credentials from the SDK's own chain. Its id, not an alias: an alias may come to mean another key.
 * @param spec - `<key arn or id>[?endpoint=…&region=…]` @throws UserError `invalid_option`
 */
export function kmsProvider(spec: string): KeyProvider {
  const at = spec.indexOf("?");
  const id = at < 0 ? spec : spec.slice(0, at);
  const parameters = new URLSearchParams(at < 0 ? "" : spec.slice(at));
  const match = KEY.exec(id);
  const unknown = [...parameters.keys()].find((name) => name !== "endpoint" && name !== "region");
  if (match === null || unknown !== undefined) {
    throw new UserError(
      "invalid_option",
      `Cannot use keys ${PREFIX}${id}: ${unknown === undefined ? "it is no key ARN or id" : `${unknown} is unknown`}`,
      {
        hint: "Write kms:arn:aws:kms:<region>:<account>:key/<id>, with endpoint= or region= after a question mark if need be.",
      },
    );
  }
  const endpoint = parameters.get("endpoint");
  const client = new KMSClient({
    logger: SILENT,
    region: parameters.get("region") ?? match[1] ?? process.env["AWS_REGION"] ?? "us-east-1",
    maxAttempts: limits.keyServiceAttemptsMax,
    requestHandler: {
      connectionTimeout: limits.keyServiceMs,
      httpsAgent: { maxSockets: limits.keyServiceSocketsMax },
    },
    ...(endpoint === null ? {} : { endpoint }),
  });
  const name = PREFIX + id;
  return {
    current: () => Promise.resolve(name),
    async wrap(dataKey, context, signal) {
      const command = new EncryptCommand({
        KeyId: id,
        Plaintext: dataKey,
        EncryptionContext: boundTo(context),
      });
      const { CiphertextBlob } = await called(
        "wrap",
        name,
        context,
        client.send(command, within(signal)),
        signal,
      );
      if (CiphertextBlob === undefined)
        throw unavailable("wrap", name, context, new Error("it answers nothing"));
      return { kek: name, wrapped: CiphertextBlob };
    },
    async unwrap({ kek, wrapped }, context, signal) {
      if (kek !== name) return undefined;
      const command = new DecryptCommand({
        KeyId: id,
        CiphertextBlob: wrapped,
        EncryptionContext: boundTo(context),
      });
      const { Plaintext } = await called(
        "unwrap",
        name,
        context,
        client.send(command, within(signal)),
        signal,
      );
      if (Plaintext === undefined)
        throw unavailable("unwrap", name, context, new Error("it answers nothing"));
      return Plaintext;
    },
    close: () => client.destroy(),
  };
}

const boundTo = ({ tenant, version }: KeyContext): Record<string, string> => ({
  "manybase:tenant": tenant,
  "manybase:version": String(version),
});

function within(signal: AbortSignal | undefined): { abortSignal: AbortSignal } {
  const deadline = AbortSignal.timeout(limits.keyServiceMs);
  return { abortSignal: signal === undefined ? deadline : AbortSignal.any([signal, deadline]) };
}

async function called<T>(
  verb: "wrap" | "unwrap",
  kek: string,
  context: KeyContext,
  call: Promise<T>,
  signal: AbortSignal | undefined,
): Promise<T> {
  try {
    return await call;
  } catch (error) {
    signal?.throwIfAborted();
    if (!(error instanceof KMSServiceException) || !REFUSALS.has(error.name))
      throw unavailable(verb, kek, context, error);
    throw keyRefused(dataKeyKey(context.tenant, context.version), `${kek} says ${error.name}`, error);
  }
}

function unavailable(
  verb: string,
  kek: string,
  { tenant, version }: KeyContext,
  cause: unknown,
): SystemError {
  const name = cause instanceof Error ? cause.name : String(cause);
  return new SystemError(
    "key_service_unavailable",
    `Cannot ${verb} ${dataKeyKey(tenant, version)}: ${kek} does not answer (${name})`,
    {
      cause,
      hint: "Tenants that are loaded go on. Check the key service, its address, and this machine's credentials and clock.",
      retryAfterMs: 1_000,
    },
  );
}
