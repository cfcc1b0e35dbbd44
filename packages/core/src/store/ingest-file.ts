/**
 * Takes in one planned file: reads its parts once, in order, hashing the file; undoes their layouts; then the tensors that are no byte range of it.
 */
import { createSha256, InvalidFileError, type Preset } from "@tensorcask/codec";
import type { JsonObject } from "../model/entry.ts";
import { AS_STORED, layoutCode } from "../model/part-layout.ts";
import type { DerivedTensor, FilePlan, OpenSource } from "../model/plan.ts";
import { DerivedBytes } from "./derived-bytes.ts";
import type { Draft, Ingest } from "./ingest.ts";
import { laidOutBytes } from "./laid-out-bytes.ts";
import { SequentialReader } from "./sequential-reader.ts";
import type { TensorBytes } from "./tensor-bytes.ts";

/** A file whose bytes are in the pipeline; its tensors are known once the ingest is finished. */
export interface FileDraft {
  readonly plan: FilePlan;
  readonly sha256: Uint8Array;
  readonly parts: readonly Draft[];
  /** How each part lies in the file. */
  readonly layouts: readonly number[];
  readonly records: readonly RecordDraft[];
}

export interface RecordDraft {
  readonly name: string;
  readonly metadata: JsonObject | undefined;
  readonly draft: Draft;
}

/** A file whose plan was right, but does not hold what a derived tensor needs. */
export class UnreadableTensorError extends Error {
  readonly plan: FilePlan;
  readonly reason: InvalidFileError;

  constructor(plan: FilePlan, reason: InvalidFileError) {
    super(reason.message, { cause: reason });
    this.plan = plan;
    this.reason = reason;
  }
}

/** How a file is taken in. */
export interface IngestFileOptions {
  /** Largest tensor in column-major order that is turned in one piece. */
  readonly layoutBlockBytes: number;
  /** Throws when the import was cancelled. */
  readonly check: () => void;
  /** Hears how many bytes have been read: of the file, then of its derived tensors. */
  readonly report: (bytes: number) => void;
}

/** Takes in one file. Throws `UnreadableTensorError`, and what the source and the ingest throw. */
export async function ingestFile(
  ingest: Ingest,
  plan: FilePlan,
  preset: Preset,
  options: IngestFileOptions,
): Promise<FileDraft> {
  const { layoutBlockBytes, check, report } = options;
  const source = await plan.source();
  try {
    const hash = createSha256();
    const reader = new SequentialReader(source, (bytes, end) => {
      hash.update(bytes);
      report(end);
    });
    const parts: Draft[] = [];
    const layouts: number[] = [];
    const records: RecordDraft[] = [];
    for (const part of plan.parts) {
      const bytes = partBytes(reader, source, part.offset, check);
      if (part.kind === "literal") {
        parts.push(await ingest.content(bytes.first, part.bytes, preset.codec));
        layouts.push(AS_STORED);
        continue;
      }
      const { name, dtype, shape, metadata } = part;
      const layout = layoutCode(dtype, shape, part.layout);
      const stored = laidOutBytes(bytes, dtype, shape, layout, layoutBlockBytes);
      const draft = await ingest.tensor(stored, dtype, shape, preset, name);
      parts.push(draft);
      layouts.push(layout);
      records.push({ name, metadata, draft });
    }
    let before = plan.bytes;
    for (const tensor of plan.derived ?? []) {
      const { name, metadata, bytes } = tensor;
      const start = before;
      const draft = await ingestDerived(ingest, plan, tensor, source, preset, (end) => report(start + end));
      records.push({ name, metadata, draft });
      before += bytes;
    }
    return { plan, sha256: hash.digest(), parts, layouts, records };
  } finally {
    await source.close();
  }
}

/** Takes in a tensor that is no byte range of its file. Throws `UnreadableTensorError` when the file does not hold it. */
async function ingestDerived(
  ingest: Ingest,
  plan: FilePlan,
  tensor: DerivedTensor,
  source: OpenSource,
  preset: Preset,
  report: (bytes: number) => void,
): Promise<Draft> {
  const bytes = new DerivedBytes(tensor, source, report);
  try {
    return await ingest.tensor(bytes, tensor.dtype, tensor.shape, preset, tensor.name);
  } catch (error) {
    throw error instanceof InvalidFileError ? new UnreadableTensorError(plan, error) : error;
  } finally {
    await bytes.close();
  }
}

/** Bytes of the tensors that are kept beside a file's own. */
export function derivedBytes({ derived = [] }: FilePlan): number {
  return derived.reduce((sum, { bytes }) => sum + bytes, 0);
}

/** One part of a file: the first pass goes through the reader that hashes the file, later ones do not. */
function partBytes(
  reader: SequentialReader,
  source: OpenSource,
  start: number,
  check: () => void,
): TensorBytes {
  return {
    first: (into, offset) => reader.read(into, start + offset),
    again: (into, offset) => {
      check();
      return source.read(into, start + offset);
    },
  };
}
