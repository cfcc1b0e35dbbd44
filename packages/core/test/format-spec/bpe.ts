/** Section 11 of docs/format.md: bpe. */
import { Cursor, must, SpecError } from "./bytes.ts";

/** 11, Bpe. */
export function decodeBpe(payload: Buffer, length: number): Buffer {
  const cursor = new Cursor(payload);
  const first = cursor.u8();
  if (first === 255) return cursor.take(cursor.left);
  const width = first & 15;
  must([1, 2, 4, 8].includes(width), "values have an unknown width");
  const tokens = readValues(cursor, width);
  readPairs(cursor, tokens);
  const count = cursor.varint();
  const tail = cursor.take(length % width);
  const ids = readIds(cursor, first >> 4, tokens.length, count);
  must(cursor.left === 0, "bytes follow the ids");
  must(
    ids.every((id) => id < tokens.length),
    "an id has no token",
  );
  return Buffer.concat([...ids.map((id) => tokens[id]!), tail]);
}

/** The values as tokens. */
function readValues(cursor: Cursor, width: number): Buffer[] {
  const count = cursor.varint();
  must(count <= 32_768, "too many values");
  const limit = 2 ** Math.min(8 * width, 32);
  const tokens: Buffer[] = [];
  for (let index = 0, next = 0; index < count; index++) {
    const value = next + cursor.varint();
    must(value < limit, "a value is too large");
    const token = Buffer.alloc(8, value >= 2 ** 31 ? 0xff : 0);
    token.writeUInt32LE(value, 0);
    tokens.push(token.subarray(0, width));
    next = value + 1;
  }
  return tokens;
}

/** Appends the tokens that pairs make. */
function readPairs(cursor: Cursor, tokens: Buffer[]): void {
  for (let rounds = cursor.varint(); rounds > 0; rounds--) {
    const before = tokens.length;
    const pairs = cursor.varint();
    let [left, right] = [0, 0];
    for (let pair = 0; pair < pairs; pair++) {
      const [distance, place] = [cursor.varint(), cursor.varint()];
      right = pair > 0 && distance === 0 ? right + 1 + place : place;
      left += distance;
      must(left < before && right < before, "a pair of tokens that are not there");
      const token = Buffer.concat([tokens[left]!, tokens[right]!]);
      must(token.length <= 255 && tokens.length < 65_536, "a token too long or too many");
      tokens.push(token);
    }
  }
}

function readIds(cursor: Cursor, form: number, tokens: number, count: number): number[] {
  if (form === 1) return readPrefixCodes(cursor, tokens, count);
  if (form !== 0) throw new SpecError(`form ${form} of ids is unknown`);
  const width = cursor.u8();
  must(width >= 1 && width <= 16, "ids of an unknown width");
  const bits = bitsOf(cursor.take(Math.ceil((count * width) / 8)));
  return Array.from({ length: count }, () => {
    let id = 0;
    for (let bit = 0; bit < width; bit++) id |= bits() << bit;
    return id;
  });
}

/** The bits of bytes, from the least significant on. */
function bitsOf(bytes: Buffer): () => number {
  let at = 0;
  return () => {
    must(at < 8 * bytes.length, "bits end early");
    const bit = (bytes[at >> 3]! >> (at & 7)) & 1;
    at++;
    return bit;
  };
}

function readPrefixCodes(cursor: Cursor, tokens: number, count: number): number[] {
  const halves = cursor.take(Math.ceil(tokens / 2));
  const lengths = Array.from(
    { length: tokens },
    (_, token) => (halves[token >> 1]! >> (4 * (token & 1))) & 15,
  );
  // A one in front of each code, so that leading zeros count.
  const tokenOfCode = new Map<number, number>();
  let code = 0;
  for (let length = 1; length <= 15; length++) {
    code *= 2;
    for (let token = 0; token < tokens; token++)
      if (lengths[token] === length) tokenOfCode.set(2 ** length + code++, token);
    must(code <= 2 ** length, "more codes than fit");
  }
  const partBytes = [cursor.varint(), cursor.varint(), cursor.varint()];
  const quarter = Math.ceil(count / 4);
  const ids: number[] = [];
  for (let part = 0; part < 4; part++) {
    const bytes = cursor.take(partBytes[part] ?? cursor.left);
    const bits = bitsOf(bytes);
    let used = 0;
    for (const stop = Math.min(count, (part + 1) * quarter); ids.length < stop; ) {
      let bitsRead = 1;
      while (!tokenOfCode.has(bitsRead)) {
        must(bitsRead < 2 ** 15, "bits that are no code");
        bitsRead = 2 * bitsRead + bits();
        used++;
      }
      ids.push(tokenOfCode.get(bitsRead)!);
    }
    must(Math.ceil(used / 8) === bytes.length, "a part of ids has a wrong length");
  }
  return ids;
}
