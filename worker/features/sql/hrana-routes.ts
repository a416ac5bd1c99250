/** The libSQL remote protocol: Hrana over HTTP, versions 2 and 3 in JSON. */
import type { z } from "zod";
import { limits } from "../../../shared/limits.ts";
import { cursorSchema, pipelineSchema } from "../../hrana/messages.ts";
import { jsonPieces } from "../../hrana/json-pieces.ts";
import type { BatchResult, HranaStream } from "../../hrana/stream.ts";
import { badRequest, unauthorized } from "../../pb/api-error.ts";
import type { FeatureRoute, PbContext } from "../../pb/route.ts";
import type { SqlAccess } from "../../statements/policy.ts";
import { streamsOf } from "./streams.ts";
import { accessOf } from "./tokens.ts";

const body = { bodyBytesMax: limits.sqlBodyBytesMax };

export const hranaRoutes: readonly FeatureRoute[] = [
  { method: "GET", path: "/v2", handle: supported },
  { method: "GET", path: "/v3", handle: supported },
  { method: "POST", path: "/v2/pipeline", handle: pipeline, ...body },
  { method: "POST", path: "/v3/pipeline", handle: pipeline, ...body },
  { method: "POST", path: "/v3/cursor", handle: cursor, ...body },
];

function supported(): Response {
  return new Response(null, { status: 200 });
}

async function pipeline(context: PbContext): Promise<Response> {
  const access = requireAccess(context);
  const { baton, requests } = await read(context, pipelineSchema);
  const streams = streamsOf(context.tenant);
  const answered = await streams.with(baton, access, context.seen, async (stream) => {
    const results = [];
    for (const request of requests) {
      if (stream.isClosed) throw badRequest("The stream was closed by an earlier request.");
      results.push(await stream.answer(request));
    }
    return results;
  });
  return send({ baton: answered.baton ?? null, base_url: null, results: answered.result });
}

async function cursor(context: PbContext): Promise<Response> {
  const access = requireAccess(context);
  const { baton, batch } = await read(context, cursorSchema);
  const answered = await streamsOf(context.tenant).with(baton, access, context.seen, (stream: HranaStream) =>
    stream.batch(batch),
  );
  const lines = [{ baton: answered.baton ?? null, base_url: null }, ...cursorEntries(answered.result)];
  return new Response(inPieces(linesOf(lines)), {
    headers: { "content-type": "text/plain; charset=utf-8" },
  });
}

function* cursorEntries({ step_results, step_errors }: BatchResult): Generator {
  for (const [step, result] of step_results.entries()) {
    const error = step_errors[step] ?? null;
    if (error !== null) yield { type: "step_error", step, error };
    if (result === null) continue;
    yield { type: "step_begin", step, cols: result.cols };
    for (const row of result.rows) yield { type: "row", row };
    const { affected_row_count, last_insert_rowid } = result;
    yield { type: "step_end", affected_row_count, last_insert_rowid };
  }
}

/** @throws ApiError 401 */
function requireAccess(context: PbContext): SqlAccess {
  if (context.auth?.isSuperuser === true) return "full";
  const header = context.request.headers.get("authorization");
  const access = accessOf(context.tenant, context.seen, header);
  if (access === undefined) throw unauthorized("The request requires a valid SQL token or a superuser.");
  return access;
}

/** Clients send JSON under whatever content type. @throws ApiError 400, 413 */
async function read<T extends z.ZodType>(context: PbContext, schema: T): Promise<z.output<T>> {
  const { request } = context;
  if (Number(request.headers.get("content-length") ?? 0) > limits.sqlBodyBytesMax) throw tooLarge();
  let text = "";
  const decoder = new TextDecoder();
  for await (const chunk of request.body ?? []) {
    text += decoder.decode(chunk, { stream: true });
    if (text.length > limits.sqlBodyBytesMax) throw tooLarge();
  }
  let raw: unknown;
  try {
    raw = JSON.parse(text + decoder.decode());
  } catch (cause) {
    throw badRequest("The request is not JSON.", undefined, cause);
  }
  const parsed = schema.safeParse(raw);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw badRequest(`The request is not of the protocol: ${issue?.path.join(".")}: ${issue?.message}`);
  }
  return parsed.data;
}

const tooLarge = () => badRequest(`The request is longer than ${limits.sqlBodyBytesMax} bytes.`);

function send(value: unknown): Response {
  return new Response(inPieces(jsonPieces(value)), { headers: { "content-type": "application/json" } });
}

async function* linesOf(lines: readonly unknown[]): AsyncGenerator<string> {
  let text = "";
  for (const line of lines) {
    text += `${JSON.stringify(line)}\n`;
    if (text.length < limits.sqlPieceCharacters) continue;
    yield text;
    text = "";
  }
  yield text;
}

/** Each piece is made when the one before it was taken. */
function inPieces(pieces: AsyncGenerator<string>): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  return new ReadableStream({
    async pull(controller) {
      let text = "";
      while (text.length < limits.sqlPieceCharacters) {
        const { value, done } = await pieces.next();
        if (done === true) {
          if (text !== "") controller.enqueue(encoder.encode(text));
          controller.close();
          return;
        }
        text += value;
      }
      controller.enqueue(encoder.encode(text));
    },
  });
}
