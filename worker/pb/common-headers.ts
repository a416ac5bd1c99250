/** Headers that every answer of the API carries. */
import { addCors } from "./cors.ts";

const MARK = "x-xss-protection";

/** For answers that are made with them at once. */
export function commonHeaders(isForeign: boolean): Headers {
  const headers = new Headers({
    [MARK]: "1; mode=block",
    "x-content-type-options": "nosniff",
    "x-frame-options": "SAMEORIGIN",
  });
  addCors(isForeign, headers);
  return headers;
}

/** For all others. A page may frame what is sandboxed by its own policy: uploaded files. */
export function addCommonHeaders(request: Request, headers: Headers): void {
  if (headers.has(MARK)) return;
  headers.set(MARK, "1; mode=block");
  headers.set("x-content-type-options", "nosniff");
  if (!headers.has("content-security-policy")) headers.set("x-frame-options", "SAMEORIGIN");
  addCors(Boolean(request.headers.get("origin")), headers);
}
