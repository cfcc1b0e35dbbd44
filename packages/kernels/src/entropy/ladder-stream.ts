/**
 * Streams of byte symbols in ladder form (see assembly/ladder.ts for the rungs).
 *
 *   u8        number of rungs, 1 to 14
 *   for each rung:
 *     u8      number of its symbols: 1 or 3
 *     u8 ...  the symbols
 *     u24     number of symbols that escape it; the next rung codes them
 *   codes of the first rung, of the second, ...: for c symbols that it codes, a rung of one takes 2 * ceil(c / 16) bytes, a rung of
 *             three 16 * ceil(c / 64)
 *   bytes     symbols that escape the last rung
 */
import { DamagedBlockError } from "./damaged.ts";
import { type LadderPlan, RUNGS_LIMIT, type Rung } from "./ladder-plan.ts";
import type { Memory } from "./memory.ts";

/** Rungs that code fewer symbols are left out: their symbols are stored. */
const SYMBOLS_WORTHWHILE = 64;

/**
 * Where the first rung takes its symbols from and puts them: a plane, or words of 2 or 4 bytes whose upper bytes they are; the lower bytes
 * are a plane then, the lower halves of 4-byte words lie by themselves.
 */
export interface LadderEnd {
  readonly width: 1 | 2 | 4;
  readonly symbols: number;
  readonly lower: number;
  readonly halves: number;
}

/** A rung of a stream being read: how many symbols it codes, how many of them escape, where its codes are. */
interface RungPart {
  readonly rung: Rung;
  readonly count: number;
  readonly escapes: number;
  readonly codes: number;
}

/**
 * Encodes `count` symbols as a stream at `at` of `out`. What lies behind the symbols, up to a multiple of 64 of them, must be the first
 * symbol of the first rung.
 *
 * @param plan at least one rung; the first must have three symbols unless `from` is a plane.
 * @returns the position behind it, or -1 when the stream is not shorter than `count` bytes; `out` is as it was then.
 */
export function encodeLadder(
  memory: Memory,
  plan: LadderPlan,
  from: LadderEnd,
  count: number,
  out: Uint8Array,
  at: number,
): number {
  const { bytes, block, rungs: buffers, planeStep } = memory;
  const escapes: number[] = [];
  let codes = block;
  let source = from;
  let left = count;
  for (const rung of plan.rungs) {
    if (escapes.length > 0 && left < SYMBOLS_WORTHWHILE) break;
    const target = buffers + (escapes.length & 1) * planeStep;
    if (escapes.length > 0) bytes.fill(rung[0], source.symbols + left, source.symbols + ((left + 63) & ~63));
    const escaped = down(memory, rung, source, left, codes, target);
    codes += codeBytes(rung, left);
    escapes.push(escaped);
    source = { width: 1, symbols: target, lower: 0, halves: 0 };
    left = escaped;
  }
  const headerBytes = 1 + escapes.reduce((sum, _, k) => sum + 4 + plan.rungs[k]!.length, 0);
  if (headerBytes + codes - block + left >= count) return -1;
  out[at++] = escapes.length;
  escapes.forEach((escaped, k) => {
    const rung = plan.rungs[k]!;
    out[at++] = rung.length;
    for (const symbol of rung) out[at++] = symbol;
    out[at++] = escaped & 255;
    out[at++] = (escaped >> 8) & 255;
    out[at++] = escaped >> 16;
  });
  out.set(bytes.subarray(block, codes), at);
  at += codes - block;
  out.set(bytes.subarray(source.symbols, source.symbols + left), at);
  return at + left;
}

function codeBytes(rung: Rung, count: number): number {
  return rung.length === 1 ? 2 * Math.ceil(count / 16) : 16 * Math.ceil(count / 64);
}

