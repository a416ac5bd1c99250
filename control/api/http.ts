import type { Context } from "hono";
import { bodyLimit } from "hono/body-limit";
import type { Logger } from "pino";
import type { z } from "zod";
import { SystemError, UserError, errorResponse } from "../../shared/errors.ts";

/** Refuses a longer body with 413, also one that does not tell its length. */
export function limitBody(bytesMax: number): ReturnType<typeof bodyLimit> {
  return bodyLimit({
    maxSize: bytesMax,
    onError: () =>
      errorResponse(
        new UserError("too_large", `Cannot read request: its body is longer than ${bytesMax} bytes`),
      ),
  });
}

/** No body at all is an empty object. @throws UserError `invalid_body`, with `details.fields` by dotted path */
export async function readBody<Schema extends z.ZodType>(
  context: Context,
  schema: Schema,
): Promise<z.infer<Schema>> {
  const text = await context.req.text();
  let raw: unknown;
  try {
    raw = text === "" ? {} : JSON.parse(text);
  } catch (cause) {
    throw new UserError("invalid_body", "Cannot read request: its body is not JSON", { cause });
  }
  return parse(raw, schema);
}

/** @throws as `readBody` */
export function readQuery<Schema extends z.ZodType>(context: Context, schema: Schema): z.infer<Schema> {
  return parse(context.req.query(), schema);
}

function parse<Schema extends z.ZodType>(raw: unknown, schema: Schema): z.infer<Schema> {
  const parsed = schema.safeParse(raw);
  if (parsed.success) return parsed.data;
  const fields: Record<string, string> = {};
  for (const issue of parsed.error.issues) fields[issue.path.join(".") || "body"] ??= issue.message;
  const list = Object.entries(fields).map(([path, message]) => `${path}: ${message}`);
  throw new UserError("invalid_body", `Cannot read request: ${list.join("; ")}`, { details: { fields } });
}

/** Known errors as they are; anything else is logged and answered without its text. */
export function answerError(error: unknown, log: Logger): Response {
  if (!(error instanceof UserError) && !(error instanceof SystemError)) log.error({ error }, "unexpected");
  else if (error instanceof SystemError)
    log.warn({ code: error.code, error: error.message }, "cannot answer");
  return errorResponse(error);
}

export function pathAndQuery(url: string): string {
  const { pathname, search } = new URL(url);
  return pathname + search;
}
