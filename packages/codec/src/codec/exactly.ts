/** The rule that every decoder ends with: the declared length, or damage. */
import { DamageError } from "../errors/errors.ts";

/** `decoded` itself if it has the declared length; else throws `DamageError` naming the codec. */
export function exactly(decoded: Uint8Array, bytes: number, codec: string): Uint8Array {
  if (decoded.length !== bytes) {
    throw new DamageError(codec, `decoded to ${decoded.length} bytes, ${bytes} were declared`);
  }
  return decoded;
}
