/**
 * Ratios with their parts. What a quantizer saves is paid for with precision, what a codec saves is free: the two are never shown as
 * one number without both parts beside it.
 */
import type { LayerStats } from "@tensorcask/core";
import { formatRatio } from "./quantity.ts";

/** The layer whose savings lose precision; every other one is lossless. */
export const LOSSY_LAYER = "quantize";

/** A ratio and what lossy and lossless layers gave to it: `total` = `lossy` x `lossless`. */
export interface RatioParts {
  readonly total: number | null;
  /** 1 when nothing was quantized. */
  readonly lossy: number;
  readonly lossless: number | null;
}

/** Bytes that quantizing took away. */
export function lossyBytesSaved(layers: readonly LayerStats[]): number {
  return layers
    .filter((layer) => layer.name === LOSSY_LAYER)
    .reduce((sum, layer) => sum + layer.bytesBefore - layer.bytesAfter, 0);
}

/** Splits a ratio by how many of the `sourceBytes`, all that went in, quantizing took away. */
export function ratioParts(ratio: number | null, sourceBytes: number, lossyBytes: number): RatioParts {
  const left = sourceBytes - lossyBytes;
  if (lossyBytes <= 0 || left <= 0) {
    return { total: ratio, lossy: 1, lossless: ratio };
  }
  const lossy = sourceBytes / left;
  return { total: ratio, lossy, lossless: ratio === null ? null : ratio / lossy };
}

/** `1.52`, or `4.10 = 2.00 lossy x 2.05 lossless`. */
export function formatRatioParts(parts: RatioParts): string {
  const total = formatRatio(parts.total);
  return parts.lossy === 1 || parts.total === null
    ? total
    : `${total} = ${formatRatio(parts.lossy)} lossy x ${formatRatio(parts.lossless)} lossless`;
}
