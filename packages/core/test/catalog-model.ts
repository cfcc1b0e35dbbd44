/**
 * A naive catalog: every version keeps a full copy of what it sees, every question is answered by looking at everything. It also makes
 * up valid journal entries from plain numbers, so that fast-check can shrink them.
 */
import { createHash } from "node:crypto";
import type { Catalog } from "../src/catalog/catalog.ts";
import type {
  Counters,
  DatasetFacts,
  Entry,
  FileFacts,
  FrameFacts,
  FramesOp,
  JournalPosition,
  Json,
  JsonObject,
  Op,
  Place,
  RecordFacts,
  TensorFacts,
} from "../src/model/entry.ts";

export type Step = readonly [kind: number, a: number, b: number, c: number];

export interface ModelRecord extends RecordFacts {
  readonly added: number;
}
export interface ModelFile extends FileFacts {
  readonly added: number;
}
/** What one version sees. */
export interface Sight {
  readonly records: ReadonlyMap<string, ModelRecord>;
  readonly files: ReadonlyMap<number, ModelFile>;
}
export interface ModelDataset {
  facts: DatasetFacts;
  version: number;
  readonly sights: Map<number, Sight>;
  readonly tags: Map<string, number>;
}
interface ModelChunk {
  readonly frame: FrameFacts;
  readonly pack: number;
  /** Id of the chunk that it is coded against. */
  readonly base: number | undefined;
}

const empty: Sight = { records: new Map(), files: new Map() };

export function sha(text: string): Uint8Array {
  return new Uint8Array(createHash("sha256").update(text).digest());
}

/** A record id: rising with `number`, the rest of it random. */
export function recordId(number: number): Uint8Array {
  const id = sha(`record ${number}`).subarray(0, 16);
  new DataView(id.buffer).setUint32(0, number);
  return id;
}

export const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

export class Model {
  readonly chunks = new Map<number, ModelChunk>();
  readonly packs = new Map<
    number,
    { name: string; tail: boolean; committedBytes: number; frames: FrameFacts[] }
  >();
  readonly tensors = new Map<number, TensorFacts>();
  readonly datasets = new Map<number, ModelDataset>();
  readonly staged = new Map<number, { first: number; count: number; timeMs: number }>();
  readonly presets = new Map<string, JsonObject>();
  settings: JsonObject = {};
  readonly next: { -readonly [kind in keyof Counters]: number } = {
    chunk: 1,
    tensor: 1,
    pack: 1,
    dataset: 1,
    file: 1,
  };
  sequence = 0;
  records = 0;

  /** Frames of a pack as the pack file would give them. */
  readonly frames = (op: FramesOp): FrameFacts[] =>
    this.packs
      .get(op.pack)!
      .frames.filter(({ offset }) => offset >= op.offset && offset < op.offset + op.bytes)
      .sort((a, b) => a.offset - b.offset);

  position(): JournalPosition {
    return {
      sequence: this.sequence,
      hash: sha(`entry ${this.sequence}`),
      segment: "00000001-00000001.log",
      offset: 64 + this.sequence,
    };
  }

  /** Carries out a step: one entry (or none, where the step makes no sense now), applied here and there. */
  run(step: Step, catalog: Catalog): void {
    const [kind, a, b, c] = step;
    if (kind % 16 === 15) {
      catalog.reap(1 + (a % 5));
      return;
    }
    const entry: Entry = { sequence: this.sequence + 1, timeMs: 1_000_000 + this.sequence * 1000, ops: [] };
    const ops = this.#ops(kind % 16, a, b, c, entry);
    if (ops.length > 0) {
      this.sequence += 1;
      catalog.apply({ ...entry, ops }, this.frames, this.position());
    }
  }

