/**
 * A reader of store directories that follows docs/format.md and nothing else: it shares no code with the library. Slow, short,
 * and strict: whatever the page does not allow is an error. Numbers in comments are sections of the page.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { bytesOf, chunkLengths, contentLengths, layOut } from "./arrays.ts";
import { ascii, must, SpecError } from "./bytes.ts";
import { decodeFrame, type Frame, readFrame } from "./frames.ts";
import { readJournal, type SpecEntry } from "./journal.ts";
import {
  fileOf,
  recordIds,
  recordsOf,
  runs,
  type SpecArray,
  type SpecFile,
  type SpecRecord,
  type SpecTensor,
  steps,
  tensorsOf,
} from "./operations.ts";
import { dequantize } from "./quantizers.ts";

interface SpecDataset {
  name: string;
  version: number;
  readonly versions: Map<number, { note: string | undefined; timeMs: number; sequence: number }>;
  readonly tags: Map<string, number>;
  records: SpecRecord[];
  files: SpecFile[];
}

/** 16 */
function sees(row: { added: number; removed?: number }, version: number): boolean {
  return row.added <= version && (row.removed === undefined || row.removed > version);
}

/** A store directory, read whole. */
export class SpecStore {
  readonly chunkElements: number;
  readonly entries: readonly SpecEntry[];
  readonly datasets: Map<number, SpecDataset> = new Map();
  readonly tensors: Map<number, SpecTensor> = new Map();
  /** Chunk id to its frame. */
  readonly chunks: Map<number, Frame> = new Map();
  settings: Record<string, unknown> = {};
  readonly #directory: string;
  readonly #packs = new Map<number, Buffer>();

  constructor(directory: string) {
    this.#directory = directory;
    // 3
    const marker = JSON.parse(readFileSync(join(directory, "tensorcask.json"), "utf8"));
    must(marker.format === "tensorcask" && marker.version === 0, "not a store of version 0");
    this.chunkElements = marker.chunkElements;
    this.entries = readJournal(join(directory, "journal"));
    for (const entry of this.entries) {
      const [timeMs, ...ops] = entry.payload as [number, ...unknown[][]];
      for (const op of ops) this.#apply(op, timeMs, entry.sequence);
    }
  }

  /** 16 */
  #apply(op: unknown[], timeMs: number, sequence: number): void {
    const [code, ...fields] = op as [number, ...unknown[]];
    const [id, version] = fields as [number, number];
    switch (code) {
      case 1:
        this.#addPack(id, fields[1] as string);
        return;
      case 2:
        for (const pack of steps(fields[0])) this.#packs.delete(pack);
        return;
      case 3:
        this.#placeFrames(id, fields[1] as number, fields[2] as number, runs(fields[3]));
        return;
      case 5:
        for (const chunk of runs(fields[0])) this.chunks.delete(chunk);
        return;
      case 6:
        tensorsOf(fields.slice(1)).forEach((tensor, index) => {
          this.tensors.set(id + index, tensor);
        });
        return;
      case 7:
        for (const tensor of runs(fields[0])) this.tensors.delete(tensor);
        return;
      case 8:
        this.datasets.set(id, {
          name: fields[1] as string,
          version: 0,
          versions: new Map(),
          tags: new Map(),
          records: [],
          files: [],
        });
        return;
      case 9:
        if (fields[1] != null) this.#dataset(id).name = (fields[1] as [string])[0];
        return;
      case 10:
        this.datasets.delete(id);
        return;
      case 11: {
        const dataset = this.#dataset(id);
        dataset.versions.set(version, {
          note: (fields[2] as string | null) ?? undefined,
          timeMs: (fields[3] as number | null) ?? timeMs,
          sequence: (fields[4] as number | null) ?? sequence,
        });
        dataset.version = Math.max(dataset.version, version);
        return;
      }
      case 12:
        this.#dataset(id).tags.set(fields[1] as string, fields[2] as number);
        return;
      case 13:
        this.#dataset(id).tags.delete(fields[1] as string);
        return;
      case 14:
        this.#expire(this.#dataset(id), new Set(steps(fields[1])));
        return;
      case 15:
        this.#dataset(id).records.push(...recordsOf(fields.slice(2), version));
        return;
      case 16: {
        const ids = new Set(recordIds(fields[2]));
        for (const record of this.#dataset(id).records)
          if (record.removed === undefined && ids.has(record.id)) record.removed = version;
        return;
      }
      case 17:
        this.#dataset(id).files.push(...(fields[2] as unknown[][]).map((file) => fileOf(file, version)));
        return;
      case 18: {
        const files = new Set(steps(fields[2]));
        const { files: own, records } = this.#dataset(id);
        for (const row of [...own, ...records])
          if (row.removed === undefined && files.has(row.file)) row.removed = version;
        return;
      }
      case 19:
        this.settings = JSON.parse(fields[0] as string);
        return;
      case 4:
      case 20:
      case 21:
      case 22:
        return;
      default:
        throw new SpecError(`operation ${code} is unknown`);
    }
  }

