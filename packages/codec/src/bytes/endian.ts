/** Tensors and formats are little-endian, and typed arrays read them in place: a big-endian host would read every number wrong. */
import { UsageError } from "../errors/errors.ts";

/** Throws `UsageError` on a big-endian host. */
export function assertLittleEndian(): void {
  const probe = new Uint8Array(new Uint16Array([1]).buffer);
  if (probe[0] !== 1) throw new UsageError("host", "big-endian machines are not supported");
}
