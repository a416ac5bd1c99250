import { UserError } from "../../../shared/errors.ts";
import { type Command, type CommandOptions, words } from "../command.ts";
import { MONTH_SECONDS, PRICES, type PlatformLoad, type Prices, costOf } from "../cost/cost-model.ts";
import { table } from "../table.ts";

/** Needs no platform: the figures follow from the bounds that the code works by. */
export const costCommands: readonly Command[] = [
  {
    words: "cost",
    usage: "cost [--tenants <n>] [--active <percent>] [--writes-per-second <n>] …",
    about: "Predicts requests to the object store and $ a month.",
    async run(_api, args, options) {
      words(args, 0, this.usage);
      const load = loadOf(options);
      const prices = pricesOf(options.price);
      const cost = costOf(load, prices);
      const rows = cost.lines.map(({ what, perSecond, perMonth, dollars, why }) => [
        what,
        perSecond.toFixed(3),
        Math.round(perMonth).toString(),
        dollars.toFixed(2),
        why,
      ]);
      rows.push([
        "storage",
        "-",
        `${(cost.storedBytes / 1e9).toFixed(1)} GB`,
        cost.storageDollars.toFixed(2),
        "all tenants; history of the written ones",
      ]);
      rows.push(["all", "-", "-", cost.dollars.toFixed(2), ""]);
      const idle = load.tenants - Math.round(load.tenants * load.activeShare);
      return {
        text: `${table(["REQUESTS", "PER SECOND", `PER ${MONTH_SECONDS / 86_400} DAYS`, "$", "WHY"], rows, "")}\n${idle} tenants that nobody writes to: no requests, storage only. Uploads and control's own copies are not counted.`,
        value: { load, prices, ...cost },
      };
    },
  },
];

function loadOf(options: CommandOptions): PlatformLoad {
  const tenants = number(options, "tenants", 100_000);
  const activeShare = number(options, "active", 20) / 100;
  if (activeShare > 1) throw bad("active", options.active ?? "");
  const workers = number(options, "workers", 10);
  if (workers < 1) throw bad("workers", options.workers ?? "");
  return {
    tenants,
    activeShare,
    writesPerSecond: number(options, "writes-per-second", 1_000),
    bytesPerWrite: number(options, "bytes-per-write", 1_400),
    databaseBytes: number(options, "db-mib", 5) * 1024 * 1024,
    workers,
    putMs: number(options, "put-ms", 35),
    countedReadsPerSecond: number(options, "counted-reads-per-second", 0),
    loadsPerDay: number(options, "loads-per-day", Math.round(tenants * activeShare)),
  };
}

type NumberOption =
  | "tenants"
  | "active"
  | "writes-per-second"
  | "bytes-per-write"
  | "db-mib"
  | "workers"
  | "put-ms"
  | "counted-reads-per-second"
  | "loads-per-day";

function number(options: CommandOptions, name: NumberOption, otherwise: number): number {
  const text = options[name];
  if (text === undefined) return otherwise;
  if (!/^[0-9]+(?:\.[0-9]+)?$/.test(text)) throw bad(name, text);
  return Number(text);
}

/** @param text - a name of `PRICES`, or three figures: $ per million PUT, per million GET, per GB-month */
function pricesOf(text = "s3"): Prices {
  const named = Object.hasOwn(PRICES, text) ? PRICES[text] : undefined;
  if (named !== undefined) return named;
  const [put, get, storage, ...more] = text.split(",").map(Number);
  if (put === undefined || get === undefined || storage === undefined || more.length > 0)
    throw bad("price", text);
  if (![put, get, storage].every((value) => Number.isFinite(value) && value >= 0)) throw bad("price", text);
  return { put, get, storage };
}

const bad = (name: string, text: string): UserError =>
  new UserError("invalid_option", `Cannot read --${name}: ${JSON.stringify(text)} is not a sensible value`, {
    hint:
      name === "price"
        ? `Give ${Object.keys(PRICES).join(", ")}, or three figures: $ per million PUT, per million GET, per GB-month.`
        : "Give a number; --active is a percentage of tenants.",
  });
