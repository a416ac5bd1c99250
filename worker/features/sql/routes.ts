import type { FeatureRoute } from "../../pb/route.ts";
import { consoleRoutes } from "./console.ts";
import { hranaRoutes } from "./hrana-routes.ts";
import { tokenRoutes } from "./token-routes.ts";

/** SQL for superusers and their tools: PocketBase's console, and the libSQL remote protocol with its tokens. */
export const sqlRoutes: readonly FeatureRoute[] = [...consoleRoutes, ...tokenRoutes, ...hranaRoutes];
