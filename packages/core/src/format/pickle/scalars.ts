/** The opcodes of a pickle that push numbers, texts and byte strings, which need no stack. */
import { quote } from "../strict-json.ts";
import { memoryExtent } from "./extent.ts";
import { MAX_INLINE_BYTES, type PickleInput } from "./input.ts";
import { PICKLE_OPCODES as OP } from "./opcodes.ts";
import {
  MAX_SHORT_BYTES,
  narrowed,
  PickleBytes,
  PickleText,
  type PickleValue,
  type Refuse,
} from "./values.ts";

/** Largest integer in bytes: no count of a checkpoint has more than 8, a random state up to 2,500 in one integer. */
const MAX_INTEGER_BYTES = 4096;

/** The value of an opcode that was just taken, with what follows it; undefined when the opcode is another. */
export function readScalar(opcode: number, input: PickleInput, refuse: Refuse): PickleValue | undefined {
  switch (opcode) {
    case OP.NONE:
      return null;
    case OP.NEWTRUE:
      return true;
    case OP.NEWFALSE:
      return false;
    case OP.BININT:
      return input.i32();
    case OP.BININT1:
      return input.u8();
    case OP.BININT2:
      return input.u16();
    case OP.LONG1:
      return integerOf(input.bytes(input.u8()));
    case OP.LONG4: {
      const bytes = input.i32();
      if (bytes < 0 || bytes > MAX_INTEGER_BYTES) {
        throw refuse("pickle-integer", `an integer has ${bytes} bytes, the limit is ${MAX_INTEGER_BYTES}`);
      }
      return integerOf(input.bytes(bytes));
    }
    case OP.INT: {
      const line = input.line();
      return line === "00" ? false : line === "01" ? true : parseInteger(line, refuse);
    }
    case OP.LONG:
      return parseInteger(input.line().replace(/L$/, ""), refuse);
    case OP.FLOAT:
      return parseFloat64(input.line(), refuse);
    case OP.BINFLOAT:
      return input.f64();
    case OP.SHORT_BINUNICODE:
      return text(input, input.u8());
    case OP.BINUNICODE:
      return text(input, input.u32());
    case OP.BINUNICODE8:
      return text(input, input.u64());
    case OP.UNICODE:
      return unescapeUnicode(input.line(), refuse);
    case OP.SHORT_BINBYTES:
      return byteString(input, input.u8(), false);
    case OP.BINBYTES:
      return byteString(input, input.u32(), false);
    case OP.BINBYTES8:
    case OP.BYTEARRAY8:
      return byteString(input, input.u64(), false);
    case OP.SHORT_BINSTRING:
      return byteString(input, input.u8(), true);
    case OP.BINSTRING: {
      const bytes = input.i32();
      if (bytes < 0) throw refuse("pickle-text", `a string has ${bytes} bytes`);
      return byteString(input, bytes, true);
    }
    case OP.STRING: {
      const bytes = unescapeString(input.line(), refuse);
      return new PickleBytes(memoryExtent(Buffer.from(bytes, "latin1")), bytes, true);
    }
    default:
      return undefined;
  }
}

function text(input: PickleInput, bytes: number): PickleValue {
  return bytes > MAX_INLINE_BYTES ? new PickleText(input.skip(bytes)) : input.text(bytes);
}

function byteString(input: PickleInput, bytes: number, isText: boolean): PickleBytes {
  if (bytes > MAX_SHORT_BYTES) return new PickleBytes(input.skip(bytes), undefined, isText);
  const { position } = input;
  const short = Buffer.from(input.bytes(bytes)).toString("latin1");
  return new PickleBytes(input.extentOf(position, bytes), short, isText);
}

/** Two's complement, least significant byte first. */
function integerOf(bytes: Uint8Array): number | bigint {
  if (bytes.length === 0) return 0;
  const hex = Buffer.from(bytes).reverse().toString("hex");
  return narrowed(BigInt.asIntN(8 * bytes.length, BigInt(`0x${hex}`)));
}

function parseInteger(line: string, refuse: Refuse): number | bigint {
  // 2.5 digits a byte.
  if (!/^\s*[+-]?\d+\s*$/.test(line) || line.length > 2.5 * MAX_INTEGER_BYTES) {
    throw refuse("pickle-integer", `${quote(line.slice(0, 100))} is no integer, or too long a one`);
  }
  return narrowed(BigInt(line.replace("+", "")));
}

function parseFloat64(line: string, refuse: Refuse): number {
  const special = /^([+-]?)(nan|inf)$/i.exec(line);
  if (special !== null) {
    if (special[2]!.toLowerCase() === "nan") return Number.NaN;
    return special[1] === "-" ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
  }
  if (!/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(line)) {
    throw refuse("pickle-float", `${quote(line.slice(0, 100))} is no float`);
  }
  return Number(line);
}

/** The text of an opcode UNICODE: latin-1 with `\uXXXX` and `\UXXXXXXXX` (raw-unicode-escape). */
function unescapeUnicode(line: string, refuse: Refuse): string {
  const text = line.replace(
    /\\(?:u([0-9a-f]{4})|U([0-9a-f]{8}))/gi,
    (_all, short?: string, long?: string) => {
      const code = Number.parseInt(short ?? long!, 16);
      if (code > 0x10ffff) throw refuse("pickle-text", `\\U${long} is no character`);
      return String.fromCodePoint(code);
    },
  );
  if (!text.isWellFormed()) throw refuse("pickle-text", "a text has half of a surrogate pair");
  return text;
}

const ESCAPED: Readonly<Record<string, string>> = {
  a: "\x07",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
  v: "\v",
  "\n": "",
};

/** The characters of an opcode STRING: a literal of Python 2, in quotes. */
function unescapeString(line: string, refuse: Refuse): string {
  const literal = /^\s*(?:'(.*)'|"(.*)")\s*$/s.exec(line);
  if (literal === null) throw refuse("pickle-text", "a string has no quotes");
  return (literal[1] ?? literal[2]!).replace(
    /\\(?:x([0-9a-f]{2})|([0-7]{1,3})|(.))/gis,
    (_all, hex?: string, octal?: string, other?: string) => {
      if (other !== undefined) return ESCAPED[other] ?? (/[\\'"]/.test(other) ? other : `\\${other}`);
      return String.fromCharCode(
        hex === undefined ? Number.parseInt(octal!, 8) & 0xff : Number.parseInt(hex, 16),
      );
    },
  );
}
