/** The one await before codecs work: afterwards everything in this package is synchronous. */

import { kernelsReady } from "@tensorcask/kernels";
import { platformReady } from "#platform";
import { checksumReady } from "./checksum.ts";
import { assertLittleEndian } from "./endian.ts";

let loading: Promise<void> | undefined;

/** Loads all WebAssembly parts of the package, once per thread. Throws `UsageError` on a big-endian host. */
export function ready(): Promise<void> {
  loading ??= load();
  return loading;
}

async function load(): Promise<void> {
  assertLittleEndian();
  await Promise.all([platformReady(), kernelsReady(), checksumReady()]);
}
