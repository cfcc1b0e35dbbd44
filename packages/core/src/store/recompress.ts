/**
 * Codes stored chunks anew with the codec of a preset. Tensors stay what they are, and so do chunks: only their frames change, for every dataset that
 * shares them. New frames go to packs of their own without the lock; a commit every 256 MiB then moves the chunks there (recoder.ts). The old
 * frames are dead from then on, and gc frees them.
 */
import {
  canonicalJson,
  dtypeOfCode,
  elementCount,
  type Preset,
  quantizerOf,
  UsageError,
} from "@tensorcask/codec";
import type { Catalog, DatasetRow } from "../catalog/catalog.ts";
import type { StoreContext } from "./context.ts";
import { currentTensors } from "./dataset-tensors.ts";
import { distinctChunks, neededChunks } from "./footprint.ts";
import { Recoder } from "./recoder.ts";
import type { LongCallOptions, RecompressResult } from "./types.ts";

/** Tensors are looked up in slices of this many. */
const TENSORS_AT_ONCE = 1000;

/**
 * Codes the chunks of a dataset's current version with a preset's codec. A codec that chooses by the data replaces what gets smaller by it; one that
 * was asked for by name replaces everything that it codes differently.
 *
 * Throws `UsageError` when the preset has another quantizer than the stored tensors: that would need their sources.
 */
export async function recompress(
  context: StoreContext,
  dataset: DatasetRow,
  preset: Preset,
  options: LongCallOptions = {},
): Promise<RecompressResult> {
  context.checkWritable();
  const started = performance.now();
  const { catalog } = context;
  const tensors = currentTensors(catalog, dataset);
  checkQuantizer(catalog, tensors, preset);
  const chunks = distinctChunks(catalog, tensors);
  const recoder = new Recoder(context, preset.codec, options);
  try {
    const { bytesBefore, moved, savedBytes } = await recoder.run(chunks);
    return {
      dataset: dataset.name,
      preset: preset.name,
      chunks: chunks.length,
      recoded: moved.size,
      bytesBefore,
      bytesAfter: bytesBefore - savedBytes,
      alsoAffects: alsoAffected(context, dataset, moved),
      seconds: (performance.now() - started) / 1000,
    };
  } catch (error) {
    await recoder.abandon();
    throw error;
  }
}

/** Throws unless the tensors are quantized as the preset would have it, or it has no quantizer. */
function checkQuantizer(catalog: Catalog, tensors: ReadonlySet<number>, { name, quantizer }: Preset): void {
  if (quantizer === undefined) return;
  const { id, parameters } = quantizer;
  const wanted = canonicalJson(parameters);
  const ids = [...tensors];
  for (let at = 0; at < ids.length; at += TENSORS_AT_ONCE) {
    for (const { quantization, dtype, shape, geometry, note } of catalog.tensors(
      ids.slice(at, at + TENSORS_AT_ONCE),
    )) {
      const known = dtypeOfCode(dtype);
      const stays =
        geometry === "content" ||
        known === undefined ||
        !quantizerOf(id).accepts(known) ||
        elementCount(shape) === 0;
      if (quantization === undefined && (stays || note !== undefined)) continue;
      if (quantization?.quantizer === id && canonicalJson(quantization.parameters) === wanted) continue;
      const has =
        quantization === undefined ? "stored without loss" : `quantized by ${quantization.quantizer}`;
      throw new UsageError(
        "preset",
        `${name} quantizes by ${id}, but there are tensors ${has}; recompressing changes codecs only, insert again from the source to change the quantizer`,
      );
    }
  }
}

/** Names of the other datasets whose current versions use any of the chunks, or any that is coded against them. */
function alsoAffected(context: StoreContext, dataset: DatasetRow, chunks: ReadonlySet<number>): string[] {
  const { catalog } = context;
  if (chunks.size === 0) return [];
  // Who shares nothing is not looked at any closer.
  const sharing = new Set(
    catalog
      .usage()
      .datasets.filter(({ sharedBytes }) => sharedBytes > 0)
      .map((usage) => usage.dataset),
  );
  if (!sharing.has(dataset.dataset)) return [];
  return catalog
    .datasets()
    .filter((row) => row.dataset !== dataset.dataset && sharing.has(row.dataset))
    .filter((row) => neededChunks(catalog, currentTensors(catalog, row)).some(({ id }) => chunks.has(id)))
    .map((row) => row.name);
}