  #ops(kind: number, a: number, b: number, c: number, entry: Entry): Op[] {
    switch (kind) {
      case 0:
      case 1:
        return this.#store(a, b, c, entry);
      case 2:
        return this.#addDataset(a, b, entry);
      case 3:
      case 4:
      case 5:
      case 6:
      case 7:
        return this.#change(a, b, c);
      case 8:
        return this.#expire(a, b);
      case 9:
        return this.#tag(a, b, c);
      case 10:
        return c % 4 === 0 ? this.#dropDataset(a) : [];
      case 11:
        return this.#setDataset(a, b, c);
      case 12:
        return this.#move(a, b);
      case 13:
        return this.#collect(entry, a);
      default:
        return this.#set(a, b);
    }
  }

  #pack(isNew: boolean, ops: Op[]): number {
    const newest = this.next.pack - 1;
    if (!isNew && this.packs.has(newest)) {
      return newest;
    }
    const pack = this.next.pack;
    this.next.pack += 1;
    const tail = pack % 2 === 0;
    this.packs.set(pack, { name: `pack${pack}.pack`, tail, committedBytes: 0, frames: [] });
    ops.push({ op: "pack.add", pack, name: `pack${pack}.pack`, tail });
    return pack;
  }

  /** Puts frames at the end of a pack; `bases`: what their chunks are coded against. */
  #place(
    pack: number,
    ids: readonly number[],
    bases: readonly (number | undefined)[],
    seed: number,
  ): FramesOp {
    const target = this.packs.get(pack)!;
    const offset = Math.max(16, target.committedBytes);
    let end = offset;
    const runs: number[] = [];
    ids.forEach((id, at) => {
      const base = bases[at];
      const chain = base !== undefined ? [18, 3] : [[], [3], [5, 3], [1]][(seed + at) % 4]!;
      const frame = {
        hash: sha(`chunk ${id}`),
        offset: end,
        frameBytes: 70 + ((seed * 7 + at * 13) % 101),
        rawBytes: 100 + id,
        chain,
        ...(base !== undefined && { sibling: sha(`chunk ${base}`).subarray(0, 16) }),
      };
      target.frames.push(frame);
      this.chunks.set(id, { frame, pack, base });
      end += frame.frameBytes;
      if (runs.length > 0 && runs.at(-2)! + runs.at(-1)! === id) {
        runs[runs.length - 1]! += 1;
      } else {
        runs.push(id, 1);
      }
    });
    target.committedBytes = end;
    return { op: "frames", pack, offset, bytes: end - offset, chunks: runs };
  }

  /** New chunks, and tensors of all forms over chunks old and new. */
  #store(a: number, b: number, c: number, entry: Entry): Op[] {
    const ops: Op[] = [];
    const pack = this.#pack(a % 3 === 0, ops);
    const ids = Array.from({ length: 1 + (a % 4) }, (_, at) => this.next.chunk + at);
    this.next.chunk += ids.length;
    // Chunks may come before those that they are coded against, as long as they come together.
    const isCoded = ids.map((_, at) => (b + at) % 3 === 1);
    const plain = [...this.chunks].filter(([, { base }]) => base === undefined).map(([id]) => id);
    plain.push(...ids.filter((_, at) => !isCoded[at]));
    const bases = ids.map((_, at) => (isCoded[at] ? plain[(a * 5 + c + at) % plain.length] : undefined));
    const frames = this.#place(pack, ids, bases, b);
    if (c % 5 === 0) {
      ops.push({ ...frames, staged: true });
      this.staged.set(ids[0]!, { first: ids[0]!, count: ids.length, timeMs: entry.timeMs });
    } else {
      ops.push(frames);
    }
    const live = [...this.chunks.keys()];
    const tensors = Array.from({ length: b % 4 }, (_, at) => this.#tensor(a + at, b + c + at, live));
    if (tensors.length > 0) {
      ops.push({ op: "tensors.add", first: this.next.tensor, tensors });
      for (const facts of tensors) {
        this.tensors.set(this.next.tensor, facts);
        this.next.tensor += 1;
      }
    }
    return ops;
  }

  #tensor(a: number, b: number, live: readonly number[]): TensorFacts {
    const chunk = live[b % live.length]!;
    const other = live[a % live.length]!;
    const shape = [[4], [2, 3], [], [1, 0, 5]][a % 4]!;
    const key = sha(`tensor ${this.next.tensor} ${a} ${b}`);
    const run: Place = this.chunks.has(chunk + 1) ? { runs: [chunk, 2] } : { runs: [chunk, 1] };
    const place: Place = b % 3 === 0 ? { bundle: chunk, offset: (a * 64) % 4096 } : run;
    const values = { role: "values", dtype: 22, shape, place } as const;
    switch (b % 7) {
      case 0: {
        const error = { maxAbsolute: 0.5, rmse: 0.1, snrDb: null, cosine: 0.25 };
        return {
          key,
          dtype: 22,
          shape,
          geometry: "elements",
          quantization: { quantizer: "int8", parameters: { granularity: "auto" }, error, bitsPerWeight: 8.5 },
          arrays: [
            { ...values, dtype: 4 },
            { role: "scales", dtype: 22, shape: [1], place: { bundle: other, offset: 8 } },
          ],
        };
      }
      case 1:
        return { key, dtype: 22, shape, geometry: "elements", note: "it holds NaN", arrays: [values] };
      case 3:
        return { key, dtype: 22, shape, geometry: "elements", sketch: sketchOf(a, b), arrays: [values] };
      case 2:
        return {
          key,
          dtype: 5,
          shape: [9],
          geometry: "content",
          arrays: [{ ...values, dtype: 5, shape: [9], place: { runs: [chunk, 1, other, 1] } }],
        };
      default:
        return {
          key,
          dtype: a % 2 === 0 ? 22 : 21,
          shape,
          geometry: "elements",
          arrays: [{ ...values, dtype: a % 2 === 0 ? 22 : 21 }],
        };
    }
  }

  #addDataset(a: number, b: number, entry: Entry): Op[] {
    const dataset = this.next.dataset;
    this.next.dataset += 1;
    const facts: DatasetFacts = {
      dataset,
      name: `set-${dataset}-${a % 3}`,
      timeMs: entry.timeMs,
      preset: b % 2 === 0 ? null : "fast",
      metadata: { kind: a % 3 },
      schema: b % 3 === 0 ? { shape: [a % 5] } : null,
      indexed: b % 4 === 0 ? ["label"] : b % 4 === 1 ? ["label", "info.lang"] : [],
    };
    this.datasets.set(dataset, { facts, version: 0, sights: new Map(), tags: new Map() });
    return [{ op: "dataset.add", ...facts }];
  }

  #pick(a: number): ModelDataset | undefined {
    const all = [...this.datasets.values()];
    return all[a % Math.max(1, all.length)];
  }

  /** A new version: removals, then files, then records (of these files or none). */
  #change(a: number, b: number, c: number): Op[] {
    const set = this.#pick(a);
    if (set === undefined) {
      return [];
    }
    const { dataset } = set.facts;
    const before = set.sights.get(set.version) ?? empty;
    const records = new Map(before.records);
    const files = new Map(before.files);
    const version = set.version + 1;
    const note = b % 3 === 0 ? `note ${b}` : undefined;
    const ops: Op[] = [{ op: "version", dataset, version, ...(note === undefined ? {} : { note }) }];
    const tensors = [...this.tensors.keys()];
    const metadata = metadataOf(c);
    if (b % 4 === 1 && files.size > 0) {
      const file = [...files.keys()][c % files.size]!;
      files.delete(file);
      for (const [id, record] of records) {
        if (record.file === file) {
          records.delete(id);
        }
      }
      ops.push({ op: "files.remove", dataset, version, files: [file] });
    }
    if (c % 3 === 0 && records.size > 0) {
      const gone = [...records.values()].filter((_, at) => at % 3 === b % 3);
      ops.push({ op: "records.remove", dataset, version, ids: gone.map((record) => record.id) });
      for (const record of gone) {
        records.delete(hexOf(record.id));
      }
      // An update of the metadata is a removal and an addition of the same id.
      const updated = gone
        .filter((record) => c % 2 === 0 && (record.file === 0 || files.has(record.file)))
        .map(
          ({ added: _, ...record }): RecordFacts => ({
            ...record,
            metadata: { ...metadata, updated: version },
          }),
        );
      if (updated.length > 0) {
        ops.push({ op: "records.add", dataset, version, records: updated });
        for (const record of updated) {
          records.set(hexOf(record.id), { ...record, added: version });
        }
      }
    }
    let file = 0;
    if (b % 3 === 2 && tensors.length > 0) {
      file = this.next.file;
      this.next.file += 1;
      const parts = Array.from({ length: c % 5 }, (_, at) => tensors[(b * at + c) % tensors.length]!);
      const facts: FileFacts = {
        file,
        path: `dir/file-${file}.bin`,
        format: "opaque",
        bytes: 50 + c,
        sha256: sha(`file ${file}`),
        parts,
        ...(b % 2 === 0 && parts.length > 0 && { layouts: parts.map((_, at) => (a + at) % 4) }),
      };
      files.set(file, { ...facts, added: version });
      ops.push({ op: "files.add", dataset, version, files: [facts] });
    }
    const added: RecordFacts[] = [];
    for (let at = 0; tensors.length > 0 && at < (b + c) % 6; at += 1) {
      this.records += 1;
      const tensor = tensors[(a + b * at) % tensors.length]!;
      const name = at % 2 === 0 ? { name: `name ${(b + at) % 4}` } : {};
      added.push({
        id: recordId(this.records),
        file,
        tensor,
        ...name,
        ...(at % 3 === 0 ? {} : { metadata }),
      });
    }
    if (added.length > 0) {
      ops.push({ op: "records.add", dataset, version, records: added });
      for (const record of added) {
        records.set(hexOf(record.id), { ...record, added: version });
      }
      if (c % 11 === 0) {
        // Added and removed by the same version: never visible.
        ops.push({ op: "records.remove", dataset, version, ids: [added[0]!.id] });
        records.delete(hexOf(added[0]!.id));
      }
    }
    set.version = version;
    set.sights.set(version, { records, files });
    return ops;
  }

  #expire(a: number, b: number): Op[] {
    const set = this.#pick(a);
    if (set === undefined || set.version === 0) {
      return [];
    }
    const tagged = new Set(set.tags.values());
    const kept = [...set.sights.keys()].filter(
      (version) => version === set.version || tagged.has(version) || (version + b) % 3 === 0,
    );
    for (const version of [...set.sights.keys()]) {
      if (!kept.includes(version)) {
        set.sights.delete(version);
      }
    }
    return [{ op: "expire", dataset: set.facts.dataset, kept }];
  }

  #tag(a: number, b: number, c: number): Op[] {
    const set = this.#pick(a);
    const versions = [...(set?.sights.keys() ?? [])];
    const tag = `tag ${b % 3}`;
    if (set === undefined || versions.length === 0) {
      return [];
    }
    if (c % 3 === 0) {
      set.tags.delete(tag);
      return [{ op: "tag.drop", dataset: set.facts.dataset, tag }];
    }
    const version = versions[c % versions.length]!;
    set.tags.set(tag, version);
    return [{ op: "tag.set", dataset: set.facts.dataset, tag, version }];
  }

  #dropDataset(a: number): Op[] {
    const set = this.#pick(a);
    if (set === undefined) {
      return [];
    }
    this.datasets.delete(set.facts.dataset);
    return [{ op: "dataset.drop", dataset: set.facts.dataset }];
  }

  #setDataset(a: number, b: number, c: number): Op[] {
    const set = this.#pick(a);
    if (set === undefined) {
      return [];
    }
    const change = [
      { name: `renamed-${set.facts.dataset}-${c % 4}` },
      { indexed: [["label"], ["info.lang"], []][c % 3]! },
      { metadata: { kind: c % 3, more: [b] } },
      { preset: c % 2 === 0 ? null : "none", schema: null },
    ][b % 4]!;
    set.facts = { ...set.facts, ...change };
    return [{ op: "dataset.set", dataset: set.facts.dataset, ...change }];
  }

  /** gc's move: the chunks of one pack go to a new one, in any order, and the old pack is dropped. */
  #move(a: number, b: number): Op[] {
    const packs = [...this.packs.keys()];
    const old = packs[a % Math.max(1, packs.length)];
    if (old === undefined) {
      return [];
    }
    const ops: Op[] = [];
    const pack = this.#pack(true, ops);
    const ids = [...this.chunks.keys()].filter((id) => this.chunks.get(id)!.pack === old);
    if (b % 2 === 0) {
      ids.reverse();
    }
    if (ids.length > 0) {
      ops.push(
        this.#place(
          pack,
          ids,
          ids.map((id) => this.#recoded(id, a + b)),
          b,
        ),
      );
    }
    this.packs.delete(old);
    ops.push({ op: "pack.drop", packs: [old] });
    return ops;
  }

  /** What a chunk that is moved is coded against from then on: mostly what it was, else nothing. */
  #recoded(id: number, seed: number): number | undefined {
    return (seed + id) % 4 === 0 ? undefined : this.chunks.get(id)!.base;
  }

  /** Every tensor that a row of a kept version refers to. */
  usedTensors(): Set<number> {
    const used = new Set<number>();
    for (const { sights } of this.datasets.values()) {
      for (const { records, files } of sights.values()) {
        for (const record of records.values()) {
          used.add(record.tensor);
        }
        for (const file of files.values()) {
          for (const tensor of file.parts) {
            used.add(tensor);
          }
        }
      }
    }
    return used;
  }

  chunksOf(tensor: number): number[] {
    return this.tensors.get(tensor)!.arrays.flatMap(({ place }) => {
      if ("bundle" in place) {
        return [place.bundle];
      }
      const [first = 0, count = 0, ...rest] = place.runs;
      return [
        ...Array.from({ length: count }, (_, at) => first + at),
        ...(rest.length > 0 ? [rest[0]!] : []),
      ];
    });
  }

  /** These chunks and what they are coded against. */
  withBases(chunks: Iterable<number>): Set<number> {
    const all = new Set(chunks);
    for (const id of [...all]) {
      const base = this.chunks.get(id)?.base;
      if (base !== undefined) all.add(base);
    }
    return all;
  }

  dead(now: number, stagedMs: number): { tensors: number[]; chunks: number[]; stagedFirsts: number[] } {
    const used = this.usedTensors();
    const usedChunks = new Set([...used].flatMap((tensor) => this.chunksOf(tensor)));
    const baseOf = (id: number): number | undefined => this.chunks.get(id)?.base;
    const stagedFirsts: number[] = [];
    for (const { first, count, timeMs } of this.staged.values()) {
      if (now - timeMs >= stagedMs) {
        stagedFirsts.push(first);
      } else {
        for (let id = first; id < first + count; id += 1) {
          usedChunks.add(id);
        }
      }
    }
    for (const id of this.withBases(usedChunks)) usedChunks.add(id);
    const chunks = [...this.chunks.keys()].filter((id) => !usedChunks.has(id)).sort((x, y) => x - y);
    return {
      tensors: [...this.tensors.keys()].filter((id) => !used.has(id)),
      chunks: [
        ...chunks.filter((id) => baseOf(id) !== undefined),
        ...chunks.filter((id) => baseOf(id) === undefined),
      ],
      stagedFirsts,
    };
  }

  #collect(entry: Entry, a: number): Op[] {
    const dead = this.dead(entry.timeMs, 1000 * (a % 20));
    const runs = (ids: readonly number[]): number[] => ids.flatMap((id) => [id, 1]);
    for (const id of dead.tensors) {
      this.tensors.delete(id);
    }
    for (const id of dead.chunks) {
      this.chunks.delete(id);
    }
    for (const first of dead.stagedFirsts) {
      this.staged.delete(first);
    }
    return [
      { op: "tensors.drop", tensors: runs(dead.tensors) },
      { op: "chunks.drop", chunks: runs(dead.chunks) },
      { op: "staged.drop", firsts: dead.stagedFirsts },
    ];
  }

  #set(a: number, b: number): Op[] {
    const name = `preset ${a % 2}`;
    if (b % 3 === 0) {
      this.settings = { preset: name, keepVersions: a };
      return [{ op: "settings.set", settings: this.settings }];
    }
    if (b % 3 === 1) {
      this.presets.set(name, { codec: "none", level: a });
      return [{ op: "preset.set", name, preset: { codec: "none", level: a } }];
    }
    this.presets.delete(name);
    return [{ op: "preset.drop", name }];
  }
}

/** A sketch that shares hashes with others. */
function sketchOf(a: number, b: number): Uint8Array {
  const hashes = Uint32Array.from({ length: 8 }, (_, band) => 0xffff_fff0 + ((a + band * b) % 5));
  return new Uint8Array(hashes.buffer);
}

function metadataOf(c: number): JsonObject {
  const label: Json = [3, "3", true, null, 2.5, ["a", 3], { deep: 1 }, "lang"][c % 8]!;
  return c % 9 === 0 ? { info: { lang: "de" } } : { label, info: { lang: ["en", "de", 7][c % 3]! } };
}
