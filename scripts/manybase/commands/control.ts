import { openObjectStore } from "../../../control/objects.ts";
import { UserError } from "../../../shared/errors.ts";
import { type Command, words } from "../command.ts";
import { type RestoreReport, restoreControl } from "../control-restore/restore.ts";
import { intoDirectory, intoEtcd } from "../control-restore/restore-target.ts";

export const controlCommands: readonly Command[] = [
  {
    words: "control restore",
    usage:
      "control restore --store <url> --data <new dir>|--etcd <urls> [--from <snapshot|none>] [--accept-loss] [--member-id <id>]",
    about: "Builds control's state from the object store alone, when control is lost.",
    async run(_api, args, options) {
      const { store: url, data, etcd, from, "member-id": memberId = "1" } = options;
      words(args, 0, this.usage);
      const acceptLoss = options["accept-loss"] !== undefined;
      if (url === undefined || (data === undefined) === (etcd === undefined)) {
        throw new UserError(
          "invalid_option",
          "Cannot restore control: it needs --store, and either --data or --etcd",
          { hint: `Usage: manybase ${this.usage}` },
        );
      }
      const target = data === undefined ? intoEtcd(etcd ?? "") : intoDirectory(data, memberId);
      const store = await openObjectStore(url, process.env);
      try {
        const { signal } = new AbortController();
        const report = await restoreControl({
          ...{ store, target, acceptLoss, signal, nowMs: Date.now() },
          ...(from === undefined ? {} : { from }),
        });
        return { text: told(report, data === undefined ? { etcd } : { data, memberId }), value: report };
      } finally {
        await store.close();
      }
    },
  },
];

type Place = { data: string; memberId: string } | { etcd: string | undefined };

function told(report: RestoreReport, place: Place): string {
  const { snapshot, skipped, orphans, renamed, loss } = report;
  const start =
    "data" in place
      ? `--data ${place.data}${place.memberId === "1" ? "" : ` --member-id ${place.memberId}`}`
      : `--store-engine etcd --etcd ${place.etcd}`;
  return [
    `Restored cluster ${report.cluster}: ${report.tenants} tenants, ${report.logs} logs ended, ${report.tails} tails.`,
    snapshot === undefined
      ? "There was no snapshot: operators' tokens and the audit log begin anew."
      : `Snapshot: ${snapshot.key} of ${snapshot.at}.`,
    ...skipped.map((message) => `Passed over: ${message}.`),
    ...(loss === undefined ? [] : lossLines(loss)),
    ...orphans.map((id) => `No record of tenant ${id}, only data: it is suspended as recovered-${id}.`),
    ...renamed.map(
      ({ tenant, slug }) => `Two tenants are called ${slug}: ${tenant} is recovered-${tenant} now.`,
    ),
    `Start it: bun run control ${start} …`,
  ].join("\n");
}

function lossLines({ key, tenants, logs }: NonNullable<RestoreReport["loss"]>): string[] {
  const lines = tenants.map(({ slug, tenant, state, databases }) => {
    const parts = databases.map(({ database, keptTxid, keptAt, lost }) => {
      const since = keptAt === undefined ? "" : ` (${keptAt})`;
      return `${database} is as of TXID ${keptTxid}${since}; ${lost.from} to ${lost.to} are given up`;
    });
    return `Tenant ${slug} (${tenant}): ${[STATES[state], ...parts].join("; ")}.`;
  });
  const holed = logs.filter(({ missing }) => missing.length > 0);
  return [
    `Objects were missing. The whole report: ${key}.`,
    ...lines,
    ...holed.map(
      ({ incarnation, missing }) =>
        `Of log ${incarnation} slots ${missing.map(([from, to]) => (from === to ? from : `${from} to ${to}`)).join(", ")} are missing: what other tenants changed there cannot be known.`,
    ),
  ];
}

const STATES = {
  cut: "it goes on from an earlier point",
  whole: "nothing of it is lost",
  gone: "suspended, since nothing of its data.db can be read",
  key: "suspended, since its data key is missing",
  origin: "suspended, since what it reads of its parent is missing",
} as const;
