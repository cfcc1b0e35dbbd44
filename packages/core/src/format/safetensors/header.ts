/**
 * The header of a safetensors file, read strictly.
 *
 *     0        8                     8 + N                                  end
 *     | u64 N  | JSON of N bytes     | data: tensors back to back, no holes |
 *
 *     { "__metadata__": { "format": "pt" },
 *       "model.embed": { "dtype": "BF16", "shape": [256, 64], "data_offsets": [0, 32768] }, ... }
 *
 * Offsets count from byte 8 + N. Two programs must not see two things in one file, so everything that a lenient
 * reader would pass over is refused, with the tensor and one of the rules below. The original bytes of the header
 * are kept by the plan as a literal; nothing here writes them anew.
 *
 * The reference implementation (safetensors 0.8) is laxer in four places: it takes equal tensor names and metadata
 * keys (the last wins), white space before the `{` and tensor entries written as arrays. The format's description
 * rules all of them out, and so does this reader.
 */
import { type DType, dtypeOfSafetensors, InvalidFileError } from "@tensorcask/codec";
import type { Source } from "../../model/plan.ts";
import { type JsonRule, quote, StrictJson } from "../strict-json.ts";

/** Longest header in bytes: the reference implementation's limit. It bounds the memory that planning takes. */
export const MAX_HEADER_BYTES = 100_000_000;
/**
 * Highest number of dimensions: 16 times what numpy or torch can make. Shapes are kept in journal and catalog with
 * every tensor.
 */
export const MAX_RANK = 1024;

/** Bytes of the length in front of the header. */
export const LENGTH_BYTES = 8;

/** Rules of safetensors beside those of JSON that a file can break. */
export type SafetensorsRule =
  | Exclude<JsonRule, "type">
  /** Fewer than 8 bytes. */
  | "file-too-short"
  /** The header's length is 0 or reaches beyond the file. */
  | "header-length"
  /** The header's length is over `MAX_HEADER_BYTES`. */
  | "header-limit"
  /** The header's first byte is not `{`. */
  | "header-start"
  /** `__metadata__` is not an object of strings or null. */
  | "metadata"
  /** dtype, shape or data_offsets is missing or of the wrong type. */
  | "tensor-fields"
  /** The dtype is none of the format's 22. */
  | "dtype"
  /** More dimensions than `MAX_RANK`. */
  | "rank-limit"
  /** A dimension over 2^53 - 1 (of an empty tensor: others would not fit into any file). */
  | "dimension-limit"
  /** The number of elements or bits is over 64 bits. */
  | "shape-overflow"
  /** The elements of a sub-byte dtype do not fill whole bytes. */
  | "partial-byte"
  /** data_offsets end before they begin. */
  | "end-before-begin"
  /** data_offsets span another number of bytes than shape and dtype take. */
  | "size-mismatch"
  /** Bytes between two tensors. */
  | "hole"
  /** Two tensors share bytes. */
  | "overlap"
  /** A tensor reaches beyond the end of the file. */
  | "missing-bytes"
  /** Bytes behind the last tensor. */
  | "left-over-bytes";

/** One tensor of a header. `offset` counts from the start of the file; offset and size in bytes. */
export interface SafetensorsTensor {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly offset: number;
  readonly bytes: number;
}

/** What a header says. */
export interface SafetensorsHeader {
  /** Bytes before the data: the length and the JSON. */
  readonly headerBytes: number;
  /** In the order of their data; together they cover it wholly. */
  readonly tensors: readonly SafetensorsTensor[];
  /** `__metadata__`; undefined when it is not there or null. */
  readonly metadata: Readonly<Record<string, string>> | undefined;
}

/**
 * Reads and checks the header of a source: `LENGTH_BYTES` plus the header's bytes are read, never the data.
 * Throws `InvalidFileError` naming tensor and rule.
 */
export async function readSafetensorsHeader(source: Source): Promise<SafetensorsHeader> {
  if (source.bytes < LENGTH_BYTES) {
    throw new InvalidFileError(
      source.name,
      "file-too-short",
      `a safetensors file has at least 8 bytes, this one has ${source.bytes}`,
    );
  }
  const length = new Uint8Array(LENGTH_BYTES);
  await source.read(length, 0);
  const json = new Uint8Array(headerLength(source.name, length, source.bytes));
  await source.read(json, LENGTH_BYTES);
  return parseSafetensorsHeader(source.name, json, source.bytes);
}

/** The length of the header's JSON, checked against the file's size. `first` are the file's first 8 bytes. */
function headerLength(file: string, first: Uint8Array, fileBytes: number): number {
  const length = new DataView(first.buffer, first.byteOffset).getBigUint64(0, true);
  if (length > BigInt(MAX_HEADER_BYTES)) {
    const pointer = Buffer.from(first).toString("latin1") === "version ";
    const hint = pointer ? " (it looks like a Git LFS pointer: run `git lfs pull` first)" : "";
    throw invalid(
      file,
      "header-limit",
      `the header would have ${length} bytes, the limit is ${MAX_HEADER_BYTES}${hint}`,
    );
  }
  if (length === 0n) throw invalid(file, "header-length", "the header has no bytes; the shortest is `{}`");
  if (Number(length) > fileBytes - LENGTH_BYTES) {
    throw invalid(
      file,
      "header-length",
      `the header would have ${length} bytes, but the file ends after ${fileBytes}`,
    );
  }
  return Number(length);
}

