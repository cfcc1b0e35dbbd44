/** Damaged pickles and checkpoints: whatever is in them, they are read or refused, at once and in bounded memory. */
import { describe, expect, it } from "vitest";
import type { Format } from "../src/format/format.ts";
import { planObjectArray } from "../src/format/pickle/object-array.ts";
import { torch } from "../src/format/torch/plan.ts";
import { fuzzFormat } from "./format-fuzz.ts";
import {
  call,
  checkpoint,
  decode,
  fixtures,
  floats,
  global,
  legacyCheckpoint,
  repairZip,
  storage,
  tensor,
  tuple,
} from "./format-pickle-cases.ts";

/** A pickle from the first byte on: what lies behind the header of an .npy file of objects. */
const pickleAlone: Format = {
  id: "pickle",
  matches: () => "name",
  plan: (source) => planObjectArray(source, 0),
};

const small = tensor(storage("FloatStorage", "0", 6), 0, [2, 3], [1, 2]);
const views = {
  a: small,
  b: tensor(storage("FloatStorage", "0", 6), 0, [2, 2], [3, 2]),
  c: call(global("torch._utils", "_rebuild_parameter"), small, true),
  s: call(
    global("torch._utils", "_rebuild_sparse_tensor"),
    call(global("torch.serialization", "_get_layout"), "torch.sparse_coo"),
    tuple(small, small, tuple(2, 3)),
  ),
};
const six = floats(0, 1, 2, 3, 4, 5);

describe("torch and pickle, at length", () => {
  it("100,000 damaged pickles", async () => {
    const seeds = Object.values(fixtures.protocols).map(decode);
    const report = await fuzzFormat({ format: pickleAlone, seeds, seed: 31, derived: true });
    expect(report.planned).toBeGreaterThan(1000);
    expect(report.rules.size).toBeGreaterThan(10);
  });

  it("100,000 damaged zip checkpoints", async () => {
    const seeds = [
      ...Object.values(fixtures.zip).map(decode),
      checkpoint(views, { 0: six }),
      checkpoint({ tensors: [small], metadata: [{ record_id: "a" }] }, { 0: six }, [
        { name: "model/byteorder", data: Buffer.from("big") },
      ]),
    ];
    const report = await fuzzFormat({ format: torch, seeds, seed: 32, derived: true, repair: repairZip });
    expect(report.planned).toBeGreaterThan(1000);
    expect(report.drained).toBeGreaterThan(1000);
    expect(report.rules.size).toBeGreaterThan(20);
  });

  it("100,000 damaged legacy checkpoints", async () => {
    const seeds = [
      ...Object.values(fixtures.legacy).map(decode),
      legacyCheckpoint(
        { whole: small, part: tensor(storage("FloatStorage", "0", 6, tuple("1", 2, 4)), 0, [4], [1]) },
        { 0: [6, six] },
      ),
    ];
    const report = await fuzzFormat({ format: torch, seeds, seed: 33, derived: true });
    expect(report.planned).toBeGreaterThan(1000);
    expect(report.drained).toBeGreaterThan(1000);
    expect(report.rules.size).toBeGreaterThan(20);
  });
});