/** Runs a rung over `count` symbols; returns the number of escapes. */
function down(
  memory: Memory,
  rung: Rung,
  from: LadderEnd,
  count: number,
  codes: number,
  escapes: number,
): number {
  const { kernels } = memory;
  const groups = (count + 63) & ~63;
  if (rung.length === 1) return kernels.downOne(from.symbols, (count + 15) & ~15, codes, escapes, rung[0]);
  const [first, second, third] = rung;
  if (from.width === 1) return kernels.downThree1(from.symbols, groups, codes, escapes, first, second, third);
  if (from.width === 2) {
    return kernels.downThree2(from.symbols, groups, from.lower, codes, escapes, first, second, third);
  }
  return kernels.downThree4(
    from.symbols,
    groups,
    from.lower,
    from.halves,
    codes,
    escapes,
    first,
    second,
    third,
  );
}

/**
 * Decodes the stream at `at` .. `end` of `block`, which lies in the kernels' memory too.
 *
 * @param to where the `count` symbols go; words only if the first rung has three symbols, see {@link canJoin}.
 * @throws DamagedBlockError
 */
export function decodeLadder(
  memory: Memory,
  block: Uint8Array,
  at: number,
  end: number,
  to: LadderEnd,
  count: number,
): void {
  const parts = readParts(memory, block, at, end, count);
  const { rungs: buffers, planeStep } = memory;
  // Upwards: each rung takes the escapes that the one below it left, the last one those that are stored.
  const last = parts[parts.length - 1]!;
  let escapes = last.codes + codeBytes(last.rung, last.count);
  for (let k = parts.length - 1; k >= 0; k--) {
    const part = parts[k]!;
    const target =
      k === 0 ? to : { width: 1 as const, symbols: buffers + (k & 1) * planeStep, lower: 0, halves: 0 };
    if (up(memory, part, escapes, target) !== part.escapes) {
      throw new DamagedBlockError("a rung has another number of escapes than it says");
    }
    escapes = target.symbols;
  }
}

/** Whether the stream at `at` of `block` may be decoded into words at once. */
export function canJoin(block: Uint8Array, at: number): boolean {
  return block[at + 1] === 3;
}

function readParts(memory: Memory, block: Uint8Array, at: number, end: number, count: number): RungPart[] {
  const rungs = at < end ? block[at++]! : 0;
  if (rungs < 1 || rungs > RUNGS_LIMIT) throw new DamagedBlockError(`a ladder has ${rungs} rungs`);
  const parts: { rung: Rung; count: number; escapes: number; codes: number }[] = [];
  let left = count;
  for (let k = 0; k < rungs; k++) {
    const symbols = at < end ? block[at]! : 0;
    if (symbols !== 1 && symbols !== 3) throw new DamagedBlockError(`a rung has ${symbols} symbols`);
    if (at + 4 + symbols > end) throw new DamagedBlockError("a ladder is cut off");
    const rung: Rung = symbols === 1 ? [block[at + 1]!] : [block[at + 1]!, block[at + 2]!, block[at + 3]!];
    at += 1 + symbols;
    const escapes = block[at]! | (block[at + 1]! << 8) | (block[at + 2]! << 16);
    at += 3;
    if (escapes > left) throw new DamagedBlockError(`${escapes} of ${left} symbols escape a rung`);
    parts.push({ rung, count: left, escapes, codes: 0 });
    left = escapes;
  }
  for (const part of parts) {
    part.codes = memory.block + at;
    at += codeBytes(part.rung, part.count);
  }
  if (at + left !== end) throw new DamagedBlockError("a ladder is longer or shorter than its symbols");
  return parts;
}

/** The inverse of `down`; returns the number of escapes taken. */
function up(memory: Memory, part: RungPart, escapes: number, to: LadderEnd): number {
  const { kernels } = memory;
  const { rung, codes } = part;
  if (rung.length === 1) return kernels.upOne(codes, (part.count + 15) & ~15, escapes, to.symbols, rung[0]);
  const groups = (part.count + 63) & ~63;
  const [first, second, third] = rung;
  if (to.width === 1) return kernels.upThree1(codes, groups, escapes, to.symbols, first, second, third);
  if (to.width === 2)
    return kernels.upThree2(codes, groups, escapes, to.symbols, to.lower, first, second, third);
  return kernels.upThree4(codes, groups, escapes, to.symbols, to.lower, to.halves, first, second, third);
}
