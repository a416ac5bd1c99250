import type { FeatureRoute, PbContext } from "../../pb/route.ts";
import { runningBackup } from "../../pb/running-backup.ts";
import { settingsGroup, settingsOf } from "../../pb/settings.ts";

/** `GET /api/health`. Superusers also learn whether a backup could start and how their address was found. */
export const healthRoutes: readonly FeatureRoute[] = [
  {
    method: "GET",
    path: "/api/health",
    handle: (context) => {
      const data =
        context.auth?.isSuperuser === true
          ? {
              canBackup: runningBackup(context.tenant) === undefined,
              possibleProxyHeader: proxyHeader(context),
              realIP: context.clientIp,
            }
          : {};
      return context.json(200, { message: "API is healthy.", code: 200, data });
    },
  },
];

/** A header that a reverse proxy before the platform has probably set. */
function proxyHeader({ tenant, seen, request }: PbContext): string {
  const trusted = settingsGroup(settingsOf(tenant, seen), "trustedProxy")["headers"];
  const names = [...(Array.isArray(trusted) ? trusted : []), "CF-Connecting-IP", "Fly-Client-IP"];
  const found = names.find((name) => typeof name === "string" && name !== "" && request.headers.has(name));
  return typeof found === "string" ? found : "";
}
