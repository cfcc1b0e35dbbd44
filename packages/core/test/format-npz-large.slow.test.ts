import { dtypeOf } from "@tensorcask/codec";
import { describe, expect, it } from "vitest";
import { npz } from "../src/format/npz/plan.ts";
import { npzWriter } from "../src/format/npz/writer.ts";
import type { OutputTensor } from "../src/format/writer.ts";
import { readZipDirectory } from "../src/format/zip/directory.ts";
import { bufferSource } from "../src/model/plan.ts";
import { checkPlan } from "./format-fuzz.ts";

/** One byte. */
function small(name: string, value: number): OutputTensor {
  return {
    name,
    dtype: dtypeOf("uint8"),
    shape: [1],
    async *elements() {
      yield Uint8Array.of(value);
    },
  };
}

describe("npz: 64-bit records", () => {
  it("writes an array of over 4 GiB", async () => {
    // The pieces repeat one block; only the first and last bytes of the archive are kept.
    const bytes = 2 ** 32 + 5;
    const block = new Uint8Array(2 ** 26);
    const large: OutputTensor = {
      name: "large",
      dtype: dtypeOf("uint8"),
      shape: [bytes],
      async *elements() {
        for (let left = bytes; left > 0; left -= block.length)
          yield block.subarray(0, Math.min(left, block.length));
      },
    };
    const kept = new Map<number, Uint8Array>();
    let length = 0;
    await npzWriter.write([large, small("small", 9)], {}, async (piece) => {
      if (piece.length < 10_000) kept.set(length, new Uint8Array(piece));
      length += piece.length;
    });
    const source = {
      name: "x",
      bytes: length,
      async read(into: Uint8Array, position: number) {
        into.fill(0);
        for (const [at, piece] of kept) {
          const begin = Math.max(at, position);
          const end = Math.min(at + piece.length, position + into.length);
          if (begin < end) into.set(piece.subarray(begin - at, end - at), begin - position);
        }
      },
    };
    const plan = await npz.plan(source);
    checkPlan(plan, length);
    const tensors = plan.parts.flatMap((part) => (part.kind === "tensor" ? [part] : []));
    expect(tensors.map(({ name, shape }) => [name, shape])).toEqual([
      ["large", [bytes]],
      ["small", [1]],
    ]);
  });

  it("writes 65,536 arrays", async () => {
    const many = Array.from({ length: 65_536 }, (_, index) => small(`${index}`, 1));
    const pieces: Uint8Array[] = [];
    await npzWriter.write(many, {}, async (piece) => {
      pieces.push(new Uint8Array(piece));
    });
    expect((await readZipDirectory(bufferSource("x", Buffer.concat(pieces)))).length).toBe(65_536);
  });
});
