/** The searches for scales of ggml's super-blocks, in the order and precision of ggml's C code, so that the scales are bit by bit the same. */
import { modules } from "./modules.ts";

/** Values of a super-block. */
const VALUES = 256;

/**
 * Scales and minima for 8 runs of 32 values as integers of 0 to 15, by ggml's `make_qkx2_quants` with the weights of `quantize_row_q4_K_ref`:
 * value = integer x scale - minimum.
 *
 * @param values 256 finite ones, of magnitudes whose squares are finite.
 * @param scales gets 8. @param minima gets 8, none negative. @param integers gets 256.
 */
export function fitScalesAndMinima(
  values: Float32Array,
  scales: Float32Array,
  minima: Float32Array,
  integers: Uint8Array,
): void {
  const { quantize } = modules();
  const { buffer } = quantize.memory;
  new Float32Array(buffer, quantize.RUNS.value, VALUES).set(values);
  quantize.fitRunsWithMinima();
  scales.set(new Float32Array(buffer, quantize.RUN_SCALES.value, 8));
  minima.set(new Float32Array(buffer, quantize.RUN_MINIMA.value, 8));
  integers.set(new Uint8Array(buffer, quantize.INTEGERS.value, VALUES));
}

/**
 * Scales for 16 runs of 16 values as integers of -32 to 31, by ggml's `make_qx_quants` with errors weighted by the squares of the values.
 *
 * @param values as for {@link fitScalesAndMinima}.
 * @param scales gets 16. @param integers gets 256, each 32 higher (0 in runs that count as all zero).
 */
export function fitScales(values: Float32Array, scales: Float32Array, integers: Uint8Array): void {
  const { quantize } = modules();
  const { buffer } = quantize.memory;
  new Float32Array(buffer, quantize.RUNS.value, VALUES).set(values);
  quantize.fitRuns();
  scales.set(new Float32Array(buffer, quantize.RUN_SCALES.value, 16));
  integers.set(new Uint8Array(buffer, quantize.INTEGERS.value, VALUES));
}