function invalid(file: string, rule: SafetensorsRule, message: string, tensor?: string): InvalidFileError {
  return new InvalidFileError(file, rule, message, tensor === undefined ? {} : { tensor: shortened(tensor) });
}

/** A name for an error: whole, unless it is absurd. */
function shortened(name: string): string {
  return name.length > MAX_NAMED_CHARACTERS ? `${name.slice(0, MAX_NAMED_CHARACTERS)}...` : name;
}

/** Longest tensor name that an error repeats wholly; a header could hold one of 100 MB. */
const MAX_NAMED_CHARACTERS = 1000;

/**
 * Checks a header's JSON against the size of its file (in bytes, with length and header). Pure.
 * Throws `InvalidFileError` naming tensor and rule.
 */
export function parseSafetensorsHeader(file: string, json: Uint8Array, fileBytes: number): SafetensorsHeader {
  return new HeaderParser(file, json, fileBytes).parse();
}

class HeaderParser {
  readonly #file: string;
  readonly #json: StrictJson;
  readonly #starts: boolean;
  readonly #headerBytes: number;
  readonly #dataBytes: number;
  readonly #fields = new Set<string>();
  /** The tensor that is being read, for errors. */
  #tensor: string | undefined;
  #inMetadata = false;

  constructor(file: string, json: Uint8Array, fileBytes: number) {
    this.#file = file;
    this.#headerBytes = LENGTH_BYTES + json.length;
    this.#dataBytes = fileBytes - this.#headerBytes;
    this.#json = new StrictJson(json, (rule, message, key) => this.#jsonError(rule, message, key));
    this.#starts = json[0] === 0x7b;
  }

