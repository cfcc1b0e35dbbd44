// Histograms of a sample: 16 elements of every `step` (a multiple of 16). Counters lie several times side by side, because
// increments of one address wait for each other; the sums end in the first copy, where the host reads them.
import { COUNTS } from "./entropy-memory";

@inline function count(counter: usize): void {
  store<u32>(counter, load<u32>(counter) + 1);
}

// bfloat16 words, or the upper halves of float32 words: 1024 counters of exponent and two top mantissa bits (half >> 5), then 256 of
// sign and mantissa, these of every other element only.
@inline function sampleFloats(width: usize, words: usize, elements: usize, step: usize): void {
  memory.fill(COUNTS, 0, JOINT + LOW);
  for (let i: usize = 0; i + 16 <= elements; i += step) {
    const from = words + i * width;
    for (let p = from + (width - 2), end = from + 16 * width; p < end; p += 2 * width) {
      const a = <u32>load<u16>(p), b = <u32>load<u16>(p + width);
      count(COUNTS + ((a >> 3) & 0xffc));
      count(COUNTS + 4096 + ((b >> 3) & 0xffc));
      count(COUNTS + JOINT + (((a & 0x7f) | ((a >> 8) & 0x80)) << 2));
    }
  }
  for (let i: usize = COUNTS; i < COUNTS + 4096; i += 16) v128.store(i, i32x4.add(v128.load(i), v128.load(i, 4096)));
}

const JOINT: usize = 8192;
const LOW: usize = 1024;

export function sampleFloats2(words: usize, elements: usize, step: usize): void {
  sampleFloats(2, words, elements, step);
}
export function sampleFloats4(words: usize, elements: usize, step: usize): void {
  sampleFloats(4, words, elements, step);
}

// A byte plane: 256 counters.
export function samplePlane(plane: usize, elements: usize, step: usize): void {
  memory.fill(COUNTS, 0, 4096);
  for (let i: usize = 0; i + 16 <= elements; i += step) {
    for (let p = plane + i, end = plane + i + 16; p < end; p += 8) {
      const v = load<u64>(p);
      count(COUNTS + (<usize>(v << 2) & 0x3fc));
      count(COUNTS + 1024 + (<usize>(v >> 6) & 0x3fc));
      count(COUNTS + 2048 + (<usize>(v >> 14) & 0x3fc));
      count(COUNTS + 3072 + (<usize>(v >> 22) & 0x3fc));
      count(COUNTS + (<usize>(v >> 30) & 0x3fc));
      count(COUNTS + 1024 + (<usize>(v >> 38) & 0x3fc));
      count(COUNTS + 2048 + (<usize>(v >> 46) & 0x3fc));
      count(COUNTS + 3072 + (<usize>(v >> 54) & 0x3fc));
    }
  }
  for (let i: usize = COUNTS; i < COUNTS + 1024; i += 16) {
    v128.store(i, i32x4.add(i32x4.add(v128.load(i), v128.load(i, 1024)), i32x4.add(v128.load(i, 2048), v128.load(i, 3072))));
  }
}

// Words of 2 bytes, `stride` apart: 256 counters of their lower bytes, then 256 of their upper bytes.
export function sampleHalves(halves: usize, stride: usize, elements: usize, step: usize): void {
  memory.fill(COUNTS, 0, 2048);
  for (let i: usize = 0; i + 16 <= elements; i += step) {
    for (let p = halves + i * stride, end = p + 16 * stride; p < end; p += stride) {
      count(COUNTS + (<usize>load<u8>(p) << 2));
      count(COUNTS + 1024 + (<usize>load<u8>(p, 1) << 2));
    }
  }
}
