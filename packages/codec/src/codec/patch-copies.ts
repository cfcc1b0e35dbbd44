/**
 * Which stretches of a chunk stand in its sibling, too: what `patch` copies. Greedy: at each place the stretch that goes on where the last copy
 * ended comes first, because one replaced byte shifts nothing; then those as far apart as recent copies; else the longest one among the places of the
 * sibling with the same 8 bytes.
 */

/** A copy in `Copies`: three numbers. */
const FIELDS = 3;

/** No copy is shorter: one of fewer bytes costs as much as it saves. */
export const LEAST_COPY = 4;
/** Bytes that are hashed: a copy from somewhere else costs three or four. */
const HASHED_BYTES = 8;
/** Places of the sibling that are looked at for each place of the chunk, at most. */
const LOOKED_AT = 16;
/** What goes on behind the last copy for so long is taken without looking for more. */
const LONG_ENOUGH = 64;
/** How many bytes longer a copy must be that is shifted otherwise than recent ones, and one that is shifted otherwise than the last one. */
const NEW_SHIFT_BYTES = 4;
const OTHER_SHIFT_BYTES = 1;

/** So many bytes may be replaced before the last shift is given up for one that covers about as much. */
const REPLACED_BYTES = 4;

/** The last shifts, no two the same: how much further on copies begin in the sibling than in the chunk. All 0 at first. */
export class Shifts {
  static readonly KEPT = 4;
  readonly #recent = new Int32Array(Shifts.KEPT);

  /** The shift that was used `index` different ones ago. */
  at(index: number): number {
    return this.#recent[index]!;
  }

  /** Which of them a shift is; -1 for others. */
  indexOf(shift: number): number {
    return this.#recent.indexOf(shift);
  }

  /** Makes a shift the last one. */
  use(shift: number): void {
    const recent = this.#recent;
    const before = recent.indexOf(shift);
    for (let index = before < 0 ? Shifts.KEPT - 1 : before; index > 0; index--)
      recent[index] = recent[index - 1]!;
    recent[0] = shift;
  }
}

/** Stretches to copy, in the order of the chunk. */
export class Copies {
  #fields = new Int32Array(FIELDS * 64);
  #count = 0;

  get count(): number {
    return this.#count;
  }

  /** Where copy `index` begins in the chunk. */
  at(index: number): number {
    return this.#fields[FIELDS * index]!;
  }

  /** Where it begins in the sibling. */
  from(index: number): number {
    return this.#fields[FIELDS * index + 1]!;
  }

  length(index: number): number {
    return this.#fields[FIELDS * index + 2]!;
  }

  push(at: number, from: number, length: number): void {
    const start = FIELDS * this.#count++;
    if (start === this.#fields.length) {
      const grown = new Int32Array(2 * start);
      grown.set(this.#fields);
      this.#fields = grown;
    }
    this.#fields[start] = at;
    this.#fields[start + 1] = from;
    this.#fields[start + 2] = length;
  }
}

/** Bytes that are copied. */
export function copiedBytes(copies: Copies): number {
  let bytes = 0;
  for (let index = 0; index < copies.count; index++) bytes += copies.length(index);
  return bytes;
}

/** Finds what to copy from `other` into `input`. */
export function findCopies(input: Uint8Array, other: Uint8Array): Copies {
  const copies = new Copies();
  const places = new Places(other);
  const shifts = new Shifts();
  let done = 0;
  for (let at = 0; at + LEAST_COPY <= input.length; ) {
    let from = at + shifts.at(0);
    let length = commonBytes(input, at, other, from);
    if (length < LONG_ENOUGH) {
      for (let index = 1; index < Shifts.KEPT; index++) {
        const place = at + shifts.at(index);
        const common = commonBytes(input, at, other, place);
        if (common <= length + OTHER_SHIFT_BYTES) continue;
        from = place;
        length = common;
      }
    }
    if (length < LONG_ENOUGH && at + HASHED_BYTES <= input.length) {
      const near = length < LEAST_COPY ? resumedBytes(input, at, other, from) : length;
      let longest = Math.max(HASHED_BYTES - 1, near + NEW_SHIFT_BYTES);
      let looked = 0;
      for (let place = places.first(input, at); place >= 0; place = places.following(place)) {
        const common = commonBytes(input, at, other, place);
        if (common > longest) {
          longest = common;
          from = place;
          length = common;
        }
        if (++looked === LOOKED_AT) break;
      }
    }
    if (length < LEAST_COPY) {
      at++;
      continue;
    }
    const end = at + length;
    while (at > done && from > 0 && input[at - 1] === other[from - 1]) {
      at--;
      from--;
    }
    copies.push(at, from, end - at);
    shifts.use(from - at);
    done = end;
    at = end;
  }
  return copies;
}

/** How much of the next bytes, less the first ones that would be literals, the last shift still covers. */
function resumedBytes(input: Uint8Array, at: number, other: Uint8Array, from: number): number {
  let best = 0;
  for (let skipped = 1; skipped <= REPLACED_BYTES; skipped++)
    best = Math.max(best, commonBytes(input, at + skipped, other, from + skipped) - skipped);
  return best;
}

/** How many bytes are the same from two places on. */
function commonBytes(input: Uint8Array, at: number, other: Uint8Array, from: number): number {
  const most = from < 0 ? 0 : Math.min(input.length - at, other.length - from);
  let length = 0;
  while (length < most && input[at + length] === other[from + length]) length++;
  return length;
}

/** All places of a sibling by the 8 bytes that begin there, the last place first. */
class Places {
  readonly #shift: number;
  readonly #last: Int32Array;
  readonly #before: Int32Array;

  constructor(bytes: Uint8Array) {
    const count = Math.max(0, bytes.length - HASHED_BYTES + 1);
    const bits = Math.max(8, Math.ceil(Math.log2(count + 1)));
    this.#shift = 32 - bits;
    this.#last = new Int32Array(2 ** bits).fill(-1);
    this.#before = new Int32Array(count);
    for (let place = 0; place < count; place++) {
      const hash = hashAt(bytes, place) >>> this.#shift;
      this.#before[place] = this.#last[hash]!;
      this.#last[hash] = place;
    }
  }

  first(bytes: Uint8Array, at: number): number {
    return this.#last[hashAt(bytes, at) >>> this.#shift]!;
  }

  following(place: number): number {
    return this.#before[place]!;
  }
}

function hashAt(bytes: Uint8Array, at: number): number {
  const low = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
  const high = bytes[at + 4]! | (bytes[at + 5]! << 8) | (bytes[at + 6]! << 16) | (bytes[at + 7]! << 24);
  return Math.imul(Math.imul(low, 0x9e3779b1) ^ high, 0x85ebca6b);
}
