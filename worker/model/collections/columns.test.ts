import { expect, test } from "bun:test";
import { textField, useTestModel } from "../testing.ts";

const { model, inTx, named, createCollection, updateCollection, save, find, schemaSql } = useTestModel();

test("single to multiple wraps values, multiple to single keeps the last; views survive", async () => {
  createCollection({
    name: "posts",
    fields: [{ type: "select", name: "s", id: "s1", values: ["a", "b", "c"] }],
  });
  createCollection({ name: "seen", type: "view", viewQuery: "select id, s from posts" });
  const [one, none] = [await save("posts", { s: "b" }), await save("posts", {})];
  const select = (maxSelect: number): unknown =>
    updateCollection("posts", {
      fields: [
        ...named("posts").fields.slice(0, 1),
        { type: "select", name: "s", id: "s1", values: ["a", "b", "c"], maxSelect },
      ],
    });
  select(3);
  expect(find("posts", one.id)?.values["s"]).toEqual(["b"]);
  expect(find("seen", none.id)?.values["s"]).toEqual([]);
  await save("posts", { "s+": ["c"] }, find("posts", one.id));
  select(1);
  expect(find("posts", one.id)?.values["s"]).toBe("c");
  expect(find("seen", one.id)?.values["s"]).toBe("c");
});

test.each(["oid", "rowid"])("a field may be called %s, renamed, made multiple and dropped", async (name) => {
  const field = (maxSelect: number) => ({ type: "select", id: "s1", name, values: ["a", "b"], maxSelect });
  createCollection({
    name: "posts",
    fields: [field(1), textField("t")],
    indexes: ["create index i on posts (t)"],
  });
  createCollection({ name: "seen", type: "view", viewQuery: `select id, ${name} from posts` });
  inTx((tx) =>
    tx.exec("CREATE TRIGGER louder AFTER INSERT ON posts BEGIN UPDATE posts SET t = upper(t); END"),
  );
  const ids: string[] = [];
  for (const t of ["x", "y", "z"]) ids.push((await save("posts", { [name]: "a", t })).id);
  inTx((tx) => tx.run("DELETE FROM posts WHERE id = ?", [ids[0] ?? ""]));
  const rows = (column: string): unknown[] =>
    inTx((tx) => tx.values(`SELECT _rowid_, id, \`${column}\`, lower(t) FROM posts`));
  updateCollection("posts", { fields: [field(2), textField("t")] });
  expect(rows(name)).toEqual([
    [2, ids[1], '["a"]', "y"],
    [3, ids[2], '["a"]', "z"],
  ]);
  expect(find("seen", ids[1] ?? "")?.values[name]).toEqual(["a"]);
  inTx((tx) => model().deleteCollection(tx, named("seen")));
  updateCollection("posts", { fields: [{ ...field(2), name: "other" }, textField("t")] });
  expect(rows("other")[1]).toEqual([3, ids[2], '["a"]', "z"]);
  updateCollection("posts", { fields: [{ ...field(2), name }, textField("t")] });
  updateCollection("posts", { fields: [textField("t")] });
  expect(rows("t")[1]).toEqual([3, ids[2], "Z", "z"]);
  expect(schemaSql("i")).toContain("posts");
  const { id } = await save("posts", { t: "new" });
  expect(find("posts", id)?.values["t"]).toBe("NEW");
});

test("a changed schema brings SQLite's statistics up to date", async () => {
  createCollection({ name: "posts", fields: [textField("a")], indexes: ["create index idx_a on posts (a)"] });
  await save("posts", { a: "x" });
  inTx((tx) => tx.values("SELECT 1 FROM posts p JOIN posts q ON q.a = p.a"));
  updateCollection("posts", { listRule: "" });
  expect(
    inTx((tx) => tx.values("SELECT idx FROM sqlite_stat1 WHERE tbl = 'posts' AND idx = 'idx_a'")),
  ).toEqual([["idx_a"]]);
});
