import { describe, expect, test } from "bun:test";
import { SystemError, UserError } from "../../shared/errors.ts";
import { describeReplicatedStore, put, write } from "../store/contract.suite.ts";
import { TestMembers } from "./members-fixture.ts";

for (const count of [3, 5]) {
  describeReplicatedStore(`raft, ${count} members over links, through a follower`, async () => {
    const members = new TestMembers(count);
    await members.start();
    const chosen = async () => {
      const leader = await members.leader();
      return members.store(members.ids.find((id) => id !== leader)!);
    };
    return {
      store: await chosen(),
      leads: false,
      async restart() {
        for (const id of members.ids) await members.close(id);
        for (const id of members.ids) await members.open(id);
        return chosen();
      },
      dispose: () => members.dispose(),
    };
  });
}

async function inMembers(count: number, body: (members: TestMembers) => Promise<void>): Promise<void> {
  const members = new TestMembers(count);
  try {
    await members.start();
    await body(members);
  } finally {
    await members.dispose();
  }
}

async function eventually(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  for (let i = 0; i < 1_000; i++) {
    if (await holds()) return;
    await Bun.sleep(10);
  }
  throw new Error(`never: ${what}`);
}

describe("raft members over links", () => {
  test(
    "go on when one dies, and it catches up by a snapshot when it is back",
    () =>
      inMembers(3, async (members) => {
        const leader = await members.leader();
        const gone = members.ids.find((id) => id !== leader)!;
        await members.close(gone);
        // More than the entries that are kept beside a snapshot.
        for (let i = 0; i < 23; i++) {
          const some = Array.from({ length: 100 }, (_, n) =>
            write(members.store(leader), put(`k/${i}/${n}`, "x".repeat(500))),
          );
          await Promise.all(some);
        }
        await members.open(gone);
        await eventually("it has everything", async () => {
          const { kvs } = await members.store(gone).range("k/", { stale: true });
          return kvs.length === 2_300;
        });
        expect(members.problems).toEqual([]);
        expect(members.failures).toEqual([]);
      }),
    30_000,
  );

  test("hand leadership over, and the followers say who leads and where", () =>
    inMembers(3, async (members) => {
      const leader = await members.leader();
      const next = members.ids.find((id) => id !== leader)!;
      await members.store(leader).transferLeader(next);
      expect(await members.leader()).toBe(next);
      for (const id of members.ids) {
        const list = await members.store(id).members();
        expect(list.map((member) => member.url)).toEqual(members.ids.map((other) => members.url(other)));
        expect(list.find((member) => member.role === "leader")?.id).toBe(next);
      }
      const error = await members
        .store(next)
        .transferLeader("nobody")
        .catch((e: unknown) => e);
      expect((error as UserError).code).toBe("conflict");
    }));

  test(
    "grow by a learner that is promoted, and shrink, the leader included",
    () =>
      inMembers(3, async (members) => {
        let leader = await members.leader();
        for (let i = 0; i < 200; i++) await write(members.store(leader), put(`k/${i}`, i));
        await members.add("m4");
        await members.store(leader).changeMembers({ kind: "add", id: "m4", url: members.url("m4") });
        await members.join("m4");
        await eventually("it votes", () =>
          members
            .store(leader)
            .changeMembers({ kind: "promote", id: "m4" })
            .then(
              () => true,
              () => false,
            ),
        );
        expect((await members.store("m4").range("k/")).kvs).toHaveLength(200);
        expect((await members.store(leader).members()).map((member) => member.role)).not.toContain("learner");
        await members.store(leader).changeMembers({ kind: "remove", id: leader });
        const removed = leader;
        await members.close(removed);
        leader = await members.leader();
        expect((await members.store(leader).members()).map((member) => member.id)).not.toContain(removed);
        await write(members.store(leader), put("after", 1));
        const again = await members
          .store(leader)
          .changeMembers({ kind: "remove", id: removed })
          .catch((e: unknown) => e);
        expect(again).toBeInstanceOf(UserError);
      }),
    30_000,
  );

  test(
    "refuse a member that lost its directory, one of another cluster, and an unsigned one",
    () =>
      inMembers(3, async (members) => {
        const leader = await members.leader();
        await write(members.store(leader), put("k", 1));
        const lost = members.ids.find((id) => id !== leader)!;
        await members.close(lost);
        await members.wipe(lost);
        await members.open(lost);
        await eventually("it is refused", () =>
          members.problems.some((error) => error.message.includes(`Cannot accept member ${lost}`)),
        );
        expect(await members.store(lost).health()).toMatchObject({ ok: false });
        const unsigned = await fetch(`${members.url(leader)}/v1/members/link?clusterId=x&from=y&to=z`);
        expect(unsigned.status).toBe(401);
        await members.close(lost);
        await members.wipe(lost);
        await members.open(lost, [lost, leader]);
        await eventually("it is of another cluster", () =>
          members.problems.some((error) => error instanceof SystemError && error.code === "object_foreign"),
        );
      }),
    20_000,
  );

  test(
    "without a majority: no answer but an error in bounded time",
    () =>
      inMembers(3, async (members) => {
        const leader = await members.leader();
        for (const id of members.ids) if (id !== leader) await members.close(id);
        const error = await write(members.store(leader), put("k", 1)).catch((e: unknown) => e);
        expect(["control_no_leader", "control_state_unknown"]).toContain((error as SystemError).code);
      }),
    20_000,
  );
});
