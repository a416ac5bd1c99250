import { Hono } from "hono";
import { z } from "zod";
import type { Member } from "../../store/contract.ts";
import type { Control } from "../../service.ts";
import { changeMembers } from "../change-members.ts";
import { readBody } from "../http.ts";
import { MEMBER_ID, memberUrlSchema } from "../member-schemas.ts";

const joinSchema = z.object({ id: z.string().regex(MEMBER_ID), url: memberUrlSchema });

/** For a member that joins: whom to join, its own admission, and its vote once it has caught up. */
export function membersApp(control: Control): Hono {
  const { store } = control;
  const app = new Hono();
  const answer = async (members: Promise<Member[]>): Promise<Response> => {
    const list = await members;
    const { cluster } = await store.health();
    return Response.json({ cluster, members: list });
  };
  app.get("/", () => answer(store.members()));
  app.post("/", async (context) => {
    const { id, url } = await readBody(context, joinSchema);
    return answer(changeMembers(control, "control", { kind: "add", id, url }, { url }));
  });
  app.post("/:id/promote", (context) =>
    answer(changeMembers(control, "control", { kind: "promote", id: context.req.param("id") })),
  );
  return app;
}
