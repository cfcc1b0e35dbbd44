/**
 * The model of bytes for the context coder: what followed the same bytes before (0 to 6 of them), what stood above, a width before, and
 * what came after the last place where the same six bytes stood. Text, tables and numbers of any kind.
 */
import type { BitCoder } from "./context-coder.ts";
import { ContextMixer } from "./context-mixer.ts";

const INPUTS = 10;
const COUNT_LIMIT = 60;
const SPEED = 10;
/** Slots of an input: for all bits of up to 65,536 bytes, and no more than fit a core's share of memory. */
const MIN_TABLE_BITS = 16;
const MAX_TABLE_BITS = 20;
/** Bytes that must be the same for a match, and the table that finds them. */
const MATCH_BYTES = 6;
const MATCH_TABLE_BITS = 16;
/** Matches longer than this are all as sure. */
const MAX_MATCH = 31;

/**
 * Codes `bytes` by `coder`; a decoder writes them. `width`: bytes of an element or a row, 1 to 255.
 */
export function codeBytes(coder: BitCoder, bytes: Uint8Array, width: number): void {
  const tableBits = Math.min(Math.max(35 - Math.clz32(bytes.length), MIN_TABLE_BITS), MAX_TABLE_BITS);
  const shift = 36 - tableBits;
  const lines = new Int32Array(INPUTS);
  const mixer = new ContextMixer(INPUTS, 1 << tableBits, 9 * 6, 256, COUNT_LIMIT, SPEED);
  const slots = mixer.slots;
  const hashes = new Uint32Array(INPUTS);
  const places = new Int32Array(1 << MATCH_TABLE_BITS);
  let match = 0;
  let matched = 0;
  let recent = 0;
  let older = 0;
  for (let index = 0; index < bytes.length; index++) {
    const above = index >= width ? bytes[index - width]! : 0;
    const aboveThat = index >= 2 * width ? bytes[index - 2 * width]! : 0;
    const place = index % width;
    const left = recent & 0xff;
    hashes[0] = 0;
    hashes[1] = mix(1, recent & 0xff, 0);
    hashes[2] = mix(2, recent & 0xffff, 0);
    hashes[3] = mix(3, recent & 0xff_ffff, 0);
    hashes[4] = mix(4, recent, 0);
    hashes[5] = mix(5, recent, older & 0xffff);
    hashes[6] = mix(6, place, above);
    hashes[7] = mix(7, place, (above << 8) | left);
    hashes[8] = mix(8, place, (above << 8) | aboveThat);
    const expected = matched > 0 ? bytes[match]! | 0x100 : 0;
    const lengthClass =
      matched === 0 ? 0 : matched < 16 ? 1 + (matched >> 2) : 5 + (Math.min(matched, MAX_MATCH) >> 3);
    let node = 1;
    for (let bit = 7; bit >= 0; bit--) {
      if (bit === 7 || bit === 3) {
        for (let input = 0; input < INPUTS - 1; input++) {
          lines[input] = (Math.imul(hashes[input]! + node, 0x9e37_79b1) >>> shift) << 4;
        }
      }
      // 1, 2-3, 4-7, 8-15 within the half of the byte.
      const within = bit > 3 ? node : (1 << (3 - bit)) | (node & ((1 << (3 - bit)) - 1));
      for (let input = 0; input < INPUTS - 1; input++) slots[input] = lines[input]! | within;
      // As long as the match has been right in this byte, what it says; else the byte so far.
      const agrees = expected >> (bit + 1) === node;
      slots[INPUTS - 1] = agrees
        ? 256 + ((Math.min(matched, MAX_MATCH) << 1) | ((expected >> bit) & 1))
        : node;
      const given = (bytes[index]! >> bit) & 1;
      const set = (agrees ? lengthClass : 0) * 6 + mixer.known(1, 6);
      node = 2 * node + mixer.code(coder, given, set, node);
    }
    const byte = node & 0xff;
    bytes[index] = byte;
    older = (older << 8) | (recent >>> 24);
    recent = (recent << 8) | byte;
    if (matched > 0 && bytes[match] === byte) {
      match++;
      matched++;
    } else matched = 0;
    if (index + 1 >= MATCH_BYTES) {
      const slot = mix(9, recent, older & 0xffff) >>> (32 - MATCH_TABLE_BITS);
      if (matched === 0) {
        match = places[slot]!;
        if (match > 0)
          while (
            matched < MAX_MATCH &&
            match > matched &&
            bytes[match - 1 - matched] === bytes[index - matched]
          )
            matched++;
      }
      places[slot] = index + 1;
    }
  }
}

/** A hash of two numbers under a salt. */
function mix(salt: number, a: number, b: number): number {
  const one = Math.imul(a ^ Math.imul(salt, 0x2545_f491), 0x85eb_ca6b);
  const two = Math.imul((one ^ (one >>> 15)) + b, 0xc2b2_ae35);
  return (two ^ (two >>> 13)) >>> 0;
}
