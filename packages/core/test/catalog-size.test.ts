/** Bytes of the catalog file a chunk and a small record (ARCHITECTURE, rule 8), measured as slopes between two sizes. */
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { Catalog } from "../src/catalog/catalog.ts";
import type { FrameFacts, Op, RecordFacts, TensorFacts } from "../src/model/entry.ts";

const folder = mkdtempSync(join(tmpdir(), "catalog-size-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** A catalog that grows by a thousand records or chunks an entry. */
class Grower {
  readonly path: string;
  readonly catalog: Catalog;
  sequence = 0;
  chunk = 1;
  tensor = 1;
  offset = 16;

  constructor(name: string) {
    this.path = join(folder, name);
    this.catalog = Catalog.open(this.path);
    this.apply([
      { op: "pack.add", pack: 1, name: "01ARZ3NDEKTSV4RRFFQ69G5FAV.pack", tail: true },
      {
        op: "dataset.add",
        dataset: 1,
        name: "d",
        timeMs: 1,
        preset: null,
        metadata: {},
        schema: null,
        indexed: [],
      },
    ]);
  }

  apply(ops: readonly Op[], frames: readonly FrameFacts[] = []): void {
    this.sequence += 1;
    const position = {
      sequence: this.sequence,
      hash: randomBytes(32),
      segment: "00000001-00000001.log",
      offset: 1,
    };
    this.catalog.apply({ sequence: this.sequence, timeMs: 1_700_000_000_000, ops }, () => frames, position);
  }

  chunks(count: number): Op {
    const frames: FrameFacts[] = [];
    const start = this.offset;
    for (let at = 0; at < count; at += 1) {
      const frameBytes = 150_000 + ((at * 7919) % 100_000);
      frames.push({
        hash: randomBytes(32),
        offset: this.offset,
        frameBytes,
        rawBytes: 262_144,
        chain: [5, 3],
      });
      this.offset += frameBytes;
    }
    const op: Op = {
      op: "frames",
      pack: 1,
      offset: start,
      bytes: this.offset - start,
      chunks: [this.chunk, count],
    };
    this.chunk += count;
    this.frames = frames;
    return op;
  }
  frames: readonly FrameFacts[] = [];

  /** Names are numbered, 12 bytes each. */
  records(count: number, named: boolean): void {
    const version = this.sequence;
    const bundle = this.chunk;
    const head = randomBytes(16);
    head.writeUIntBE(1_700_000_000_000 + this.sequence, 0, 6);
    const tensors: TensorFacts[] = [];
    const records: RecordFacts[] = [];
    for (let at = 0; at < count; at += 1) {
      const id = new Uint8Array(head);
      new DataView(id.buffer).setUint32(12, at * 4000);
      const values = { role: "values", dtype: 22, shape: [64], place: { bundle, offset: at * 256 } } as const;
      tensors.push({ key: randomBytes(32), dtype: 22, shape: [64], geometry: "elements", arrays: [values] });
      const tensor = this.tensor + at;
      const name = `rec${String(tensor).padStart(9, "0")}`;
      records.push({ id, file: 0, tensor, ...(named ? { name } : {}) });
    }
    const frames = this.chunks(1);
    this.apply(
      [
        frames,
        { op: "tensors.add", first: this.tensor, tensors },
        { op: "version", dataset: 1, version },
        { op: "records.add", dataset: 1, version, records },
      ],
      this.frames,
    );
    this.tensor += count;
  }

  bytes(): number {
    this.catalog.checkpoint();
    return statSync(this.path).size;
  }
}

function slope(grower: Grower, units: number, grow: () => void): number {
  const bytesBefore = grower.bytes();
  for (let at = 0; at < units; at += 1000) {
    grow();
  }
  const each = (grower.bytes() - bytesBefore) / units;
  grower.catalog.close();
  return each;
}

describe("bytes of the catalog file", () => {
  it("a chunk", () => {
    const grower = new Grower("chunks");
    const each = slope(grower, 60_000, () => {
      const op = grower.chunks(1000);
      grower.apply([op], grower.frames);
    });
    expect(each).toBeLessThanOrEqual(85);
  });

  it("what finds a chunk of opaque bytes that others resemble", () => {
    const grower = new Grower("features");
    const each = slope(grower, 60_000, () => {
      const op = grower.chunks(1000);
      grower.apply(
        [op],
        grower.frames.map((frame) => ({
          ...frame,
          features: Int32Array.from({ length: 3 }, () => randomBytes(4).readInt32LE()),
        })),
      );
    });
    expect(each).toBeLessThanOrEqual(145);
  });

  it("a small record beside its name", () => {
    const named = new Grower("named");
    expect(slope(named, 40_000, () => named.records(1000, true)) - 12).toBeLessThanOrEqual(140);
    const unnamed = new Grower("unnamed");
    expect(slope(unnamed, 40_000, () => unnamed.records(1000, false))).toBeLessThanOrEqual(112);
  });
});
