/**
 * Sketches: what finds a tensor that another one resembles (the base of a fine-tune, an earlier checkpoint, a copy rounded to another
 * type) among all that a store has, without reading any of them.
 *
 * A sketch is 8 hashes. Each hashes which element has the largest magnitude in 3 groups of 64 elements at fixed places, and its sign.
 * Training moves all elements a little, so the largest one of a group mostly stays the largest; rounding and scaling change next to
 * nothing. (Winner-take-all hashing: J. Yagnik, D. Strelow, D. Ross, R. Lin, "The power of comparative reasoning", ICCV 2011.)
 * Two tensors are candidates when at least one hash agrees; the more agree, the nearer they are. Of trained models, all dense fine-tunes
 * agree in 3 to 8. A hash has 21 bits of independent information, so that of unrelated tensors 4 pairs in a million agree by chance.
 *
 * On disk: sketches are kept with tensors. Another way to take them would find nothing among those of before.
 */
import { mixed } from "../bytes/mixed.ts";
import { wordsOf } from "../codec/word-blocks.ts";
import type { DType } from "../tensor/dtype.ts";

/** Hashes in a sketch. */
export const SKETCH_HASHES = 8;
/** Fewer words than this (elements, or parts of complex ones) have no sketch. */
const SKETCHED_FROM_WORDS = 4096;
/** Words that places are taken from, the first ones: those of a chunk of the usual size. */
const SPAN_WORDS = 131_072;
const GROUPS = 3;
const GROUP_WORDS = 64;
const PLACES_OF_HASH = GROUPS * GROUP_WORDS;
const PLACES = SKETCH_HASHES * PLACES_OF_HASH;
/** A group in which more words than this share the largest magnitude tells nothing: zeros, constants, few values. */
const MAX_LARGEST = 8;
/** Of all groups so many may tell nothing. */
const MAX_EMPTY_GROUPS = 6;

/**
 * The sketch of a tensor by its first chunk (or all of it); undefined for short ones, for those of few values, and for blocks. The same
 * for float32, bfloat16 and float16 of the same values, but for rounding. Tensors of the same shape in all axes but the first can be
 * compared; the nearer their lengths, the better.
 */
export function sketch(bytes: Uint8Array, dtype: DType): Uint32Array | undefined {
  if (dtype.kind === "block") return undefined;
  const count = Math.floor(bytes.length / wordsOf(dtype).elementBytes);
  if (count < SKETCHED_FROM_WORDS) return undefined;
  const words = signedWords(bytes, dtype, placesIn(Math.min(count, SPAN_WORDS)));
  const hashes = new Uint32Array(SKETCH_HASHES);
  let emptyGroups = 0;
  for (let index = 0, place = 0; index < SKETCH_HASHES; index++) {
    let hash = index + 1;
    for (let group = 0; group < GROUPS; group++) {
      let largest = -1;
      let winner = 0;
      let ties = 0;
      for (let member = 0; member < GROUP_WORDS; member++, place++) {
        const word = words[place]!;
        const magnitude = Math.abs(word);
        if (magnitude > largest) {
          largest = magnitude;
          winner = 2 * member + (word < 0 ? 1 : 0);
          ties = 1;
        } else if (magnitude === largest) ties++;
      }
      if (ties > MAX_LARGEST) emptyGroups++;
      hash = mixed(Math.imul(hash, 0x9e3779b1) ^ winner);
    }
    hashes[index] = hash;
  }
  return emptyGroups > MAX_EMPTY_GROUPS ? undefined : hashes;
}

/** The words at `places` as numbers with their signs, in the order of their magnitudes: floats as their bits, which have that order. */
function signedWords(bytes: Uint8Array, dtype: DType, places: Uint32Array): Float64Array {
  const { elementBytes, exponentBits } = wordsOf(dtype);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const signBit = 2 ** (Math.min(8 * elementBytes, 32) - 1);
  const isSigned = exponentBits > 0 || dtype.kind === "int";
  const words = new Float64Array(places.length);
  // Of 8 bytes the upper half has the sign; doubles round what both halves make.
  const scale = elementBytes === 8 ? 2 ** 32 : 1;
  for (let index = 0; index < words.length; index++) {
    const at = places[index]! * elementBytes;
    const upper = upperWord(view, at, elementBytes);
    const lower = elementBytes === 8 ? view.getUint32(at, true) : 0;
    if (!isSigned || upper < signBit) words[index] = upper * scale + lower;
    else if (exponentBits > 0) words[index] = (signBit - upper) * scale - lower;
    else words[index] = (upper - 2 * signBit) * scale + lower;
  }
  return words;
}

function upperWord(view: DataView, at: number, bytes: 1 | 2 | 4 | 8): number {
  if (bytes === 1) return view.getUint8(at);
  return bytes === 2 ? view.getUint16(at, true) : view.getUint32(at + bytes - 4, true);
}

/**
 * The places of all groups among `count` words, no two of a hash the same. Each is drawn for itself, again and again until it is one of
 * the words: so most of them stay where they are when a tensor gets a little longer.
 */
function placesIn(count: number): Uint32Array {
  const known = knownPlaces.get(count);
  if (known !== undefined) return known;
  const mask = 2 ** Math.ceil(Math.log2(count)) - 1;
  const places = new Uint32Array(PLACES);
  const taken = new Set<number>();
  for (let index = 0; index < PLACES; index++) {
    if (index % PLACES_OF_HASH === 0) taken.clear();
    let place = mask + 1;
    for (let draw = 0; place >= count || taken.has(place); draw++) {
      place = mixed(Math.imul(index + 1, 0x9e3779b1) + Math.imul(draw, 0x85ebca6b)) & mask;
    }
    taken.add(place);
    places[index] = place;
  }
  if (knownPlaces.size === KNOWN_COUNTS) knownPlaces.clear();
  knownPlaces.set(count, places);
  return places;
}

/** Models have few shapes, and drawing places takes longer than all the rest. */
const knownPlaces = new Map<number, Uint32Array>();
const KNOWN_COUNTS = 32;
