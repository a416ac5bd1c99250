import type { FeatureRoute } from "../../pb/route.ts";

/** `GET /api/health`. Superusers also learn whether a backup could start and how their address was found. */
export const healthRoutes: readonly FeatureRoute[] = [
  {
    method: "GET",
    path: "/api/health",
    handle: (context) => {
      const data =
        context.auth?.isSuperuser === true
          ? { canBackup: true, realIP: context.clientIp, possibleProxyHeader: "" }
          : {};
      return context.json(200, { message: "API is healthy.", code: 200, data });
    },
  },
];
