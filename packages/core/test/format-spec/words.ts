/** Section 11 of docs/format.md: entropy and ladder, blocks of words. */
import { Cursor, must, SpecError } from "./bytes.ts";

const BLOCK_WORDS = 131_072;

/** 11, Entropy and ladder. */
export function decodeWords(payload: Uint8Array, length: number): Buffer {
  const cursor = new Cursor(payload);
  const width = cursor.u8();
  must([1, 2, 4, 8].includes(width), "words have an unknown width");
  const words = Math.floor(length / width);
  const parts: Buffer[] = [];
  for (let first = 0; first < words; first += BLOCK_WORDS) {
    const block = new Cursor(cursor.take(cursor.uint(4)));
    parts.push(decodeBlock(block, width, Math.min(BLOCK_WORDS, words - first)));
    must(block.left === 0, "bytes follow a block");
  }
  parts.push(cursor.take(length % width));
  must(cursor.left === 0, "bytes follow the blocks");
  return Buffer.concat(parts);
}

/** A block of words. */
export function decodeBlock(block: Cursor, width: number, count: number): Buffer {
  const method = block.u8();
  if (method === 0) return block.take(width * count);
  must(block.u8() === width && block.uint(4) === count, "a block is for other words");
  const list = (): Buffer => symbols(block, count);
  const out = Buffer.alloc(width * count);
  const putPlane = (plane: Buffer, byte: number): void => {
    for (let index = 0; index < count; index++) out[index * width + byte] = plane[index]!;
  };
  switch (method) {
    case 1:
      for (let byte = 0; byte < width; byte++) putPlane(list(), byte);
      break;
    case 2: {
      must(width > 1, "single bytes are exchanged");
      const lower = width === 4 ? lowerHalves(block, count) : [];
      lower.forEach(putPlane);
      for (let byte = lower.length; byte < width; byte++) putPlane(list(), byte);
      for (let at = width - 2; at < out.length; at += width) {
        const [low, high] = [out[at]!, out[at + 1]!];
        out[at] = (low & 127) | (high & 128);
        out[at + 1] = (high & 127) | (low & 128);
      }
      break;
    }
    case 3: {
      must(width === 2 || width === 4, "joint words have another width");
      const base = block.u8();
      const symbolList = list();
      const rests = restsOf(block, count);
      for (let index = 0; index < count; index++) {
        const [symbol, rest] = [symbolList[index]!, rests[index]!];
        const exponent = symbol >> 2 === 0 ? 0 : ((symbol >> 2) + base) % 256;
        const upper = ((rest >> 5) << 15) | (exponent << 7) | ((symbol & 3) << 5) | (rest & 31);
        out.writeUInt16LE(upper, (index + 1) * width - 2);
      }
      if (width === 4) lowerHalves(block, count).forEach(putPlane);
      break;
    }
    case 4: {
      must(width === 2, "half words have another width");
      const exponents = list();
      const lower = block.take(count);
      const rests = restsOf(block, Math.ceil(count / 128) * 64);
      for (let index = 0; index < count; index++) {
        const within = index % 32;
        const pair = rests[16 * Math.floor(index / 32) + (within % 16)]!;
        const rest = within < 16 ? pair & 7 : pair >> 3;
        must(exponents[index]! < 32, "an exponent of more than 5 bits");
        const upper = ((rest >> 2) << 7) | (exponents[index]! << 2) | (rest & 3);
        out.writeUInt16LE((upper << 8) | lower[index]!, 2 * index);
      }
      break;
    }
    default:
      throw new SpecError(`block method ${method} is unknown`);
  }
  return out;
}

/** Rests, of 6 bits, in groups of 64. */
function restsOf(block: Cursor, count: number): number[] {
  const rests: number[] = [];
  while (rests.length < count) {
    const group = block.take(48);
    for (const byte of group) rests.push(byte & 63);
    for (let index = 0; index < 16; index++)
      rests.push((group[index]! >> 6) | ((group[16 + index]! >> 6) << 2) | ((group[32 + index]! >> 6) << 4));
  }
  return rests;
}

/** The lower and the upper bytes of lower halves. */
function lowerHalves(block: Cursor, count: number): Buffer[] {
  const form = block.u8();
  must(form < 2, "unknown form of lower halves");
  if (form === 1) return [symbols(block, count), symbols(block, count)];
  const halves = block.take(2 * count);
  return [0, 1].map((byte) => Buffer.from(halves.filter((_, at) => at % 2 === byte)));
}

/** A symbol list. */
function symbols(block: Cursor, count: number): Buffer {
  const mode = block.u8();
  const body = new Cursor(block.take(block.uint(3)));
  const list = symbolsOf(mode, body, count);
  must(body.left === 0, "bytes follow a symbol list");
  return list;
}

function symbolsOf(mode: number, body: Cursor, count: number): Buffer {
  switch (mode) {
    case 0:
      return body.take(count);
    case 1:
      return Buffer.alloc(count, body.u8());
    case 2:
      return rans(body, count);
    case 3:
      return rungs(body, count);
    default:
      throw new SpecError(`mode ${mode} of a symbol list is unknown`);
  }
}

