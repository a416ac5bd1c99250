/** The contract on three members, asked through one that follows: forwarding and reads by read index. */
import { type Clock, systemClock } from "../../../control/raft/driver/clock.ts";
import { describeReplicatedStore } from "../../../control/store/contract.suite.ts";
import { Random } from "../random.ts";
import { SimulatedMembers } from "./members.ts";

const SPEED = 20;

/** An election takes half a second of this clock. */
const fastClock: Clock = {
  now: () => systemClock.now() * SPEED,
  after: (delayMs, call) => systemClock.after(delayMs / SPEED, call),
};

async function follower(members: SimulatedMembers): Promise<string> {
  for (;;) {
    if (members.ids.some((id) => members.leads(id))) return members.ids.find((id) => !members.leads(id))!;
    await Bun.sleep(5);
  }
}

describeReplicatedStore("raft, three members, through a follower", async () => {
  const members = new SimulatedMembers(fastClock, new Random(Date.now()), { count: 3, snapshotEvery: 50 });
  // Nothing is lost here: only a machine that is busy may be slow to answer.
  members.network.requestMs = 10_000 * SPEED;
  await members.found();
  for (const id of members.ids) await members.start(id);
  const closeAll = async (): Promise<void> => {
    for (const id of members.ids) await members.store(id)?.close();
  };
  return {
    store: members.store(await follower(members))!,
    leads: false,
    async restart() {
      await closeAll();
      for (const id of members.ids) await members.start(id);
      return members.store(await follower(members))!;
    },
    dispose: closeAll,
  };
});
