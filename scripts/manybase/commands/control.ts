import { openObjectStore } from "../../../control/objects.ts";
import { UserError } from "../../../shared/errors.ts";
import { type Command, words } from "../command.ts";
import { restoreControl } from "../control-restore/restore.ts";

export const controlCommands: readonly Command[] = [
  {
    words: "control restore",
    usage: "control restore --store <url> --data <new dir> [--from <snapshot|none>] [--member-id <id>]",
    about: "Builds control's state from the object store alone, when control is lost.",
    async run(_api, args, { store: url, data, from, "member-id": memberId = "1" }) {
      words(args, 0, this.usage);
      if (url === undefined || data === undefined) {
        throw new UserError("invalid_option", "Cannot restore control: --store and --data are needed", {
          hint: `Usage: manybase ${this.usage}`,
        });
      }
      const store = await openObjectStore(url, process.env);
      try {
        const { signal } = new AbortController();
        const report = await restoreControl({
          ...{ store, data, memberId, signal, nowMs: Date.now() },
          ...(from === undefined ? {} : { from }),
        });
        return { text: told(report, data, memberId), value: report };
      } finally {
        await store.close();
      }
    },
  },
];

function told(report: Awaited<ReturnType<typeof restoreControl>>, data: string, memberId: string): string {
  const { snapshot, skipped, orphans, renamed } = report;
  const member = memberId === "1" ? "" : ` --member-id ${memberId}`;
  return [
    `Restored cluster ${report.cluster}: ${report.tenants} tenants, ${report.logs} logs ended, ${report.tails} tails.`,
    snapshot === undefined
      ? "There was no snapshot: operators' tokens and the audit log begin anew."
      : `Snapshot: ${snapshot.key} of ${snapshot.at}.`,
    ...skipped.map((message) => `Passed over: ${message}.`),
    ...orphans.map((id) => `No record of tenant ${id}, only data: it is suspended as recovered-${id}.`),
    ...renamed.map(
      ({ tenant, slug }) => `Two tenants are called ${slug}: ${tenant} is recovered-${tenant} now.`,
    ),
    `Start it: bun run control --data ${data}${member} …`,
  ].join("\n");
}
