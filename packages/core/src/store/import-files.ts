/**
 * Imports planned files into a dataset: every byte of a file is read once, in order, hashed for the file's SHA-256, and goes into tensors or opaque
 * runs. The dataset changes with the last entry only, so that an import lands as a whole or not at all.
 */
import {
  AlreadyExistsError,
  byteLength,
  CancelledError,
  createSha256,
  dtypeOfCode,
  type Preset,
  UsageError,
} from "@tensorcask/codec";
import type { StoredTensor } from "../catalog/catalog.ts";
import { checkDatasetName } from "../files/paths.ts";
import type { FilePlan, OpenSource } from "../model/plan.ts";
import type { StoreContext } from "./context.ts";
import { tensorFootprint } from "./footprint.ts";
import { type Draft, Ingest } from "./ingest.ts";
import { SequentialReader } from "./sequential-reader.ts";
import type { TensorBytes } from "./tensor-bytes.ts";
import type { ImportOptions, ImportResult } from "./types.ts";
import type { DatasetRef, Intent, PendingFile } from "./write-set.ts";
import { StaleReferenceError } from "./write-set.ts";

/** gc or another import can take what this one refers to; that it happens more often in a row means something else is wrong. */
const TRIES = 3;

/** A file whose bytes are in the pipeline; its tensors are known once the ingest is finished. */
interface FileDraft {
  readonly plan: FilePlan;
  readonly sha256: Uint8Array;
  readonly parts: readonly Draft[];
  readonly records: readonly { readonly name: string; readonly draft: Draft }[];
}

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
  const { userFiles, directory, planInputs, inMemory } = context.parts;
  const planned = await planInputs(userFiles, paths, {
    ...(options.opaque !== undefined && { opaque: options.opaque }),
    ...(options.signal !== undefined && { signal: options.signal }),
    exclude: inMemory ? [] : [directory],
  });
  if (planned.files.length === 0)
    throw new UsageError("paths", `there is no file to import in ${paths.join(", ")}`);
  for (let left = TRIES; ; left--) {
    try {
      const done = await importPlanned(context, planned.files, asked, options);
      const seconds = (performance.now() - started) / 1000;
      const skipped = [
        ...planned.skipped,
        ...planned.keptOpaque.map(({ path, reason }) => ({
          path,
          reason: `kept as opaque bytes: ${reason}`,
        })),
      ];
      return { ...done, seconds, skipped };
    } catch (error) {
      const again =
        error instanceof StaleReferenceError ||
        (error instanceof AlreadyExistsError && error.kind === "dataset");
      if (!again || left === 1) throw error;
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
  const ref: DatasetRef = { id: row?.dataset ?? 0, name: options.dataset };
  const ingest = new Ingest(context, options.signal);
  try {
    const total = plans.reduce((sum, plan) => sum + plan.bytes, 0);
    let before = 0;
    const drafts: FileDraft[] = [];
    for (const plan of plans) {
      const report = (bytes: number): void => {
        if (options.signal?.aborted) throw new CancelledError("the import", { cause: options.signal.reason });
        options.onProgress?.({ phase: "import", done: before + bytes, total, item: plan.path });
      };
      drafts.push(await ingestFile(ingest, plan, preset, report));
      before += plan.bytes;
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

async function ingestFile(
  ingest: Ingest,
  plan: FilePlan,
  preset: Preset,
  report: (bytes: number) => void,
): Promise<FileDraft> {
  const source = await plan.source();
  try {
    const hash = createSha256();
    const reader = new SequentialReader(source, (bytes, end) => {
      hash.update(bytes);
      report(end);
    });
    const parts: Draft[] = [];
    const records: { name: string; draft: Draft }[] = [];
    for (const part of plan.parts) {
      const bytes = partBytes(reader, source, part.offset);
      if (part.kind === "literal") {
        parts.push(await ingest.content(bytes.first, part.bytes, preset.codec));
        continue;
      }
      const draft = await ingest.tensor(bytes, part.dtype, part.shape, preset);
      parts.push(draft);
      records.push({ name: part.name, draft });
    }
    return { plan, sha256: hash.digest(), parts, records };
  } finally {
    await source.close();
  }
}

/** One part of a file: the first pass goes through the reader that hashes the file, later ones do not. */
function partBytes(reader: SequentialReader, source: OpenSource, start: number): TensorBytes {
  return {
    first: (into, offset) => reader.read(into, start + offset),
    again: (into, offset) => source.read(into, start + offset),
  };
}

function pendingFile(draft: FileDraft, context: StoreContext): PendingFile {
  const { plan, sha256, parts, records } = draft;
  return {
    path: plan.path,
    format: plan.format,
    bytes: plan.bytes,
    sha256,
    parts: parts.map((part) => part.tensor!),
    records: records.map(({ name, draft: { tensor } }) => ({
      id: context.ids.next(),
      name,
      metadata: undefined,
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
  const tensors = new Set(pending.flatMap((file) => file.parts.map((part) => part.id)));
  const storedBytes = tensorFootprint(context.catalog, tensors);
  // Of tensors that the store had already, only the catalog knows how they are stored.
  const stored = new Map(context.catalog.tensors(tensors).map((tensor) => [tensor.id, tensor]));
  const storedOf = ({ tensor }: Draft): StoredTensor | undefined => stored.get(tensor!.id);
  const notes = records.flatMap(({ name, draft }) => {
    const note = preset.lossless ? undefined : storedOf(draft)?.note;
    return note === undefined ? [] : [{ tensor: name, note }];
  });
  return {
    dataset: ref.name,
    preset: preset.name,
    lossless: preset.lossless,
    files: pending.length,
    tensors: records.length,
    originalBytes,
    storedBytes,
    newBytes: ingest.stagedBytes + lastBytes,
    ratio: storedBytes === 0 ? null : originalBytes / storedBytes,
    tensorsShared: shared.length,
    bytesShared: shared.reduce((sum, { draft }) => sum + draft.sourceBytes, 0),
    chunksShared: ingest.chunksShared,
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
