import { describe, expect, test } from "bun:test";
import type { Revision, TenantId } from "../../../shared/ids.ts";
import { limits } from "../../../shared/limits.ts";
import { Domain } from "../../domain/domain-fixture.ts";
import { RouteFeed } from "../../domain/route-feed.ts";
import { RouteStreams } from "./route-stream.ts";

function streams(tenants: number) {
  const domain = new Domain();
  const feed = new RouteFeed(domain.table);
  const stop = new AbortController();
  const open = (from: number): Response =>
    new RouteStreams({ table: domain.table, feed, stopping: stop.signal }).open(
      from as Revision,
      new AbortController().signal,
    );
  let made = 0;
  const create = (count: number): TenantId[] =>
    Array.from({ length: count }, () =>
      domain.create(`t${++made}`, String(made).padStart(15, "0") as TenantId),
    );
  return { domain, feed, stop, open, ids: create(tenants), create };
}

const ids = (text: string): number[] => [...text.matchAll(/^id: (\d+)$/gm)].map((match) => Number(match[1]));

describe("RouteStreams", () => {
  test("one revision's many changes come in slices; only the last carries its id", async () => {
    const { domain, stop, open, ids: tenants } = streams(limits.routesPerSlice + 1);
    const worker = domain.register("1");
    for (const id of tenants) domain.assign(id);
    const before = domain.table.revision;
    const response = open(before);
    const reader = response.body!.getReader();
    const read = async (): Promise<string> => new TextDecoder().decode((await reader.read()).value);
    expect(ids(await read())).toEqual([before]); // progress
    domain.die(worker);
    expect(ids(await read())).toEqual([before, before + 1]);
    stop.abort();
    expect((await reader.read()).done).toBe(true);
  });

  test("a reader that does not keep up is cut off; one that comes back is given what it missed", async () => {
    const { domain, feed, open, create } = streams(0);
    const slow = open(0);
    create(limits.watchQueueMax - 1); // progress is in the queue too
    expect(feed.readers).toBe(1);
    create(1);
    expect(feed.readers).toBe(0);
    expect((await slow.body!.getReader().read()).done).toBe(true);
    const back = open(domain.table.revision - 2).body!.getReader();
    const missed = ids(new TextDecoder().decode((await back.read()).value));
    expect(missed).toEqual([domain.table.revision - 1, domain.table.revision]);
    await back.cancel();
    expect(feed.readers).toBe(0);
  });

  test("the past is bounded: older revisions get 410", () => {
    const { open, create } = streams(0);
    create(Math.ceil(limits.routeHistoryMax * 1.1) + 1);
    expect(open(0).status).toBe(410);
    expect(open(limits.routeHistoryMax * 0.11).status).toBe(200);
  });
});
