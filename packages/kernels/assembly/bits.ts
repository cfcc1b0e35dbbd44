// Numbers in bits, least significant first: what levels and tables are written in.
//
// A difference d is the number v = 2 d, or -2 d - 1 if negative. v in the Exp-Golomb code of order k is q = (v >> k) + 1 as n - 1
// zeros, a one, the n - 1 lower bits of q and the k lower bits of v, where n is the number of bits of q.

// So many zeros begin a code at most; only damaged ones have more. Orders are at most 7.
const ZEROS_LIMIT: u32 = 13;

@inline export function zigzag(difference: i32): u32 {
  return (difference << 1) ^ (difference >> 31);
}
@inline export function unzigzag(value: u32): i32 {
  return <i32>(value >> 1) ^ -<i32>(value & 1);
}

// The order of codes, up to `highest`, that suits numbers with this sum: about the logarithm of their mean.
export function orderFor(sum: u32, numbers: u32, highest: u32): u32 {
  let order: u32 = 0;
  while (order < highest && sum > (numbers << order) + (numbers << order >> 1)) order++;
  return order;
}

// Reading and writing go on at this bit; `base` is a byte address.
let base: usize = 0;
let position: usize = 0;

export function startBits(at: usize): void {
  base = at;
  position = 0;
}

// The byte address behind the last bit.
export function endOfBits(): usize {
  return base + ((position + 7) >> 3);
}

// `value`, of at most `count` bits, which are at most 56. What lies up to 8 bytes ahead is lost.
export function writeBits(value: u64, count: u32): void {
  const to = base + (position >> 3), shift = <u64>(position & 7);
  store<u64>(to, (<u64>load<u8>(to) & ((<u64>1 << shift) - 1)) | (value << shift));
  position += count;
}

export function writeCode(value: u32, order: u32): void {
  const q = (value >> order) + 1, more = 31 - <u32>clz(q);
  const rest = (q & ((<u32>1 << more) - 1)) | ((value & ((<u32>1 << order) - 1)) << more);
  writeBits((<u64>1 << more) | (<u64>rest << (more + 1)), 2 * more + 1 + order);
}

@inline function ahead(): u64 {
  return load<u64>(base + (position >> 3)) >> (position & 7);
}

// The next `count` bits, at most 32. Whether they still belong to what is read is checked at the end.
export function readBits(count: u32): u32 {
  const value = <u32>(ahead() & (((<u64>1) << count) - 1));
  position += count;
  return value;
}

export function readCode(order: u32): u32 {
  const zeros = min(<u32>ctz(ahead()), ZEROS_LIMIT);
  position += zeros + 1;
  const value = readBits(zeros + order), one = <u32>1 << zeros;
  return (((value & (one - 1)) + one - 1) << order) | (value >> zeros);
}
