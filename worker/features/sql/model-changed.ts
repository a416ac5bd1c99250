import { modelOf } from "../../model/model.ts";
import { forgetSettings } from "../../pb/settings.ts";
import type { Tenant } from "../../tenant/contract.ts";

/** After a commit that may have changed collections or settings behind the model's back. */
export function modelChanged(tenant: Tenant): void {
  modelOf(tenant).forgetSchema();
  forgetSettings(tenant);
}
