import { z } from "zod";
import { SystemError } from "../../../shared/errors.ts";
import { limits } from "../../../shared/limits.ts";
import { type WorkerView, workerViewSchema } from "../../../shared/protocol/cp.ts";
import { type Command, query, words } from "../command.ts";
import { table } from "../table.ts";

const workersSchema = z.object({ workers: z.array(workerViewSchema) });

export const workerCommands: readonly Command[] = [
  {
    words: "workers list",
    usage: "workers list",
    about: "Lists workers.",
    async run(api, args) {
      words(args, 0, this.usage);
      const { workers } = await api.call("GET", "/api/cp/workers", workersSchema);
      return {
        text: table(
          ["INCARNATION", "STATE", "TENANTS", "MEMORY", "URL", "VERSION", "REGISTERED"],
          workers.map((w) => [
            String(w.incarnation),
            w.state,
            String(w.tenants),
            w.load === undefined ? "-" : `${Math.round(w.load.rssBytes / 1024 / 1024)} MiB`,
            w.url,
            w.version,
            w.registered,
          ]),
          "No workers yet.",
        ),
        value: workers,
      };
    },
  },
  {
    words: "workers drain",
    usage: "workers drain <incarnation> [--wait]",
    about: "Moves all tenants of a worker to others while they serve.",
    async run(api, args, options) {
      const [incarnation = ""] = words(args, 1, this.usage);
      const path = `/api/cp/workers/${encodeURIComponent(incarnation)}`;
      let worker: WorkerView = await api.call("POST", `${path}/drain`, workerViewSchema);
      const untilMs = performance.now() + limits.importMs;
      while (options.wait !== undefined && worker.tenants > 0 && worker.state === "draining") {
        if (performance.now() > untilMs) {
          throw new SystemError(
            "overloaded",
            `Cannot wait longer: ${worker.tenants} tenants are still there`,
          );
        }
        await Bun.sleep(limits.drainRetryMs);
        worker = await api.call("GET", path, workerViewSchema);
      }
      const text =
        worker.tenants === 0
          ? `Worker ${incarnation} is empty: its process can be stopped.`
          : `Worker ${incarnation} is draining: ${worker.tenants} tenants are still there.`;
      return { text, value: worker };
    },
  },
  {
    words: "workers remove",
    usage: "workers remove <incarnation> [--force]",
    about: "Forgets a worker that has ended; --force gives up one that serves.",
    async run(api, args, options) {
      const [incarnation = ""] = words(args, 1, this.usage);
      const force = options.force === undefined ? {} : { force: "true" };
      const path = `/api/cp/workers/${encodeURIComponent(incarnation)}${query(force)}`;
      const answer = await api.call("DELETE", path, z.object({ removed: z.boolean() }));
      const text = answer.removed
        ? `Worker ${incarnation} is forgotten.`
        : `Worker ${incarnation} is given up; its tenants are taken over.`;
      return { text, value: answer };
    },
  },
];
