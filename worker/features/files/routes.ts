/** `/api/files`: tokens for protected files, and the files themselves. */
import { newFileToken } from "../../auth/tokens.ts";
import type { FeatureRoute } from "../../pb/route.ts";
import { download } from "./download.ts";

export const fileRoutes: readonly FeatureRoute[] = [
  {
    method: "POST",
    path: "/api/files/token",
    handle: (context) => context.json(200, { token: newFileToken(context.requireAuth().record) }),
  },
  { method: "GET", path: "/api/files/:collection/:record/:file", actions: ["file"], handle: download },
];
