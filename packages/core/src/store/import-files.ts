/**
 * Imports planned files into a dataset: every byte of a file is read once, in order, hashed for the file's SHA-256, and goes into tensors or opaque
 * runs; tensors that are no byte range of the file come after that. The dataset changes with the last entry only, so that an import lands as a whole
 * or not at all.
 */
import {
  AlreadyExistsError,
  byteLength,
  CancelledError,
  checkPatterns,
  dtypeOfCode,
  NotFoundError,
  type Preset,
  UsageError,
} from "@tensorcask/codec";
import type { DatasetRow, StoredTensor } from "../catalog/catalog.ts";
import { checkDatasetName } from "../files/paths.ts";
import { AS_STORED } from "../model/part-layout.ts";
import { type FilePlan, opaquePlan } from "../model/plan.ts";
import type { StoreContext } from "./context.ts";
import { tensorFootprint } from "./footprint.ts";
import { type Draft, Ingest } from "./ingest.ts";
import { derivedBytes, type FileDraft, ingestFile, UnreadableTensorError } from "./ingest-file.ts";
import type { ParentDataset } from "./sibling-finder.ts";
import type { ImportOptions, ImportResult } from "./types.ts";
import type { DatasetRef, Intent, PendingFile } from "./write-set.ts";
import { StaleReferenceError } from "./write-set.ts";

/** gc or another import can take what this one refers to; that it happens more often in a row means something else is wrong. */
const TRIES = 3;

/** Names of stored records are looked up in slices of this many. */
const NAMES_AT_ONCE = 1000;

/** Imports files and folders. Throws `InvalidFileError`, `UsageError`, `StorageError`; nothing is changed then. */
export async function importFiles(
  context: StoreContext,
  paths: readonly string[],
  options: ImportOptions,
): Promise<ImportResult> {
  context.checkWritable();
  checkDatasetName(options.dataset);
  if (paths.length === 0) throw new UsageError("paths", "no file to import was given");
  const asked = options.preset === undefined ? undefined : context.preset(options.preset);
  const started = performance.now();
  const { userFiles, directory, formats, inMemory } = context.parts;
  const planned = await formats.planInputs(userFiles, paths, {
    ...(options.opaque !== undefined && { opaque: options.opaque }),
    ...(options.signal !== undefined && { signal: options.signal }),
    exclude: inMemory ? [] : [directory],
  });
  if (planned.files.length === 0)
    throw new UsageError("paths", `there is no file to import in ${paths.join(", ")}`);
  const keptOpaque = [...planned.keptOpaque];
  let plans = planned.files;
  for (let left = TRIES; ; ) {
    try {
      const done = await importPlanned(context, plans, asked, options);
      const seconds = (performance.now() - started) / 1000;
      const skipped = [
        ...planned.skipped,
        ...keptOpaque.map(({ path, reason }) => ({ path, reason: `kept as opaque bytes: ${reason}` })),
      ];
      return { ...done, seconds, skipped };
    } catch (error) {
      if (error instanceof UnreadableTensorError) {
        const { plan: broken, reason } = error;
        if (options.opaque !== true) throw reason;
        // Half a tensor is in the pipeline, so all files are taken in once more; what was staged is found again.
        keptOpaque.push({ path: broken.path, reason: reason.message });
        plans = plans.map((plan) => (plan === broken ? opaquePlan(plan) : plan));
        continue;
      }
      const again =
        error instanceof StaleReferenceError ||
        (error instanceof AlreadyExistsError && error.kind === "dataset");
      left -= 1;
      if (!again || left === 0) throw error;
    }
  }
}

async function importPlanned(
  context: StoreContext,
  plans: readonly FilePlan[],
  asked: Preset | undefined,
  options: ImportOptions,
): Promise<Omit<ImportResult, "seconds" | "skipped">> {
  const { catalog } = context;
  const row = catalog.dataset(options.dataset);
  const preset = asked ?? context.preset(row?.preset ?? context.storePreset);
  if (preset.policy !== undefined) checkPatterns(preset.policy, tensorNames(context, plans, row));
  const ref: DatasetRef = { id: row?.dataset ?? 0, name: options.dataset };
  const ingest = new Ingest(context, options.signal, {
    siblings: options.siblings,
    parent: parentOf(context, options.parent),
  });
  try {
    const total = plans.reduce((sum, plan) => sum + plan.bytes + derivedBytes(plan), 0);
    const check = (): void => {
      if (options.signal?.aborted) throw new CancelledError("the import", { cause: options.signal.reason });
    };
    let before = 0;
    const drafts: FileDraft[] = [];
    for (const plan of plans) {
      const report = (bytes: number): void => {
        check();
        options.onProgress?.({ phase: "import", done: before + bytes, total, item: plan.path });
      };
      const { layoutBlockBytes } = context.parts;
      drafts.push(await ingestFile(ingest, plan, preset, { layoutBlockBytes, check, report }));
      before += plan.bytes + derivedBytes(plan);
    }
    await ingest.finish();
    const pending = drafts.map((draft) => pendingFile(draft, context));
    const intents: Intent[] = [];
    if (row === undefined) {
      intents.push({
        kind: "create-dataset",
        dataset: ref,
        preset: asked?.name ?? null,
        metadata: {},
        schema: null,
        indexed: [],
      });
    }
    for (const file of pending) intents.push({ kind: "put-file", dataset: ref, file });
    intents.push({ kind: "unstage", firsts: ingest.stagedFirsts });
    options.onProgress?.({ phase: "commit", done: 0, total: 1 });
    const note = `import ${plans.length === 1 ? plans[0]!.path : `${plans.length} files`}`;
    const result = await context.parts.committer.commit({ intents, note }, { signal: options.signal });
    return describe(
      context,
      drafts,
      pending,
      ingest,
      preset,
      ref,
      result.versions.get(ref.id)!,
      result.newBytes,
    );
  } catch (error) {
    await ingest.abandon();
    throw error;
  }
}

