/** Cross-origin access as PocketBase grants it by default: any origin, no credentials. */
const METHODS = "GET,HEAD,PUT,PATCH,POST,DELETE";

/** For an actual request: only browsers send `Origin`. */
export function addCors(isForeign: boolean, headers: Headers): void {
  headers.append("vary", "Origin");
  if (isForeign) headers.set("access-control-allow-origin", "*");
}

export function preflight(request: Request): Response {
  const headers = new Headers({ vary: "Origin" });
  if (request.headers.get("origin")) {
    headers.append("vary", "Access-Control-Request-Method");
    headers.append("vary", "Access-Control-Request-Headers");
    headers.set("access-control-allow-origin", "*");
    headers.set("access-control-allow-methods", METHODS);
    const wanted = request.headers.get("access-control-request-headers");
    if (wanted !== null && wanted !== "") headers.set("access-control-allow-headers", wanted);
  }
  return new Response(null, { status: 204, headers });
}
