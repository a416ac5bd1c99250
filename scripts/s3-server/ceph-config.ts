export type CephStore = "memstore" | "bluestore";

export interface CephSettings {
  directory: string;
  fsid: string;
  gatewayPort: number;
  monitorPort: number;
  store: CephStore;
}

const GIBIBYTE = 1024 ** 3;

/** One monitor, one storage daemon and one gateway on loopback, without authentication among themselves. */
export function cephConfig({ directory, fsid, gatewayPort, monitorPort, store }: CephSettings): string {
  const authentication = ["cluster", "service", "client"].map((who) => [`auth ${who} required`, "none"]);
  const modes = ["cluster", "service", "client", "mon cluster", "mon service", "mon client"].map((who) => [
    `ms ${who} mode`,
    "crc",
  ]);
  const quiet = ["ms", "mon", "osd", "rgw", "bluestore", "rocksdb"].map((part) => [`debug ${part}`, "0/0"]);
  const global = [
    ["fsid", fsid],
    ["mon host", `v2:127.0.0.1:${monitorPort}`],
    ["public addr", "127.0.0.1"],
    ["cluster addr", "127.0.0.1"],
    ["ms bind ipv6", "false"],
    ...authentication,
    ...modes,
    ...quiet,
    ["run dir", directory],
    ["admin socket", `${directory}/$name.asok`],
    ["pid file", `${directory}/$name.pid`],
    ["log file", `${directory}/$name.log`],
    ["log to stderr", "false"],
    ["mon cluster log file", `${directory}/cluster.log`],
    ["crash dir", directory],
    ["mon data", `${directory}/mon`],
    // The disk of a development machine is nobody's cluster: do not refuse because it is nearly full.
    ["mon data avail warn", "1"],
    ["mon data avail crit", "1"],
    ["mon allow pool size one", "true"],
    ["mon max pg per osd", "1000"],
    ["osd data", `${directory}/osd`],
    ["osd objectstore", store],
    ["osd pool default size", "1"],
    ["osd pool default min size", "1"],
    ["osd pool default pg num", "8"],
    ["osd pool default pgp num", "8"],
    ["osd pool default pg autoscale mode", "off"],
    ["osd crush chooseleaf type", "0"],
    ["osd crush update on start", "false"],
    ["osd class update on start", "false"],
    ["osd memory target", String(GIBIBYTE)],
    ["osd op num shards", "2"],
    ["osd op num threads per shard", "2"],
    ["memstore device bytes", String(6 * GIBIBYTE)],
    ["bluestore block size", String(10 * GIBIBYTE)],
    ["bluestore cache autotune", "false"],
    ["bluestore cache size", String(GIBIBYTE / 8)],
  ];
  const gateway = [
    // Without tcp_nodelay every small GET waits for a delayed acknowledgement, some 40 ms.
    ["rgw frontends", `beast endpoint=127.0.0.1:${gatewayPort} tcp_nodelay=1`],
    ["rgw thread pool size", "32"],
    ["rgw override bucket index max shards", "1"],
    ["rgw dynamic resharding", "false"],
    // What was deleted gives its space back at once, or a memory store fills up within some test runs.
    ["rgw gc obj min wait", "1"],
    ["rgw gc processor period", "5"],
    ["rgw enable usage log", "false"],
    ["rgw enable ops log", "false"],
  ];
  const section = (name: string, lines: readonly (readonly string[])[]): string =>
    [`[${name}]`, ...lines.map((line) => line.join(" = ")), ""].join("\n");
  return section("global", global) + section("client.rgw", gateway);
}
