/**
 * A pack is a file of many frames, back to back:
 *
 *   offset  bytes
 *   0       4      magic "TCPK"
 *   4       4      u32 version: 0
 *   8       8      u64 reserved: 0
 *   16      ...    frames (see codec's frame header), without gaps, to the end
 *
 * A pack has no index of its own: the journal says which byte range of it holds which chunks, the frames'
 * headers say the rest. Files are called `<name>.pack`; a name is 26 characters of Crockford's base32 (48
 * bits of milliseconds, 80 random bits), so that no two writers ever choose the same one and sorting by name
 * sorts by age.
 */
import { randomBytes } from "node:crypto";
import { DamageError } from "@tensorcask/codec";

export const PACK_HEADER_BYTES = 16;

/**
 * A pack takes no more frames once it is this long: few enough files, yet small enough to rewrite when much
 * of it is dead.
 */
export const PACK_BYTES: number = 64 * 1024 * 1024;

export const PACK_SUFFIX = ".pack";

const VERSION = 0;
const magic: readonly number[] = [0x54, 0x43, 0x50, 0x4b];

const digits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const NAME_LENGTH = 26;
const TIME_LENGTH = 10;
const namePattern = /^[0-9A-HJKMNP-TV-Z]{26}$/;

/** The first bytes of every pack. */
export function packHeader(): Uint8Array {
  const header = new Uint8Array(PACK_HEADER_BYTES);
  header.set(magic);
  return header;
}

/** Checks the first bytes of a pack. Throws `DamageError` naming `where`. */
export function checkPackHeader(header: Uint8Array, where: string): void {
  if (header.length < PACK_HEADER_BYTES) throw new DamageError(where, "shorter than a pack's header");
  if (magic.some((byte, index) => header[index] !== byte)) throw new DamageError(where, "not a pack");
  const view = new DataView(header.buffer, header.byteOffset, header.byteLength);
  const version = view.getUint32(4, true);
  if (version !== VERSION) {
    throw new DamageError(where, `pack version ${version} is newer than this Tensorcask understands`);
  }
}

/** A new pack name. */
export function newPackName(nowMs: number = Date.now()): string {
  let name = "";
  for (let rest = nowMs, place = 0; place < TIME_LENGTH; place++) {
    name = digits[rest % 32]! + name;
    rest = Math.floor(rest / 32);
  }
  for (const byte of randomBytes(NAME_LENGTH - TIME_LENGTH)) name += digits[byte % 32]!;
  return name;
}

/**
 * Whether a text can be the name of a pack. What comes from the journal must not lead out of the pack
 * directory.
 */
export function isPackName(name: string): boolean {
  return namePattern.test(name);
}
