/**
 * Checks what the chunks mean together: that each tensor has the chunks that its shape asks for and that they are its source (the key says so, for
 * tensors that are stored exactly), and that current files whose tensors are all exact have the SHA-256 they were imported with.
 */
import { setImmediate } from "node:timers/promises";
import {
  bytesOfElements,
  createSha256,
  dtypeOfCode,
  elementCount,
  equalBytes,
  sha256,
  sourceHash,
  tensorKey,
  toHex,
} from "@tensorcask/codec";
import type { DatasetRow, FileRow, StoredTensor } from "../catalog/catalog.ts";
import type { ArrayFacts } from "../model/entry.ts";
import type { StoreContext } from "./context.ts";
import { DatasetView } from "./dataset-view.ts";
import { eachFileByte } from "./file-bytes.ts";
import { chunksOf } from "./footprint.ts";
import { refusedBy } from "./ingest.ts";
import { checkSignal, isFinding, type ProblemList, usersOf } from "./problem-list.ts";
import type { VerifyOptions } from "./types.ts";

/** Tensors that are checked before others get a turn. */
const TENSORS_AT_ONCE = 256;

/** Checks all tensors; those with chunks in `bad` are known to be damaged already. */
export async function verifyTensors(
  context: StoreContext,
  options: VerifyOptions,
  problems: ProblemList,
  bad: ReadonlySet<number>,
): Promise<void> {
  const { catalog } = context;
  const end = catalog.counters().tensor;
  for (let id = 1; id < end; id++) {
    if (id % TENSORS_AT_ONCE === 0) {
      checkSignal(options);
      await setImmediate();
    }
    await problems.guard(`tensor ${id}`, async () => {
      const tensor = catalog.tensor(id);
      if (tensor === undefined || [...chunksOf(tensor)].some((chunk) => bad.has(chunk))) return;
      const wrong = await checkTensor(context, tensor);
      // Collected while it was being looked at: then it is nobody's.
      if (wrong === undefined || catalog.tensor(id) === undefined) return;
      problems.add(`tensor ${id}`, wrong, usersOf(catalog, [...chunksOf(tensor)]));
    });
  }
}

/** What is wrong with a tensor; undefined when nothing is. */
async function checkTensor(context: StoreContext, tensor: StoredTensor): Promise<string | undefined> {
  const hashes: Uint8Array[] = [];
  for (const array of tensor.arrays) {
    const dtype = dtypeOfCode(array.dtype);
    if (dtype === undefined) return `dtype code ${array.dtype} is not known`;
    const bytes = bytesOfElements(dtype, elementCount(array.shape));
    const found = await arrayHashes(context, array, bytes);
    if (found.bytes !== bytes) return `its ${array.role} have ${found.bytes} bytes, ${bytes} were expected`;
    hashes.push(...found.hashes);
  }
  // What a quantized tensor was made from is gone, so its key cannot be computed again.
  if (tensor.quantization !== undefined) return undefined;
  const dtype = dtypeOfCode(tensor.dtype);
  if (dtype === undefined) return `dtype code ${tensor.dtype} is not known`;
  const key = tensorKey({
    sourceHash: sourceHash(Buffer.concat(hashes)),
    dtype,
    shape: tensor.shape,
    geometry: tensor.geometry,
    chunkElements: context.chunkElements,
    ...(tensor.note !== undefined && { quantizer: refusedBy(tensor.note) }),
  });
  return equalBytes(key, tensor.key)
    ? undefined
    : "its chunks are not the tensor that was stored: the key differs";
}

/** SHA-256 of the chunks of an array, and its bytes. */
async function arrayHashes(
  context: StoreContext,
  array: ArrayFacts,
  bytes: number,
): Promise<{ hashes: Uint8Array[]; bytes: number }> {
  const { place } = array;
  if ("bundle" in place) {
    const bundle = await context.parts.reader.chunk(place.bundle);
    const slot = bundle.subarray(place.offset, place.offset + bytes);
    return { hashes: [sha256(slot)], bytes: slot.length };
  }
  const rows = context.catalog.chunks(place.runs);
  return { hashes: rows.map(({ hash }) => hash), bytes: rows.reduce((sum, row) => sum + row.rawBytes, 0) };
}

/** A file to be hashed, with a dataset that has it. */
interface FileCheck {
  readonly dataset: DatasetRow;
  readonly file: FileRow;
}

/** Current files whose tensors are all exact; of equal ones in several datasets, `distinct` has the first. */
export interface ExactFiles {
  readonly distinct: readonly FileCheck[];
  readonly count: number;
  readonly bytes: number;
}

/** Finds the files that have to come out as they went in. */
export function exactFiles(context: StoreContext, problems: ProblemList): ExactFiles {
  const { catalog } = context;
  const seen = new Set<string>();
  const distinct: FileCheck[] = [];
  let count = 0;
  let total = 0;
  for (const dataset of catalog.datasets()) {
    for (const file of catalog.files(dataset.dataset, dataset.version)) {
      try {
        if (catalog.tensors(file.parts).some(({ quantization }) => quantization !== undefined)) continue;
      } catch (error) {
        if (!isFinding(error)) throw error;
        problems.add(`${dataset.name}/${file.path}`, error.message, [`${dataset.name}/${file.path}`]);
        continue;
      }
      count += 1;
      const same = `${toHex(file.sha256)} ${file.parts.join(" ")} ${file.layouts?.join("") ?? ""}`;
      if (seen.has(same)) continue;
      seen.add(same);
      distinct.push({ dataset, file });
      total += file.bytes;
    }
  }
  return { distinct, count, bytes: total };
}

/** Hashes files as an export would write them. `report` gets the bytes done. */
export async function verifyFiles(
  context: StoreContext,
  options: VerifyOptions,
  problems: ProblemList,
  files: ExactFiles,
  report: (bytes: number, item: string) => void,
): Promise<void> {
  let before = 0;
  for (const { dataset, file } of files.distinct) {
    checkSignal(options);
    const where = `${dataset.name}/${file.path}`;
    const start = before;
    before += file.bytes;
    try {
      const hash = createSha256();
      const view = new DatasetView(context, dataset.dataset, dataset.name, dataset.version);
      const take = (bytes: Uint8Array, offset: number): void => {
        checkSignal(options);
        hash.update(bytes);
        report(start + offset + bytes.length, where);
      };
      await eachFileByte(context, view, file, take, options);
      if (!equalBytes(hash.digest(), file.sha256)) {
        problems.add(where, "its bytes are not those that were imported: the SHA-256 differs", [where]);
      }
    } catch (error) {
      if (!isFinding(error)) throw error;
      // Replaced and collected meanwhile: then it is nobody's.
      if (!context.catalog.hasVersion(dataset.dataset, dataset.version)) continue;
      problems.add(where, `cannot be read: ${error.message}`, [where]);
    }
  }
}
