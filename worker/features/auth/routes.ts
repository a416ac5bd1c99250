import type { FeatureRoute } from "../../pb/route.ts";
import { impersonate } from "./impersonate.ts";
import { authMethods } from "./methods.ts";
import { refresh } from "./refresh.ts";
import { withPassword } from "./with-password.ts";

const COLLECTION = "/api/collections/:collection";

export const authRoutes: readonly FeatureRoute[] = [
  { method: "GET", path: `${COLLECTION}/auth-methods`, handle: authMethods },
  { method: "POST", path: `${COLLECTION}/auth-with-password`, handle: withPassword },
  { method: "POST", path: `${COLLECTION}/auth-refresh`, handle: refresh },
  { method: "POST", path: `${COLLECTION}/impersonate/:id`, handle: impersonate },
];