/** Names that a policy may be meant for: of the tensors in the files, then of those that the dataset has. */
function* tensorNames(
  { catalog }: StoreContext,
  plans: readonly FilePlan[],
  row: DatasetRow | undefined,
): Generator<string, void, void> {
  for (const { parts, derived = [] } of plans) {
    for (const part of parts) if (part.kind !== "literal") yield part.name;
    for (const { name } of derived) yield name;
  }
  if (row === undefined) return;
  const query = { dataset: row.dataset, version: row.version };
  for (let last: Uint8Array | undefined; ; ) {
    const page = catalog.page(query, last, NAMES_AT_ONCE);
    for (const { name } of page) if (name !== undefined) yield name;
    if (page.length < NAMES_AT_ONCE) return;
    last = page.at(-1)!.id;
  }
}

/** The current version of the dataset that the files were made from. */
function parentOf({ catalog }: StoreContext, name: string | undefined): ParentDataset | undefined {
  if (name === undefined) return undefined;
  const row = catalog.dataset(name);
  if (row === undefined) throw new NotFoundError("dataset", name, "it was named as the parent");
  return { dataset: row.dataset, version: row.version };
}

function pendingFile(draft: FileDraft, context: StoreContext): PendingFile {
  const { plan, sha256, parts, layouts, records } = draft;
  return {
    path: plan.path,
    format: plan.format,
    bytes: plan.bytes,
    sha256,
    parts: parts.map((part) => part.tensor!),
    ...(layouts.some((layout) => layout !== AS_STORED) && { layouts }),
    records: records.map(({ name, metadata, draft: { tensor } }) => ({
      id: context.ids.next(),
      name,
      metadata,
      tensor: tensor!,
    })),
  };
}

function describe(
  context: StoreContext,
  drafts: readonly FileDraft[],
  pending: readonly PendingFile[],
  ingest: Ingest,
  preset: Preset,
  ref: DatasetRef,
  version: number,
  lastBytes: number,
): Omit<ImportResult, "seconds" | "skipped"> {
  const records = drafts.flatMap((draft) => draft.records);
  const shared = records.filter(({ draft }) => draft.shared);
  const originalBytes = pending.reduce((sum, file) => sum + file.bytes, 0);
  const tensors = new Set<number>();
  for (const { parts, records: own } of pending) {
    for (const { id } of parts) tensors.add(id);
    for (const { tensor } of own) tensors.add(tensor.id);
  }
  const storedBytes = tensorFootprint(context.catalog, tensors);
  // Of tensors that the store had already, only the catalog knows how they are stored.
  const stored = new Map(context.catalog.tensors(tensors).map((tensor) => [tensor.id, tensor]));
  const storedOf = ({ tensor }: Draft): StoredTensor | undefined => stored.get(tensor!.id);
  const notes = records.flatMap(({ name, draft }) => {
    const { quantization, note } = storedOf(draft) ?? {};
    if (preset.lossless || quantization !== undefined || note === undefined) return [];
    return [{ tensor: name, note }];
  });
  return {
    dataset: ref.name,
    preset: preset.name,
    lossless: preset.lossless,
    files: pending.length,
    tensors: records.length,
    originalBytes,
    derivedTensors: drafts.reduce((sum, { plan }) => sum + (plan.derived?.length ?? 0), 0),
    derivedBytes: drafts.reduce((sum, { plan }) => sum + derivedBytes(plan), 0),
    storedBytes,
    newBytes: ingest.stagedBytes + lastBytes,
    ratio: storedBytes === 0 ? null : originalBytes / storedBytes,
    tensorsShared: shared.length,
    bytesShared: shared.reduce((sum, { draft }) => sum + draft.sourceBytes, 0),
    chunksShared: ingest.chunksShared,
    chunksAsDifferences: ingest.differences.chunks,
    differenceRawBytes: ingest.differences.rawBytes,
    differenceBytes: ingest.differences.frameBytes,
    lossyBytesSaved: lossyBytesSaved(stored.values()),
    quantized: records.filter(({ draft }) => storedOf(draft)?.quantization !== undefined).length,
    notes,
    version,
  };
}

/** What quantizing took away: source bytes less the bytes of the arrays that are stored for them. */
function lossyBytesSaved(tensors: Iterable<StoredTensor>): number {
  let saved = 0;
  for (const { dtype, shape, arrays, quantization } of tensors) {
    if (quantization === undefined) continue;
    saved += byteLength(dtypeOfCode(dtype)!, shape);
    for (const array of arrays) saved -= byteLength(dtypeOfCode(array.dtype)!, array.shape);
  }
  return saved;
}