function rans(body: Cursor, count: number): Buffer {
  must(count >= 65, "too few symbols for rANS");
  const frequency = frequencies(body);
  const escapeSymbol = body.u8();
  const escapes = new Cursor(body.take(body.uint(3)));
  const escaped = escapes.left > 0;
  const states = Array.from({ length: 32 }, () => body.uint(4));
  const symbolOfSlot: number[] = [];
  const below: number[] = [];
  frequency.forEach((times, symbol) => {
    below.push(symbolOfSlot.length);
    for (let index = 0; index < times; index++) symbolOfSlot.push(symbol);
  });
  const coded = count - 33 - ((count - 33) % 32);
  const out = Buffer.alloc(count);
  for (let index = 0; index < coded; index++) {
    const state = states[index % 32]!;
    const slot = state % 4096;
    const symbol = symbolOfSlot[slot]!;
    let next = frequency[symbol]! * Math.floor(state / 4096) + slot - below[symbol]!;
    if (next < 2 ** 15) next = next * 2 ** 16 + body.uint(2);
    states[index % 32] = next;
    out[index] = escaped && symbol === escapeSymbol ? escapes.u8() : symbol;
  }
  must(escapes.left === 0, "escaped symbols are left");
  must(
    states.every((state) => Math.floor(state / 65_536) === 1),
    "a state does not end as it began",
  );
  for (let index = coded; index < count; index++) {
    const state = states[(index - coded) >> 1]!;
    out[index] = (index - coded) % 2 === 0 ? state & 255 : (state >> 8) & 255;
  }
  return out;
}

function frequencies(body: Cursor): number[] {
  const [first, last] = [body.u8(), body.u8()];
  let byte = 0;
  let left = 0;
  const bits = (count: number): number => {
    let value = 0;
    for (let index = 0; index < count; index++) {
      if (left === 0) {
        byte = body.u8();
        left = 8;
      }
      value |= (byte & 1) << index;
      byte >>= 1;
      left--;
    }
    return value;
  };
  const difference = (order: number): number => {
    let zeros = 0;
    while (bits(1) === 0) zeros++;
    must(zeros <= 13, "a code of a frequency is too long");
    const code = (2 ** zeros + bits(zeros) - 1) * 2 ** order + bits(order);
    return code % 2 === 0 ? code / 2 : -(code + 1) / 2;
  };
  const order = bits(4);
  const mirrored = bits(1) === 1;
  const second = mirrored ? bits(4) : 0;
  must(order <= 12 && second <= 12 && !(mirrored && last > 127), "unknown form of frequencies");
  const frequency = new Array<number>(256).fill(0);
  for (let symbol = first; symbol <= last; symbol++)
    frequency[symbol] = (symbol === first ? 0 : frequency[symbol - 1]!) + difference(order);
  if (mirrored)
    for (let symbol = first; symbol <= last; symbol++)
      frequency[symbol + 128] = frequency[symbol]! + difference(second);
  must(byte === 0, "bits follow the frequencies");
  must(
    frequency.every((times) => times >= 0 && times < 4096),
    "a frequency is out of range",
  );
  must(frequency.reduce((sum, times) => sum + times) === 4096, "frequencies have another sum");
  return frequency;
}

function rungs(body: Cursor, count: number): Buffer {
  const number = body.u8();
  must(number >= 1 && number <= 14, "unknown number of rungs");
  const heads = Array.from({ length: number }, () => {
    const own = body.u8();
    must(own === 1 || own === 3, "unknown kind of rung");
    return { own: body.take(own), escapes: body.uint(3) };
  });
  let coded = count;
  const codes = heads.map(({ own, escapes }) => {
    const code = own.length === 1 ? codesOfOne(body, coded) : codesOfThree(body, coded);
    coded = escapes;
    return code;
  });
  let list = body.take(coded);
  for (let rung = number - 1; rung >= 0; rung--) {
    const escapes = new Cursor(list);
    list = Buffer.from(codes[rung]!.map((code) => (code === 0 ? escapes.u8() : heads[rung]!.own[code - 1]!)));
    must(escapes.left === 0, "escapes of a rung are left");
  }
  return list;
}

/** Of each symbol 1, or 0 if it escapes. */
function codesOfOne(body: Cursor, count: number): number[] {
  const bytes = body.take(2 * Math.ceil(count / 16));
  const all = Array.from({ length: 8 * bytes.length }, (_, at) => 1 - ((bytes[at >> 3]! >> (at & 7)) & 1));
  must(!all.slice(count).includes(0), "an escape behind the last symbol");
  return all.slice(0, count);
}

/** Of each symbol 1, 2 or 3, or 0 if it escapes. */
function codesOfThree(body: Cursor, count: number): number[] {
  const all: number[] = [];
  while (all.length < count) {
    const group = body.take(16);
    for (let shift = 0; shift < 8; shift += 2) for (const byte of group) all.push((byte >> shift) & 3);
  }
  must(!all.slice(count).includes(0), "an escape behind the last symbol");
  return all.slice(0, count);
}
