/** Bytes as lowercase hexadecimal text, for hashes in messages and JSON. */
import { UsageError } from "../errors/errors.ts";

const digits: readonly string[] = Array.from({ length: 256 }, (_, byte) =>
  byte.toString(16).padStart(2, "0"),
);

/** Two lowercase digits per byte. */
export function toHex(bytes: Uint8Array): string {
  let text = "";
  for (let index = 0; index < bytes.length; index++) text += digits[bytes[index]!]!;
  return text;
}

/** The bytes of hexadecimal text in either case. Throws `UsageError` naming `field` when it is none. */
export function fromHex(text: string, field = "hex"): Uint8Array {
  if (text.length % 2 !== 0 || !/^[0-9a-fA-F]*$/.test(text)) {
    throw new UsageError(field, `${field}: ${JSON.stringify(text)} is not hexadecimal`);
  }
  const bytes = new Uint8Array(text.length / 2);
  for (let index = 0; index < bytes.length; index++) {
    bytes[index] = Number.parseInt(text.slice(2 * index, 2 * index + 2), 16);
  }
  return bytes;
}
