import { createHash } from "node:crypto";
import { S3Client, type S3ClientConfig } from "@aws-sdk/client-s3";
import { limits } from "../../../shared/limits.ts";

export interface S3Options {
  bucket: string;
  /** Put before every key, without slashes at its ends; empty for the whole bucket. */
  prefix: string;
  region: string;
  /** Of a store that is not AWS, e.g. `http://127.0.0.1:9000`. */
  endpoint?: string;
  forcePathStyle?: boolean;
  /** Without them the SDK's own chain decides (files, instance roles). */
  credentials?: { accessKeyId: string; secretAccessKey: string; sessionToken?: string };
  requestMs?: number;
  partBytes?: number;
  putSingleBytesMax?: number;
  copySingleBytesMax?: number;
  copyPartBytes?: number;
}

export interface S3Connection {
  /** Tries again by itself: for what may be done twice. */
  patient: S3Client;
  /** Tries once: a repeated conditional PUT would meet its own success and call it someone else's. */
  once: S3Client;
  bucket: string;
  /** What keys are stored under: `prefix/` or nothing. */
  base: string;
  requestMs: number;
  partBytes: number;
  putSingleBytesMax: number;
  copySingleBytesMax: number;
  copyPartBytes: number;
}

/** Errors are thrown to whoever asked; the SDK's own lines on the console would only repeat them. */
const ignore = (): void => undefined;
const SILENT = { debug: ignore, info: ignore, warn: ignore, error: ignore };

export function connect(options: S3Options): S3Connection {
  const config: S3ClientConfig = {
    logger: SILENT,
    region: options.region,
    forcePathStyle: options.forcePathStyle ?? false,
    // Checksums as aws-chunked trailers are refused or stored as content by other makers' stores.
    requestChecksumCalculation: "WHEN_REQUIRED",
    responseChecksumValidation: "WHEN_REQUIRED",
    requestHandler: {
      connectionTimeout: options.requestMs ?? limits.storeRequestMs,
      httpAgent: { maxSockets: limits.storeSocketsMax, keepAlive: true },
      httpsAgent: { maxSockets: limits.storeSocketsMax, keepAlive: true },
    },
    ...(options.endpoint === undefined ? {} : { endpoint: options.endpoint }),
    ...(options.credentials === undefined ? {} : { credentials: options.credentials }),
  };
  const patient = new S3Client({ ...config, maxAttempts: limits.storeAttemptsMax });
  addContentMd5(patient);
  return {
    patient,
    once: new S3Client({ ...config, maxAttempts: 1 }),
    bucket: options.bucket,
    base: options.prefix === "" ? "" : `${options.prefix}/`,
    requestMs: options.requestMs ?? limits.storeRequestMs,
    partBytes: options.partBytes ?? limits.storePartBytes,
    putSingleBytesMax: options.putSingleBytesMax ?? limits.storePutSingleBytesMax,
    copySingleBytesMax: options.copySingleBytesMax ?? limits.storeCopySingleBytesMax,
    copyPartBytes: options.copyPartBytes ?? limits.storeCopyPartBytes,
  };
}

/** The SDK sends DeleteObjects with a CRC32 only; older stores insist on Content-MD5 (aws/aws-sdk-js-v3#6920). */
function addContentMd5(client: S3Client): void {
  client.middlewareStack.add(
    (next, context) => (args) => {
      const request = args.request as { headers?: Record<string, string>; body?: unknown };
      if (
        context.commandName === "DeleteObjectsCommand" &&
        typeof request.body === "string" &&
        request.headers
      ) {
        request.headers["content-md5"] = createHash("md5").update(request.body).digest("base64");
      }
      return next(args);
    },
    { step: "build", name: "addContentMd5", priority: "low" },
  );
}
