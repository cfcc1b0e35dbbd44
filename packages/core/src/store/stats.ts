/**
 * What everything occupies, and what each layer on the way in saved. The catalog measures all datasets in one pass; the result is kept until
 * its sequence changes. The directory is walked each time: every byte of it gets a name here, and what is left over is reported as such.
 */
import { codecOfCode, NotFoundError } from "@tensorcask/codec";
import type { DatasetRow, DatasetUsage, QuantizationUsage, StoreUsage } from "../catalog/catalog.ts";
import { LOCK_FILES } from "../files/lock.ts";
import { PACK_HEADER_BYTES, PACK_SUFFIX } from "../pack/pack-header.ts";
import type { StoreContext } from "./context.ts";
import { directoryFiles, type StoredFile } from "./directory-files.ts";
import { CATALOG_NAME, JOURNAL_NAME, PACKS_NAME, RESERVE_NAME } from "./layout.ts";
import { MARKER_NAME } from "./marker.ts";
import type { DatasetStats, LayerStats, StoreStats } from "./stats-types.ts";

/** Everything that the catalog says, at one sequence. */
interface Measured {
  readonly sequence: number;
  readonly usage: StoreUsage;
  readonly datasets: readonly DatasetStats[];
  /** Names of the packs that the catalog knows. */
  readonly packs: ReadonlySet<string>;
}

const measured = new WeakMap<StoreContext, Measured>();

const NOTHING_QUANTIZED: QuantizationUsage = {
  tensors: 0,
  worstMaxAbsolute: 0,
  worstSnrDb: null,
  meanSnrDb: null,
  refused: 0,
};

/** Statistics of the store and of all its datasets. */
export async function storeStats(context: StoreContext): Promise<StoreStats> {
  const { usage, datasets, packs } = measure(context);
  const files = await directoryFiles(context.parts);
  const directoryBytes = files.reduce((sum, { bytes }) => sum + bytes, 0);
  const overheads = overheadsOf(files, packs, usage.frameBytes);
  const used = usage.datasets.reduce(
    (sum, { amortizedBytes, historyBytes }) => sum + amortizedBytes + historyBytes,
    0,
  );
  const overheadBytes = Object.values(overheads).reduce((sum, bytes) => sum + bytes, 0);
  const originalBytes = usage.datasets.reduce((sum, dataset) => sum + dataset.originalBytes, 0);
  return {
    directory: context.parts.directory,
    originalBytes,
    storedBytes: usage.frameBytes,
    directoryBytes,
    unreferencedBytes: usage.unreferencedBytes,
    overheads,
    residualBytes: directoryBytes - (used + usage.unreferencedBytes + overheadBytes),
    ratio: originalBytes === 0 || directoryBytes === 0 ? null : originalBytes / directoryBytes,
    preset: context.storePreset,
    chunks: usage.chunks,
    tensors: usage.tensors,
    datasets,
    families: usage.families,
  };
}

/** Statistics of one dataset. Throws `NotFoundError`. */
export async function datasetStats(context: StoreContext, name: string): Promise<DatasetStats> {
  const found = measure(context).datasets.find((dataset) => dataset.name === name);
  if (found === undefined) throw new NotFoundError("dataset", name);
  return found;
}

function measure(context: StoreContext): Measured {
  const { catalog } = context;
  const known = measured.get(context);
  if (known !== undefined && known.sequence === catalog.position().sequence) return known;
  const fresh = catalog.read((): Measured => {
    const usage = catalog.usage();
    const quantization = catalog.quantization();
    const rows = new Map(catalog.datasets().map((row) => [row.dataset, row]));
    return {
      sequence: catalog.position().sequence,
      usage,
      datasets: usage.datasets
        .map((one) =>
          statsOf(context, one, rows.get(one.dataset)!, quantization.get(one.dataset) ?? NOTHING_QUANTIZED),
        )
        .sort((a, b) => (a.name < b.name ? -1 : 1)),
      packs: new Set(catalog.packs().map((pack) => pack.name)),
    };
  });
  measured.set(context, fresh);
  return fresh;
}

