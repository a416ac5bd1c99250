import { expect, test } from "bun:test";
import { SystemError } from "../../../shared/errors.ts";
import { Reason, badRequest } from "../../pb/api-error.ts";
import { detailsOf } from "./failure-details.ts";

const because = (cause: Error): unknown => detailsOf(badRequest("", undefined, cause));

test("details are why a request failed, below whatever only says it in other words", () => {
  expect(because(new Reason("no rows"))).toBe("no rows");
  expect(because(badRequest("", undefined, new Reason("no rows")))).toBe("no rows");
  expect(detailsOf(badRequest("Failed."))).toBeNull();
});

test("the platform's own troubles are not the tenant's to read", () => {
  expect(because(new SystemError("store_unavailable", "Cannot read tenants/abc at 10.0.0.7"))).toBeNull();
  expect(because(Object.assign(new Error("ENOENT: /data/worker/1"), { syscall: "open" }))).toBeNull();
  expect(because(Object.assign(new Error("AccessDenied"), { $metadata: {} }))).toBeNull();
});
