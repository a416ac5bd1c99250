import { z } from "zod";
import { memberViewSchema } from "../../../shared/protocol/cp.ts";
import { type Command, type CommandResult, words } from "../command.ts";
import { table } from "../table.ts";

const membersSchema = z.object({ members: z.array(memberViewSchema) });
type Members = z.infer<typeof membersSchema>["members"];

const PATH = "/api/cp/members";
const pathOf = (id: string): string => `${PATH}/${encodeURIComponent(id)}`;

function shown(members: Members, first = ""): CommandResult {
  const rows = members.map(({ id, role, url }) => [id, role, url]);
  return { text: first + table(["ID", "ROLE", "URL"], rows, "None."), value: members };
}

export const memberCommands: readonly Command[] = [
  {
    words: "members list",
    usage: "members list",
    about: "Lists the members of control.",
    async run(api, args) {
      words(args, 0, this.usage);
      return shown((await api.call("GET", PATH, membersSchema)).members);
    },
  },
  {
    words: "members add",
    usage: "members add <id> <url>",
    about: "Admits a member of control; start it with --join then.",
    async run(api, args) {
      const [id = "", url = ""] = words(args, 2, this.usage);
      const { members } = await api.call("POST", PATH, membersSchema, { id, url });
      const voters = members.filter(({ role }) => role !== "learner").map((member) => member.url);
      const start = `Start it now: bun run control --member-id ${id} --join ${voters.join(",")} …\n`;
      return shown(members, start);
    },
  },
  {
    words: "members remove",
    usage: "members remove <id>",
    about: "Removes a member of control, dead or alive.",
    async run(api, args) {
      const [id = ""] = words(args, 1, this.usage);
      return shown((await api.call("DELETE", pathOf(id), membersSchema)).members);
    },
  },
  {
    words: "members lead",
    usage: "members lead <id>",
    about: "Hands leadership to a member of control.",
    async run(api, args) {
      const [id = ""] = words(args, 1, this.usage);
      return shown((await api.call("POST", `${pathOf(id)}/lead`, membersSchema)).members);
    },
  },
];