function statsOf(
  context: StoreContext,
  usage: DatasetUsage,
  row: DatasetRow,
  quantization: QuantizationUsage,
): DatasetStats {
  const { originalBytes, amortizedBytes } = usage;
  const preset = row.preset ?? context.storePreset;
  return {
    name: usage.name,
    preset,
    lossless: quantization.tensors === 0 && isLossless(context, preset),
    records: usage.records,
    files: usage.files,
    version: row.version,
    originalBytes,
    derivedBytes: usage.derivedBytes,
    storedBytes: amortizedBytes,
    exclusiveBytes: usage.exclusiveBytes,
    sharedBytes: usage.sharedBytes,
    amortizedBytes,
    standaloneBytes: usage.standaloneBytes,
    historyBytes: usage.historyBytes,
    siblingChunks: usage.siblingChunks,
    siblingBytes: usage.siblingBytes,
    ratio: originalBytes === 0 || amortizedBytes === 0 ? null : originalBytes / amortizedBytes,
    layers: layersOf(usage, quantization.tensors > 0),
    codecs: usage.chains.map(({ chain, chunks, rawBytes, frameBytes }) => ({
      chain: chainName(chain),
      chunks,
      bytesBefore: rawBytes,
      bytesAfter: frameBytes,
    })),
    quantization,
  };
}

/** A dataset may follow a preset that is not there any more: then its tensors alone decide. */
function isLossless(context: StoreContext, preset: string): boolean {
  try {
    return context.preset(preset).lossless;
  } catch (error) {
    if (error instanceof NotFoundError) return true;
    throw error;
  }
}

/** Bytes before and after each layer, in the order of the way in. Each begins with what the one before left. */
function layersOf(usage: DatasetUsage, quantized: boolean): LayerStats[] {
  const { originalBytes, derivedBytes, tensorBytes, arrayBytes } = usage;
  const { uniqueRawBytes, standaloneBytes, amortizedBytes } = usage;
  const allBytes = originalBytes + derivedBytes;
  const layer = (name: string, bytesBefore: number, bytesAfter: number): LayerStats => ({
    name,
    bytesBefore,
    bytesAfter,
  });
  return [
    ...(derivedBytes > 0 ? [layer("tensors beside files", originalBytes, allBytes)] : []),
    layer("tensor sharing", allBytes, tensorBytes),
    ...(quantized ? [layer("quantize", tensorBytes, arrayBytes)] : []),
    layer("chunk sharing", arrayBytes, uniqueRawBytes),
    layer("coding", uniqueRawBytes, standaloneBytes),
    layer("sharing between datasets", standaloneBytes, amortizedBytes),
  ];
}

function chainName(chain: readonly number[]): string {
  return chain.length === 0
    ? "none"
    : chain.map((code) => codecOfCode(code)?.id ?? `codec ${code}`).join(" + ");
}

/** Every file of the directory under a name, less the live frames in packs. */
function overheadsOf(
  files: readonly StoredFile[],
  packs: ReadonlySet<string>,
  frameBytes: number,
): { [name: string]: number } {
  const sums = {
    journal: 0,
    catalog: 0,
    packHeaders: 0,
    deadFrames: 0,
    orphanPacks: 0,
    lock: 0,
    reserve: 0,
    marker: 0,
    other: 0,
  };
  let inPacks = 0;
  for (const { path, bytes } of files) {
    const [top, name] = path.split("/");
    if (top === JOURNAL_NAME) sums.journal += bytes;
    else if (top === PACKS_NAME) {
      const known = name?.endsWith(PACK_SUFFIX) === true && packs.has(name.slice(0, -PACK_SUFFIX.length));
      if (known) {
        sums.packHeaders += PACK_HEADER_BYTES;
        inPacks += bytes - PACK_HEADER_BYTES;
      } else sums.orphanPacks += bytes;
    } else if (path.startsWith(CATALOG_NAME)) sums.catalog += bytes;
    else if (LOCK_FILES.some((lock) => path.startsWith(lock))) sums.lock += bytes;
    else if (path === RESERVE_NAME) sums.reserve += bytes;
    else if (path === MARKER_NAME) sums.marker += bytes;
    else sums.other += bytes;
  }
  // Fewer bytes than live frames: packs are missing, and the residual says so.
  sums.deadFrames = Math.max(0, inPacks - frameBytes);
  return sums;
}
