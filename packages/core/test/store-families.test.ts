import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { FamilyUsage, Store } from "../src/index.ts";
import { currentTensors } from "../src/store/dataset-tensors.ts";
import { distinctChunks } from "../src/store/footprint.ts";
import { contextOf, SMALL } from "./maintenance-fixture.ts";
import { allowed, codeAgainst, codeRecordAgainst, tuned } from "./sibling-fixture.ts";
import { examplesData, floats, newStore } from "./store-harness.ts";

/** Sums over pairs of a dataset and the home of what it leans on, from rows of chunks, one by one. */
async function naiveFamilies(store: Store) {
  const { catalog } = await contextOf(store);
  const datasets = catalog.datasets().sort((a, b) => a.dataset - b.dataset);
  const uses = datasets.map((row) => new Set(distinctChunks(catalog, currentTensors(catalog, row))));
  const rows = new Map([...catalog.allChunks()].map((row) => [row.id, row]));
  const homeOf = (chunk: number): number => {
    const user = uses.findIndex((chunks) => chunks.has(chunk));
    if (user >= 0) return user;
    return uses.findIndex((chunks) => [...chunks].some((each) => rows.get(each)!.sibling === chunk));
  };
  const links = new Map<string, number[]>();
  const rawBytes = uses.map((chunks) => [...chunks].reduce((sum, id) => sum + rows.get(id)!.rawBytes, 0));
  const add = (dataset: number, base: number, sums: readonly number[]): void => {
    const key = `${dataset} ${base}`;
    const before = links.get(key) ?? [0, 0, 0, 0, 0, 0];
    links.set(
      key,
      before.map((value, at) => value + sums[at]!),
    );
  };
  for (const [dataset, chunks] of uses.entries()) {
    for (const id of chunks) {
      const { rawBytes, frameBytes, sibling } = rows.get(id)!;
      if (homeOf(id) !== dataset) add(dataset, homeOf(id), [0, 0, 0, 1, rawBytes, frameBytes]);
      else if (sibling !== undefined) add(dataset, homeOf(sibling), [1, rawBytes, frameBytes, 0, 0, 0]);
    }
  }
  const reach = datasets.map((_, at) => new Set([at]));
  for (let round = 0; round < datasets.length; round++) {
    for (const [key, sums] of links) {
      const [dataset, base] = key.split(" ").map(Number) as [number, number];
      if (sums[1]! + sums[4]! < 0.01 * Math.min(rawBytes[dataset]!, rawBytes[base]!)) continue;
      const both = new Set([...reach[dataset]!, ...reach[base]!]);
      for (const member of both) reach[member] = both;
    }
  }
  const families = [...new Set(reach.map((members) => [...members].sort((a, b) => a - b).join(" ")))]
    .map((members) => members.split(" ").map(Number))
    .filter((members) => members.length > 1 || links.has(`${members[0]} ${members[0]}`));
  return families.map((members) => ({
    members: members.map((at) => datasets[at]!.name).sort(),
    links: [...links]
      .map(([key, sums]) => [...key.split(" ").map(Number), ...sums])
      .filter(([dataset, base]) => members.includes(dataset!) && members.includes(base!))
      .map(([dataset, base, ...sums]) => [datasets[dataset!]!.name, datasets[base!]!.name, ...sums])
      .sort(),
    storedBytes: [...rows.values()]
      .filter(({ id }) => members.includes(homeOf(id)))
      .reduce((sum, { frameBytes }) => sum + frameBytes, 0),
  }));
}

function shownFamilies(families: readonly FamilyUsage[]) {
  return families.map(({ members, links, storedBytes }) => ({
    members: members.map(({ dataset }) => dataset).sort(),
    links: links
      .map((link) => [
        link.dataset,
        link.base,
        link.differenceChunks,
        link.differenceRawBytes,
        link.differenceBytes,
        link.sharedChunks,
        link.sharedRawBytes,
        link.sharedBytes,
      ])
      .sort(),
    storedBytes,
  }));
}

const byMembers = (a: { members: string[] }, b: { members: string[] }): number =>
  a.members.join() < b.members.join() ? -1 : 1;

