/** Decoder of entropy-coded blocks, symbol by symbol, written from the format's description (../entropy/format.ts and the streams'). */

class Reader {
  readonly bytes: Uint8Array;
  at: number;
  readonly end: number;

  constructor(bytes: Uint8Array, at: number, end: number) {
    if (end > bytes.length || at > end) throw new Error("the block is cut off");
    this.bytes = bytes;
    this.at = at;
    this.end = end;
  }

  number(bytes: number): number {
    let value = 0;
    for (let k = 0; k < bytes; k++) value += this.take(1)[0]! * 256 ** k;
    return value;
  }

  take(bytes: number): Uint8Array {
    if (this.at + bytes > this.end) throw new Error("the block is cut off");
    this.at += bytes;
    return this.bytes.subarray(this.at - bytes, this.at);
  }

  part(bytes: number): Reader {
    const part = new Reader(this.bytes, this.at, this.at + bytes);
    this.take(bytes);
    return part;
  }
}

/** See `decodeBlock` of the kernels. */
export function decodeBlock(block: Uint8Array, outBytes: number): Uint8Array {
  const reader = new Reader(block, 0, block.length);
  const method = reader.number(1);
  if (method === 0) return reader.take(block.length - 1).slice();
  const width = reader.number(1);
  const count = reader.number(4);
  if (count * width !== outBytes) throw new Error("the number of elements is wrong");
  const out = new Uint8Array(outBytes);
  if (method === 1) {
    for (let plane = 0; plane < width; plane++) putPlane(out, width, plane, readStream(reader, count));
  } else if (method === 2) {
    const planes: Uint8Array[] = width === 4 ? readHalves(reader, count) : [];
    while (planes.length < width) planes.push(readStream(reader, count));
    const upper = planes[width - 1]!;
    const lower = planes[width - 2]!;
    for (let i = 0; i < count; i++) {
      const top = upper[i]! & 128;
      upper[i] = (upper[i]! & 127) | (lower[i]! & 128);
      lower[i] = (lower[i]! & 127) | top;
    }
    planes.forEach((plane, k) => {
      putPlane(out, width, k, plane);
    });
  } else if (method === 3) {
    const base = reader.number(1);
    const symbols = readStream(reader, count);
    const rests = reader.take(48 * Math.ceil(count / 64));
    const halves = width === 4 ? readHalves(reader, count) : [];
    for (let i = 0; i < count; i++) {
      const rest = restAt(rests, i);
      const symbol = symbols[i]!;
      const exponent = symbol >> 2 === 0 ? 0 : ((symbol >> 2) + base) & 255;
      const word = ((rest >> 5) << 15) | (exponent << 7) | ((symbol & 3) << 5) | (rest & 31);
      out[i * width + width - 2] = word & 255;
      out[i * width + width - 1] = word >> 8;
    }
    halves.forEach((plane, k) => {
      putPlane(out, width, k, plane);
    });
  } else if (method === 4) {
    const exponents = readStream(reader, count);
    const lower = reader.take(count);
    const rests = reader.take(48 * Math.ceil(count / 128));
    for (let i = 0; i < count; i++) {
      const pair = restAt(rests, 16 * Math.floor(i / 32) + (i % 16));
      const rest = i % 32 < 16 ? pair & 7 : pair >> 3;
      out[2 * i] = lower[i]!;
      out[2 * i + 1] = ((rest >> 2) << 7) | (exponents[i]! << 2) | (rest & 3);
    }
  } else {
    throw new Error(`there is no method ${method}`);
  }
  if (reader.at !== block.length) throw new Error("bytes are left over");
  return out;
}

/** The 6 bits of number `i` in a section of rests. */
function restAt(rests: Uint8Array, i: number): number {
  const group = 48 * Math.floor(i / 64);
  const place = i % 64;
  if (place < 48) return rests[group + place]! & 63;
  let rest = 0;
  for (let k = 0; k < 3; k++) rest |= (rests[group + 16 * k + place - 48]! >> 6) << (2 * k);
  return rest;
}

function putPlane(out: Uint8Array, width: number, plane: number, symbols: Uint8Array): void {
  for (let i = 0; i < symbols.length; i++) out[i * width + plane] = symbols[i]!;
}

function readHalves(reader: Reader, count: number): Uint8Array[] {
  if (reader.number(1) === 1) return [readStream(reader, count), readStream(reader, count)];
  const halves = reader.take(2 * count);
  return [0, 1].map((k) => Uint8Array.from({ length: count }, (_, i) => halves[2 * i + k]!));
}

