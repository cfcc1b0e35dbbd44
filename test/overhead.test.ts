/**
 * What the store adds to what it stores, everything counted: the slope between the sizes of two directories (rule 8 of docs/architecture.md).
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openStore } from "@tensorcask/core";
import { afterAll, beforeAll, expect, it } from "vitest";

let scratch = "";
beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), "tensorcask-overhead-"));
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** Seeded noise: nothing in it can be shared or compressed. */
function noise(bytes: number, seed: number): Uint8Array {
  const words = new Uint32Array(Math.ceil(bytes / 4));
  let state = seed | 1;
  for (let index = 0; index < words.length; index++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words[index] = state;
  }
  return new Uint8Array(words.buffer, 0, bytes);
}

/** Size of a closed store's directory after `fill`. */
async function directoryBytes(
  name: string,
  fill: (store: Awaited<ReturnType<typeof openStore>>) => Promise<void>,
): Promise<number> {
  const store = await openStore(join(scratch, name), { preset: "none", chunkElements: 1024 });
  await fill(store);
  await store.close();
  const reopened = await openStore(join(scratch, name));
  const { directoryBytes: bytes, residualBytes } = await reopened.stats();
  await reopened.close();
  expect(residualBytes).toBe(0);
  return bytes;
}

it("adds at most 192 bytes per chunk", async () => {
  const chunkBytes = 8192;
  const fill = (chunks: number) => async (store: Awaited<ReturnType<typeof openStore>>) => {
    const dataset = await store.createDataset("noise");
    await dataset.insert({ dtype: "float64", shape: [chunks * 1024], data: noise(chunks * chunkBytes, 7) });
  };
  const small = await directoryBytes("chunks-small", fill(1000));
  const large = await directoryBytes("chunks-large", fill(11_000));
  const perChunk = (large - small) / 10_000 - chunkBytes;
  console.log(`overhead per chunk: ${perChunk.toFixed(1)} bytes`);
  expect(perChunk).toBeLessThanOrEqual(192);
});

it("adds at most 200 bytes to a small record, beside its name and metadata", async () => {
  const recordBytes = 256;
  const nameBytes = 10;
  const fill = (records: number) => async (store: Awaited<ReturnType<typeof openStore>>) => {
    const dataset = await store.createDataset("records");
    const bytes = noise(records * recordBytes, 11);
    for (let first = 0; first < records; first += 2000) {
      await dataset.insertMany(
        Array.from({ length: 2000 }, (_, index) => ({
          name: `r${String(first + index).padStart(nameBytes - 1, "0")}`,
          tensor: {
            dtype: "float32",
            shape: [64],
            data: bytes.subarray((first + index) * recordBytes, (first + index + 1) * recordBytes),
          },
        })),
      );
    }
  };
  const small = await directoryBytes("records-small", fill(4000));
  const large = await directoryBytes("records-large", fill(24_000));
  // The name stands in the journal, in the record's row and in the index of names.
  const perRecord = (large - small) / 20_000 - recordBytes - 3 * nameBytes;
  console.log(`overhead per small record: ${perRecord.toFixed(1)} bytes`);
  expect(perRecord).toBeLessThanOrEqual(200);
});
