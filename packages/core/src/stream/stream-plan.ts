/**
 * How the bytes of a stream are cut: as a store would cut the file. Its first bytes decide. A safetensors file is cut by elements, tensor by
 * tensor, with their types; everything else by content. What a stream is called does not matter, and neither does how long it turns out to
 * be: a file that ends early or goes on behind its last tensor is coded as well, only less tightly.
 */
import {
  type DType,
  ElementGeometry,
  InvalidFileError,
  isBundled,
  MAX_BUNDLE_BYTES,
} from "@tensorcask/codec";
import { LENGTH_BYTES, parseSafetensorsHeader } from "../format/safetensors/header.ts";
import { planSafetensors, safetensors } from "../format/safetensors/plan.ts";
import type { PlanPart } from "../model/plan.ts";
import type { StreamInput } from "./stream-input.ts";

/** Bytes that tell what a stream is. */
const HEAD_BYTES = 64;

/**
 * Longest safetensors header that is looked into, since it is held in memory: that of 160,000 tensors with names of 40 characters. Files
 * with longer ones are cut by content.
 */
const MAX_PLANNED_HEADER_BYTES = 16 * 1024 * 1024;

/** What comes next in a stream. */
export type StreamPart =
  /** So many bytes, cut by content; undefined: all that are left. */
  | { readonly kind: "content"; readonly bytes: number | undefined }
  /** A tensor, cut by elements. */
  | { readonly kind: "elements"; readonly geometry: ElementGeometry }
  /** Small tensors of one type that lie together: one chunk. */
  | { readonly kind: "bundle"; readonly dtype: DType; readonly bytes: number };

/** The parts of a stream, in order. The last one takes all that is left. */
export async function planStream(input: StreamInput): Promise<readonly StreamPart[]> {
  const rest: StreamPart = { kind: "content", bytes: undefined };
  const planned = await planTensors(input);
  return [...streamParts(planned), rest];
}

/** The parts of a safetensors file; none of any other. */
async function planTensors(input: StreamInput): Promise<readonly PlanPart[]> {
  const head = await input.peek(HEAD_BYTES);
  if (safetensors.matches("", head) === undefined) return [];
  const jsonBytes = Number(new DataView(head.buffer).getBigUint64(0, true));
  if (jsonBytes > MAX_PLANNED_HEADER_BYTES) return [];
  const json = (await input.peek(LENGTH_BYTES + jsonBytes)).subarray(LENGTH_BYTES);
  const dataBytes = json.length < jsonBytes ? undefined : dataBytesOf(json);
  if (dataBytes === undefined) return [];
  try {
    return planSafetensors(parseSafetensorsHeader("stream", json, LENGTH_BYTES + jsonBytes + dataBytes))
      .parts;
  } catch (error) {
    if (error instanceof InvalidFileError) return [];
    throw error;
  }
}

/** Where the data of the last tensor ends; undefined when the header is no JSON object. The strict parser judges the rest. */
function dataBytesOf(json: Uint8Array): number | undefined {
  let entries: unknown;
  try {
    entries = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(json));
  } catch {
    return undefined;
  }
  let most = 0;
  for (const entry of Object.values(entries ?? {})) {
    const end: unknown = (entry as { readonly data_offsets?: unknown[] } | null)?.data_offsets?.[1];
    if (Number.isSafeInteger(end)) most = Math.max(most, end as number);
  }
  return Number.isSafeInteger(most + LENGTH_BYTES + json.length) ? most : undefined;
}

/**
 * Puts small tensors that lie together into bundles; empty ones have no bytes to code. Bytes come out as they went in, so how a part's elements
 * lie makes no difference here, and tensors beside the parts have none. Pure.
 */
function streamParts(planned: readonly PlanPart[]): StreamPart[] {
  const parts: StreamPart[] = [];
  for (const part of planned) {
    const last = parts.at(-1);
    if (part.bytes === 0) continue;
    if (part.kind === "literal") {
      parts.push({ kind: "content", bytes: part.bytes });
    } else if (!isBundled(part.bytes)) {
      parts.push({ kind: "elements", geometry: new ElementGeometry(part.dtype, part.shape) });
    } else if (
      last?.kind === "bundle" &&
      last.dtype === part.dtype &&
      last.bytes + part.bytes <= MAX_BUNDLE_BYTES
    ) {
      parts[parts.length - 1] = { ...last, bytes: last.bytes + part.bytes };
    } else {
      parts.push({ kind: "bundle", dtype: part.dtype, bytes: part.bytes });
    }
  }
  return parts;
}
