/** What decoders promise about bytes that no encoder wrote. */
import { expect } from "vitest";
import { TensorcaskError } from "../src/errors/errors.ts";

/** Longest that a decoder may take over a small damaged input, in ms: a hang, not slowness, is what is looked for. */
const PATIENCE_MS = 1000;

/** The call returns exactly `bytes` bytes or throws an error of ours, and soon. */
export function expectContained(decode: () => Uint8Array, bytes: number): void {
  const start = performance.now();
  try {
    expect(decode().length).toBe(bytes);
  } catch (error) {
    if (!(error instanceof TensorcaskError)) throw error;
  }
  expect(performance.now() - start).toBeLessThan(PATIENCE_MS);
}