function readStream(reader: Reader, count: number): Uint8Array {
  const mode = reader.number(1);
  const body = reader.part(reader.number(3));
  let symbols: Uint8Array;
  if (mode === 0) symbols = body.take(count).slice();
  else if (mode === 1) symbols = new Uint8Array(count).fill(body.number(1));
  else if (mode === 2) symbols = readRans(body, count);
  else if (mode === 3) symbols = readLadder(body, count);
  else throw new Error(`there is no stream mode ${mode}`);
  if (body.at !== body.end) throw new Error("bytes of a stream are left over");
  return symbols;
}

function readFrequencies(reader: Reader): number[] {
  const frequencies: number[] = new Array(256).fill(0);
  const first = reader.number(1);
  const last = reader.number(1);
  let byte = 0;
  let unread = 0;
  const bit = () => {
    if (unread === 0) {
      byte = reader.number(1);
      unread = 8;
    }
    return (byte >> (8 - unread--)) & 1;
  };
  const bits = (count: number) => {
    let value = 0;
    for (let k = 0; k < count; k++) value += bit() << k;
    return value;
  };
  const difference = (order: number) => {
    let zeros = 0;
    while (bit() === 0) zeros++;
    const q = 2 ** zeros + bits(zeros);
    const value = (q - 1) * 2 ** order + bits(order);
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
  };
  const order = bits(4);
  const isMirrored = bit() === 1;
  const mirroredOrder = isMirrored ? bits(4) : 0;
  for (let s = first; s <= last; s++) {
    frequencies[s] = difference(order) + (s > first ? frequencies[s - 1]! : 0);
  }
  if (isMirrored) {
    for (let s = first; s <= last; s++) frequencies[s + 128] = frequencies[s]! + difference(mirroredOrder);
  }
  if (frequencies.reduce((sum, frequency) => sum + frequency) !== 4096)
    throw new Error("the frequencies are wrong");
  return frequencies;
}

function readRans(reader: Reader, count: number): Uint8Array {
  const frequencies = readFrequencies(reader);
  const escapeSymbol = reader.number(1);
  const escaped = reader.number(3);
  const escapes = reader.take(escaped);
  const states = Array.from({ length: 32 }, () => reader.number(4));
  const symbolOfSlot: number[] = [];
  const firstSlots: number[] = [];
  frequencies.forEach((frequency, symbol) => {
    firstSlots.push(symbolOfSlot.length);
    for (let k = 0; k < frequency; k++) symbolOfSlot.push(symbol);
  });
  const symbols = new Uint8Array(count);
  const last = 32 * Math.floor((count - 33) / 32);
  let escapesTaken = 0;
  for (let i = 0; i < last; i++) {
    const state = states[i % 32]!;
    const slot = state % 4096;
    const symbol = symbolOfSlot[slot]!;
    symbols[i] = escaped > 0 && symbol === escapeSymbol ? escapes[escapesTaken++]! : symbol;
    let next = frequencies[symbol]! * Math.floor(state / 4096) + slot - firstSlots[symbol]!;
    if (next < 2 ** 15) next = next * 2 ** 16 + reader.number(2);
    states[i % 32] = next;
  }
  if (escapesTaken !== escaped) throw new Error("the number of escaped symbols is wrong");
  for (let i = last; i < count; i++) symbols[i] = states[(i - last) >> 1]! >> (8 * ((i - last) & 1));
  if (states.some((state) => state >>> 16 !== 1)) throw new Error("the last states are wrong");
  return symbols;
}

function readLadder(reader: Reader, count: number): Uint8Array {
  const rungs = Array.from({ length: reader.number(1) }, () => ({
    symbols: reader.take(reader.number(1)),
    escapes: reader.number(3),
  }));
  let coded = count;
  const codes = rungs.map(({ symbols, escapes }) => {
    const isThree = symbols.length === 3;
    const bytes = reader.take(isThree ? 16 * Math.ceil(coded / 64) : 2 * Math.ceil(coded / 16));
    const ofRung = Array.from({ length: coded }, (_, i) => {
      if (!isThree) return ((bytes[i >> 3]! >> (i & 7)) & 1) === 1 ? 0 : 1;
      return (bytes[16 * Math.floor(i / 64) + (i % 16)]! >> (2 * Math.floor((i % 64) / 16))) & 3;
    });
    coded = escapes;
    return ofRung;
  });
  let below = reader.take(coded);
  for (let k = rungs.length - 1; k >= 0; k--) {
    let taken = 0;
    const { symbols, escapes } = rungs[k]!;
    const escaped = below;
    below = Uint8Array.from(codes[k]!, (code) => (code === 0 ? escaped[taken++]! : symbols[code - 1]!));
    if (taken !== escapes) throw new Error("the number of escapes is wrong");
  }
  return below;
}