  parse(): SafetensorsHeader {
    if (!this.#starts) throw this.#invalid("header-start", "the header does not start with '{'");
    const names = new Set<string>();
    const tensors: SafetensorsTensor[] = [];
    let metadata: SafetensorsHeader["metadata"];
    this.#json.enterObject("the header");
    for (;;) {
      this.#tensor = undefined;
      const name = this.#json.nextKey(names);
      if (name === undefined) break;
      if (name === "__metadata__") {
        metadata = this.#metadata();
      } else {
        this.#tensor = name;
        tensors.push(this.#entry(name));
      }
    }
    this.#json.end();
    sortByData(tensors);
    this.#checkCover(tensors);
    return { headerBytes: this.#headerBytes, tensors, metadata };
  }

  #metadata(): SafetensorsHeader["metadata"] {
    const json = this.#json;
    if (json.takeNull()) return undefined;
    this.#inMetadata = true;
    json.enterObject("__metadata__");
    const keys = new Set<string>();
    const entries: [string, string][] = [];
    for (let key = json.nextKey(keys); key !== undefined; key = json.nextKey(keys)) {
      entries.push([key, json.string(`the metadata ${quote(key)}`)]);
    }
    this.#inMetadata = false;
    // fromEntries defines properties: a key such as `__proto__` is an entry like any other.
    return Object.fromEntries(entries);
  }

  #entry(name: string): SafetensorsTensor {
    const json = this.#json;
    const fields = this.#fields;
    fields.clear();
    let dtype: DType | undefined;
    let shape: (number | bigint)[] | undefined;
    let offsets: (number | bigint)[] | undefined;
    json.enterObject("its entry");
    for (let field = json.nextKey(fields); field !== undefined; field = json.nextKey(fields)) {
      if (field === "dtype") dtype = this.#dtype();
      else if (field === "shape") shape = this.#integers("shape", MAX_RANK, "rank-limit");
      else if (field === "data_offsets") offsets = this.#integers("data_offsets", 2, "tensor-fields");
      else json.skipValue();
    }
    if (dtype === undefined) throw this.#invalid("tensor-fields", "it has no dtype");
    if (shape === undefined) throw this.#invalid("tensor-fields", "it has no shape");
    if (offsets === undefined) throw this.#invalid("tensor-fields", "it has no data_offsets");
    if (offsets.length !== 2) throw this.#invalid("tensor-fields", "its data_offsets are not two numbers");
    const [begin, end] = offsets as [number | bigint, number | bigint];
    if (end < begin)
      throw this.#invalid("end-before-begin", `its data_offsets [${begin}, ${end}] end before they begin`);
    const bytes = this.#bytesOf(dtype, shape);
    if (BigInt(end) - BigInt(begin) !== BigInt(bytes)) {
      throw this.#invalid(
        "size-mismatch",
        `its data_offsets [${begin}, ${end}] span ${BigInt(end) - BigInt(begin)} bytes, but ${dtype.safetensors} of shape [${shape.join(", ")}] takes ${bytes}`,
      );
    }
    if (end > this.#dataBytes) {
      throw this.#invalid(
        "missing-bytes",
        `its data_offsets [${begin}, ${end}] reach beyond the ${this.#dataBytes} bytes of data in the file`,
      );
    }
    const large = shape.find((dimension) => typeof dimension === "bigint");
    if (large !== undefined) {
      throw this.#invalid(
        "dimension-limit",
        `its dimension ${large} is over the limit of ${Number.MAX_SAFE_INTEGER}`,
      );
    }
    return {
      name,
      dtype,
      shape: shape as number[],
      offset: this.#headerBytes + Number(begin),
      bytes: Number(bytes),
    };
  }

  #dtype(): DType {
    const code = this.#json.string("its dtype");
    const dtype = dtypeOfSafetensors(code);
    if (dtype === undefined) throw this.#invalid("dtype", `unknown dtype ${quote(code)}`);
    return dtype;
  }

  #integers(field: string, maximum: number, rule: SafetensorsRule): (number | bigint)[] {
    const json = this.#json;
    const values: (number | bigint)[] = [];
    json.enterArray(`its ${field}`);
    while (json.nextElement()) {
      if (values.length === maximum)
        throw this.#invalid(rule, `its ${field} has more than ${maximum} numbers`);
      values.push(json.integer(`a number of its ${field}`));
    }
    return values;
  }

  /**
   * Bytes of a tensor, a bigint where a number would round. Elements and bits must fit 64 bits, multiplied from the
   * first dimension on.
   */
  #bytesOf(dtype: DType, shape: readonly (number | bigint)[]): number | bigint {
    let elements: number | bigint = 1;
    for (const dimension of shape) {
      elements = product(elements, dimension);
      if (elements > MAX_U64) throw this.#invalid("shape-overflow", "its number of elements is over 64 bits");
    }
    const bits = product(elements, dtype.bits);
    if (bits > MAX_U64) throw this.#invalid("shape-overflow", "its size in bits is over 64 bits");
    if (typeof bits === "number" ? bits % 8 !== 0 : bits % 8n !== 0n) {
      throw this.#invalid(
        "partial-byte",
        `its ${elements} elements of ${dtype.bits} bits do not fill whole bytes`,
      );
    }
    return typeof bits === "number" ? bits / 8 : bits / 8n;
  }

  /** The tensors, in the order of their data, must cover all of it once. */
  #checkCover(tensors: readonly SafetensorsTensor[]): void {
    let reached = this.#headerBytes;
    let before: string | undefined;
    for (const { name, offset, bytes } of tensors) {
      const begin = offset - this.#headerBytes;
      const covered = reached - this.#headerBytes;
      const previous = before === undefined ? "the data begins" : `${quote(before)} ends`;
      if (begin > covered) {
        const message = `its data begins at ${begin}, but ${previous} at ${covered}: there is a hole between them`;
        throw this.#invalid("hole", message, name);
      }
      if (begin < covered) {
        throw this.#invalid("overlap", `its data begins at ${begin}, but ${previous} at ${covered}`, name);
      }
      reached = offset + bytes;
      before = name;
    }
    const left = this.#headerBytes + this.#dataBytes - reached;
    if (left > 0) {
      throw this.#invalid(
        "left-over-bytes",
        `${left} bytes at the end of the file belong to no tensor`,
        before,
      );
    }
  }

  #jsonError(rule: JsonRule, message: string, key: string | undefined): InvalidFileError {
    if (rule === "type") return this.#invalid(this.#inMetadata ? "metadata" : "tensor-fields", message);
    const isName = this.#tensor === undefined && !this.#inMetadata && key !== "__metadata__";
    return this.#invalid(rule, message, isName ? key : this.#tensor);
  }

  #invalid(
    rule: SafetensorsRule,
    message: string,
    tensor: string | undefined = this.#tensor,
  ): InvalidFileError {
    return invalid(this.#file, rule, message, tensor);
  }
}

const MAX_U64 = 2n ** 64n - 1n;

/** A product that stays exact: a bigint where a number would round. */
function product(a: number | bigint, b: number | bigint): number | bigint {
  if (typeof a === "number" && typeof b === "number") {
    const rounded = a * b;
    if (rounded <= Number.MAX_SAFE_INTEGER) return rounded;
  }
  return BigInt(a) * BigInt(b);
}

/**
 * Sorts by begin, then by end: an empty tensor comes before the one that begins where it lies. Mostly they are
 * sorted already.
 */
function sortByData(tensors: SafetensorsTensor[]): void {
  const isSorted = tensors.every(
    (tensor, index) => index === 0 || compareData(tensors[index - 1]!, tensor) <= 0,
  );
  if (!isSorted) tensors.sort(compareData);
}

function compareData(a: SafetensorsTensor, b: SafetensorsTensor): number {
  return a.offset - b.offset || a.bytes - b.bytes;
}
