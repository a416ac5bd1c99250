import { limits } from "../../shared/limits.ts";

/**
 * A request body that can be sent again. Small ones of known length are read at once; larger ones stream and can be sent only
 * once, so the caller makes sure of the route before it starts.
 */
export interface ReplayableBody {
  readonly again: boolean;
  take(): Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array> | null;
}

export async function replayableBody(request: Request): Promise<ReplayableBody> {
  if (request.body === null) return { again: true, take: () => null };
  const length = Number(request.headers.get("content-length") ?? Number.NaN);
  if (length <= limits.holdBodyBytesMax) {
    const bytes = new Uint8Array(await request.arrayBuffer());
    return { again: true, take: () => bytes };
  }
  return { again: false, take: () => request.body };
}
