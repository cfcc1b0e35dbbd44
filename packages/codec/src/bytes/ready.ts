/** The one await before codecs work: afterwards everything in this package is synchronous. */

import { kernelsReady } from "@tensorcask/kernels";
import { platformReady } from "#platform";
import { checksumReady } from "./checksum.ts";
import { assertLittleEndian } from "./endian.ts";

let loading: Promise<void> | undefined;

/**
 * Loads all WebAssembly parts of the package, once per thread. Throws `UsageError` on a big-endian host. A failed load (no network)
 * rejects and is tried again by the next call.
 */
export function ready(): Promise<void> {
  loading ??= load().catch((error: unknown) => {
    loading = undefined;
    throw error;
  });
  return loading;
}

async function load(): Promise<void> {
  assertLittleEndian();
  await Promise.all([platformReady(), kernelsReady(), checksumReady()]);
}