describe("families", () => {
  test("are what a look at every chunk finds", async () => {
    const step = fc.tuple(fc.nat(5), fc.nat(5), fc.nat(30), fc.nat(30));
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
        const store = await newStore(":memory:", SMALL);
        const context = await contextOf(store);
        for (const [kind, which, a, b] of steps) {
          const name = `set ${which}`;
          const dataset =
            (await store.dataset(name)) ?? (await store.createDataset(name, { preset: "none" }));
          const ids = [...context.catalog.allChunks()].map(({ id }) => id);
          if (kind === 0 && a % 4 === 0) await store.deleteDataset(name);
          else if (kind < 4) await dataset.insert(floats([800 + 900 * (a % 3)], b % 6));
          else if (ids.length > 0) {
            const pairs = [0, 1].map((at): [number, number] => [
              ids[(a + at) % ids.length]!,
              ids[(b + at) % ids.length]!,
            ]);
            const chosen = allowed(context, pairs);
            if (chosen.length > 0) await codeAgainst(store, chosen);
          }
        }
        const { families } = await store.stats();
        expect(shownFamilies(families).sort(byMembers)).toEqual((await naiveFamilies(store)).sort(byMembers));
        for (const { members, links, centre, ...sums } of families) {
          expect(members[0]!.dataset).toBe(centre);
          const sum = (of: (link: (typeof links)[number]) => number): number =>
            links.reduce((total, link) => total + of(link), 0);
          expect(sums.sharingSavedBytes).toBe(sum((link) => link.sharedBytes));
          expect(sums.differenceBytes).toBe(
            members.reduce((total, { differenceBytes }) => total + differenceBytes, 0),
          );
          expect(sums.differenceRawBytes).toBe(sum((link) => link.differenceRawBytes));
          const leaning = (base: string): number =>
            links
              .filter((link) => link.base === base && link.dataset !== base)
              .reduce((total, link) => total + link.differenceRawBytes, 0);
          for (const { dataset } of members) expect(leaning(dataset)).toBeLessThanOrEqual(leaning(centre));
        }
        await store.close();
      }),
      { numRuns: 60 },
    );
  });

  test("of a base model and its fine-tunes, imported one after the other", async () => {
    const store = await newStore(":memory:");
    const alone = await newStore(":memory:");
    for (const name of ["base", "ft-full", "ft-lora-merged"]) {
      await store.importFile(join(examplesData, name, "model.safetensors"), { dataset: name });
      await alone.importFile(join(examplesData, name, "model.safetensors"), {
        dataset: name,
        siblings: false,
      });
    }
    await (await store.createDataset("stranger")).insert(floats([5000], 1));
    const { families, datasets } = await store.stats();
    const [family] = families as [FamilyUsage];
    expect(families).toHaveLength(1);
    expect(family.centre).toBe("base");
    expect(family.members.map(({ dataset }) => dataset)).toEqual(["base", "ft-full", "ft-lora-merged"]);
    const to = new Map(family.links.map((link) => [`${link.dataset} of ${link.base}`, link]));
    // Most of a merged LoRA fine-tune is its base; all of a full one has changed a little.
    expect(to.get("ft-lora-merged of base")!.sharedRawBytes).toBeGreaterThan(1_000_000);
    const full = to.get("ft-full of base")!;
    expect(full.differenceRawBytes).toBeGreaterThan(1_000_000);
    expect(full.differenceBytes).toBeLessThan(0.85 * full.differenceRawBytes);
    for (const { name, siblingChunks, siblingBytes, standaloneBytes } of datasets.slice(0, 3)) {
      const member = family.members.find(({ dataset }) => dataset === name)!;
      const own = family.links.filter(({ dataset }) => dataset === name);
      expect(member.differenceBytes).toBeLessThanOrEqual(siblingBytes);
      expect(own.reduce((sum, link) => sum + link.differenceChunks, 0)).toBeLessThanOrEqual(siblingChunks);
      expect(member.plainBytes + member.differenceBytes + member.sharedBytes).toBeLessThanOrEqual(
        standaloneBytes,
      );
    }
    expect(family.storedBytes + datasets[3]!.standaloneBytes).toBe((await store.stats()).storedBytes);
    expect(family.sharingSavedBytes).toBeGreaterThan(500_000);
    // The estimate against what the same files take without differences.
    const saved = (await alone.stats()).storedBytes - family.storedBytes;
    expect(family.differenceSavedBytes).toBeGreaterThan(0.9 * saved);
    expect(family.differenceSavedBytes).toBeLessThan(1.1 * saved);
    expect((await alone.stats()).families.map(({ members }) => members.length)).toEqual([2]);
  });

  test("hold on to what is left of a deleted base, and one dataset may be a family", async () => {
    const store = await newStore(":memory:", SMALL);
    const base = floats([3000], 1);
    for (const name of ["base", "one", "two"])
      await (await store.createDataset(name)).insert(
        name === "base" ? base : tuned(base, name.length + name.charCodeAt(0)),
        {
          name: "w",
        },
      );
    await codeRecordAgainst(store, ["one", "w"], ["base", "w"]);
    await codeRecordAgainst(store, ["two", "w"], ["base", "w"]);
    const before = (await store.stats()).families[0]!;
    expect(before).toMatchObject({ centre: "base", members: { length: 3 } });
    await store.deleteDataset("base");
    await store.gc();
    const [after] = (await store.stats()).families as [FamilyUsage];
    expect(after.members).toMatchObject([
      { dataset: "one", keptBytes: before.members[0]!.plainBytes, plainBytes: 0 },
      { dataset: "two", keptBytes: 0 },
    ]);
    expect(after.storedBytes).toBe(before.storedBytes);
    await store.deleteDataset("two");
    const [single, ...others] = (await store.stats()).families as [FamilyUsage];
    expect(others).toEqual([]);
    expect(single).toMatchObject({ centre: "one", members: { length: 1 }, sharingSavedBytes: 0 });
    expect(single.links).toMatchObject([{ dataset: "one", base: "one", differenceRawBytes: 12_000 }]);
  });

  test("a small thing in common makes no relatives", async () => {
    const store = await newStore(":memory:", SMALL);
    for (const [seed, name] of ["a", "b"].entries()) {
      const dataset = await store.createDataset(name, { preset: "none" });
      await dataset.insert(floats([1030], 7), { name: "licence" });
      await dataset.insert(floats([100_000], 10 + seed), { name: "weights" });
    }
    // 1,030 of 101,030 floats is just above one in a hundred.
    expect((await store.stats()).families).toMatchObject([{ members: { length: 2 } }]);
    for (const name of ["a", "b"])
      await (await store.dataset(name))!.insert(floats([10_000], name.charCodeAt(0)), { name: "more" });
    const { families, datasets } = await store.stats();
    expect(families).toEqual([]);
    expect(datasets[0]!.sharedBytes).toBeGreaterThan(4000);
  });
});