  #dataset(id: number): SpecDataset {
    const dataset = this.datasets.get(id);
    must(dataset !== undefined, `dataset ${id} is not there`);
    return dataset;
  }

  /** 9 */
  #addPack(number: number, name: string): void {
    must(/^[0-9A-HJKMNP-TV-Z]{26}$/.test(name), "a pack has a wrong name");
    const bytes = readFileSync(join(this.#directory, "packs", `${name}.pack`));
    must(ascii(bytes, 0, 4) === "TCPK" && bytes.readUInt32LE(4) === 0, "not a pack");
    this.#packs.set(number, bytes);
  }

  #placeFrames(number: number, offset: number, bytes: number, chunks: readonly number[]): void {
    const pack = this.#packs.get(number);
    must(pack !== undefined, `pack ${number} is not there`);
    let at = offset;
    for (const chunk of chunks) {
      const frame = readFrame(pack.subarray(at, offset + bytes));
      const known = this.chunks.get(chunk);
      must(known === undefined || known.hash.equals(frame.hash), "a chunk moved and is another one");
      this.chunks.set(chunk, frame);
      at += frame.frameBytes;
    }
    must(at === offset + bytes, "frames do not fill their range");
  }

  #expire(dataset: SpecDataset, kept: ReadonlySet<number>): void {
    for (const version of dataset.versions.keys()) if (!kept.has(version)) dataset.versions.delete(version);
    for (const [tag, version] of dataset.tags) if (!kept.has(version)) dataset.tags.delete(tag);
    const seen = (row: SpecRecord | SpecFile): boolean =>
      row.removed === undefined || [...kept].some((version) => sees(row, version));
    dataset.records = dataset.records.filter(seen);
    dataset.files = dataset.files.filter(seen);
  }

  dataset(name: string): SpecDataset {
    const found = [...this.datasets.values()].find((dataset) => dataset.name === name);
    must(found !== undefined, `there is no dataset ${name}`);
    return found;
  }

  /** The records that a version sees, the current one by default. */
  records(name: string, version?: number): SpecRecord[] {
    const dataset = this.dataset(name);
    return dataset.records.filter((record) => sees(record, version ?? dataset.version));
  }

  files(name: string, version?: number): SpecFile[] {
    const dataset = this.dataset(name);
    return dataset.files.filter((file) => sees(file, version ?? dataset.version));
  }

  /** 20: the source bytes of a record's tensor. */
  read(dataset: string, record: string, version?: number): Buffer {
    const found = this.records(dataset, version).find(({ name }) => name === record);
    must(found !== undefined, `there is no record ${record}`);
    return this.tensorBytes(found.tensor);
  }

  /** 16: the bytes of a file. */
  fileBytes(file: SpecFile): Buffer {
    return Buffer.concat(
      file.parts.map((part, index) => {
        const { dtype, shape } = this.tensors.get(part)!;
        return layOut(this.tensorBytes(part), dtype, shape, file.layouts[index] ?? 0);
      }),
    );
  }

  tensorBytes(id: number): Buffer {
    const tensor = this.tensors.get(id);
    must(tensor !== undefined, `tensor ${id} is not there`);
    if (tensor.quantizer === undefined) return this.#arrayBytes(tensor.arrays[0]!, tensor);
    const bytesOfRole = (role: number): Buffer | undefined => {
      const array = tensor.arrays.find((one) => one.role === role);
      return array === undefined ? undefined : this.#arrayBytes(array, tensor);
    };
    return dequantize(tensor, bytesOfRole(0)!, bytesOfRole(1), bytesOfRole(2));
  }

  #chunk(id: number): Buffer {
    const frame = this.chunks.get(id);
    must(frame !== undefined, `chunk ${id} is not there`);
    return decodeFrame(frame, (hash) => this.#frameOf(hash));
  }

  /** 10: the frame of the chunk whose SHA-256 begins so. */
  #frameOf(hash: Buffer): Frame {
    const found = [...this.chunks.values()].filter((frame) =>
      frame.hash.subarray(0, hash.length).equals(hash),
    );
    must(found.length === 1, "a sibling is not there, or there are several");
    return found[0]!;
  }

  #arrayBytes(array: SpecArray, tensor: SpecTensor): Buffer {
    const length = bytesOf(array.dtype, array.shape);
    if (array.bundle !== undefined) {
      must(length < 4096, "a large array lies in a bundle");
      const slot = this.#chunk(array.bundle).subarray(array.offset, array.offset! + length);
      must(slot.length === length, "a slot lies beyond its bundle");
      return slot;
    }
    const chunks = array.chunks!.map((id) => this.#chunk(id));
    const bytes = Buffer.concat(chunks);
    const expected =
      tensor.geometry === 0
        ? chunkLengths(array.dtype, array.shape, this.chunkElements)
        : contentLengths(bytes);
    must(
      chunks.map((chunk) => chunk.length).join() === expected.join(),
      "an array is cut in other places than the page says",
    );
    must(bytes.length === length, "an array has a wrong length");
    return bytes;
  }
}
