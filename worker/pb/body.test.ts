import { expect, test } from "bun:test";
import { tmpdir } from "node:os";
import { bindBody } from "./body.ts";

/** @param announced - with a content-length, which a stream has not */
function send(text: string, type: string, announced: boolean): ReturnType<typeof bindBody> {
  const bytes = new TextEncoder().encode(text);
  const headers = { "content-type": type, ...(announced ? { "content-length": String(bytes.length) } : {}) };
  const body = announced ? bytes : new Blob([bytes]).stream();
  return bindBody(new Request("http://tenant/", { method: "POST", headers, body }), 1_000, tmpdir());
}

test.each([true, false])(
  "a byte order mark is a character as any other (announced: %p)",
  async (announced) => {
    await expect(send('\ufeff{"title":"é"}', "application/json", announced)).rejects.toMatchObject({
      status: 400,
    });
    const { values } = await send('{"title":"é\ufeff"}', "application/json", announced);
    expect(values).toEqual({ title: "é\ufeff" });
    const form = await send("\ufefftitle=a&n=1", "application/x-www-form-urlencoded", announced);
    expect(form.values).toEqual({ "\ufefftitle": "a", n: 1 });
  },
);
