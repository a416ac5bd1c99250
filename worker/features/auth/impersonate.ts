import { newStaticAuthToken } from "../../auth/tokens.ts";
import { modelOf } from "../../model/model.ts";
import { notFound, notThere } from "../../pb/api-error.ts";
import { failForm, formBody, formInteger } from "../../pb/form-body.ts";
import type { PbContext } from "../../pb/route.ts";
import type { SignIn } from "../../pb/sign-in.ts";

/** `POST …/impersonate/{id}`: `{duration?}` in seconds; for superusers. */
export async function impersonate(signIn: SignIn, context: PbContext): Promise<Response> {
  context.requireSuperuser();
  const model = modelOf(context.tenant);
  const collection = model.schema.find(context.params["collection"] ?? "");
  if (collection?.type !== "auth") throw notFound("Missing or invalid auth collection context.");
  const record = context.tenant.data.read(context.seen, (db) =>
    model.find(db, collection, context.params["id"] ?? ""),
  );
  if (record === undefined) throw notThere();
  const duration = formInteger(context, await formBody(context), "duration");
  failForm({
    duration:
      duration >= 0
        ? undefined
        : {
            code: "validation_min_greater_equal_than_required",
            message: "Must be no less than 0.",
            params: { threshold: 0 },
          },
  });
  return signIn.answer(context, {
    record,
    token: newStaticAuthToken(record, duration === 0 ? undefined : duration),
  });
}
