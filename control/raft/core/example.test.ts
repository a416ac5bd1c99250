/** The program of DESIGN.md: three nodes in one process, nothing but the core's own interface. */
import { expect, test } from "bun:test";
import { RaftCore } from "./raft.ts";
import type { Entry, Message, NodeId } from "./types.ts";

test("the core alone replicates a log between three nodes", () => {
  const ids: NodeId[] = ["a", "b", "c"];
  const disks = new Map(ids.map((id) => [id, [] as Entry[]]));
  const applied = new Map(ids.map((id) => [id, [] as string[]]));
  const network: Message[] = [];
  const cores = new Map(
    ids.map((id, position) => {
      const membership = { voters: ids, learners: [] };
      return [
        id,
        new RaftCore(
          { id, random: () => position / ids.length, electionTicks: 10, heartbeatTicks: 1 },
          {
            hardState: { term: 0, vote: null, commit: 0 },
            snapshot: { index: 0, term: 0, membership, data: new Uint8Array() },
            entries: [],
          },
        ),
      ] as const;
    }),
  );

  function work(id: NodeId, core: RaftCore): void {
    while (core.hasReady()) {
      const ready = core.ready();
      const disk = disks.get(id)!;
      if (ready.entries.length > 0) disk.length = ready.entries[0]!.index - 1;
      disk.push(...ready.entries);
      network.push(...ready.messages);
      for (const entry of ready.committed) {
        if (entry.kind === "data") applied.get(id)!.push(new TextDecoder().decode(entry.data));
      }
      core.advance();
    }
  }

  for (let tick = 0; tick < 40; tick++) {
    for (const [id, core] of cores) {
      core.tick();
      if (tick === 30) core.propose(new TextEncoder().encode(`from ${id}`));
      work(id, core);
    }
    while (network.length > 0) {
      const message = network.shift()!;
      const core = cores.get(message.to)!;
      core.step(message);
      work(message.to, core);
    }
  }

  const leaders = ids.filter((id) => cores.get(id)!.status().role === "leader");
  expect(leaders).toEqual(["a"]);
  for (const id of ids) expect([id, applied.get(id)]).toEqual([id, ["from a"]]);
});
