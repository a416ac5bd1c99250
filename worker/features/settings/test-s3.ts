import { badRequest } from "../../pb/api-error.ts";
import { BLANK, formBody, formText } from "../../pb/form-body.ts";
import type { PbContext } from "../../pb/route.ts";
import { settingsGroup, settingsOf } from "../../pb/settings.ts";

const FAILED = "Failed to test the S3 filesystem.";

/** The platform keeps a tenant's files itself; its own S3 settings are kept for an export, and there is nothing to reach by them. */
export async function testS3(context: PbContext): Promise<Response> {
  context.requireSuperuser();
  const filesystem = formText(context, await formBody(context), "filesystem");
  if (filesystem === "") throw badRequest(FAILED, { filesystem: BLANK });
  if (filesystem !== "storage" && filesystem !== "backups") {
    throw badRequest(FAILED, {
      filesystem: { code: "validation_in_invalid", message: "Must be a valid value." },
    });
  }
  const settings = settingsOf(context.tenant, context.seen);
  const group = filesystem === "storage" ? settings : settingsGroup(settings, "backups");
  const isOn = settingsGroup(group, "s3")["enabled"] === true;
  const why = isOn
    ? `the platform keeps this application's ${filesystem === "storage" ? "files" : "backups"} in its own object storage`
    : "S3 storage filesystem is not enabled";
  throw badRequest(`${FAILED} Raw error: \n${why}`);
}
