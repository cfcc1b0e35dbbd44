/**
 * Reads the header of a GGUF file from front to back through one window of fixed size, so that a tokenizer of many megabytes in it is
 * passed over and never held. Every length is checked against the file before anything is read or skipped.
 */
import { InvalidFileError } from "@tensorcask/codec";
import type { Source } from "../../model/plan.ts";

/**
 * Longest header in bytes, ten times what the largest tokenizers take: as much as a safetensors header may have. It bounds the time that
 * planning takes, and the memory of names and shapes.
 */
export const MAX_HEADER_BYTES = 100_000_000;

/** Longest key, tensor name or kept string in bytes: the specification's limit of keys. */
export const MAX_TEXT_BYTES = 65_535;

const WINDOW_BYTES = 65_536;

/** Rules of GGUF that a file can break. */
export type GgufRule =
  /** The first four bytes are not `GGUF`. */
  | "magic"
  /** Not version 2 or 3. */
  | "version"
  /** The file ends before its header or its data do. */
  | "truncated"
  /** More than `MAX_HEADER_BYTES`, or than `MAX_KEYS` or `MAX_TENSORS`. */
  | "header-limit"
  /** A key or tensor name is longer than `MAX_TEXT_BYTES`. */
  | "name-limit"
  /** A key or tensor name is not UTF-8. */
  | "name-encoding"
  /** A key is empty. */
  | "empty-key"
  /** A key or a tensor name comes twice. */
  | "duplicate-key"
  | "duplicate-name"
  /** A metadata value has an unknown type. */
  | "value-type"
  /** Arrays within arrays, deeper than `MAX_ARRAY_DEPTH`. */
  | "nesting"
  /** `general.alignment` is no uint32 or no power of two. */
  | "alignment"
  /** A tensor has an unknown type, or one that ggml has removed. */
  | "tensor-type"
  /** Blocks of a big-endian file. */
  | "big-endian-blocks"
  /** More dimensions than `MAX_DIMENSIONS`. */
  | "rank-limit"
  /** A tensor has over 2^53 - 1 elements or bytes. */
  | "shape-overflow"
  /** The fastest dimension is no multiple of the type's block. */
  | "partial-block"
  /** An offset is no multiple of the alignment. */
  | "unaligned"
  /** A tensor reaches beyond the end of the file. */
  | "missing-bytes"
  /** `split.*` keys that are no counts, or do not go with the file's name. */
  | "split"
  | "shard-missing"
  | "shard-not-gguf"
  /** A shard's own `split.no` and `split.count` are not those of its name. */
  | "shard-number"
  /** All shards together hold another number of tensors than `split.tensors.count`. */
  | "shard-tensors"
  /** A tensor is in two shards. */
  | "shard-duplicate";

/** Longest name that an error repeats wholly. */
const MAX_NAMED_CHARACTERS = 1000;

/** The error of a broken rule. */
export function invalidGguf(
  file: string,
  rule: GgufRule,
  message: string,
  tensor?: string,
): InvalidFileError {
  if (tensor === undefined) return new InvalidFileError(file, rule, message);
  const name = tensor.length > MAX_NAMED_CHARACTERS ? `${tensor.slice(0, MAX_NAMED_CHARACTERS)}...` : tensor;
  return new InvalidFileError(file, rule, message, { tensor: name });
}

/**
 * A position in the header, and the bytes around it. `need` makes the next bytes present; what reads numbers behind it then takes them.
 */
export class GgufCursor {
  readonly file: string;
  readonly #source: Source;
  readonly #window: Uint8Array;
  readonly #view: DataView;
  readonly #decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  /** Byte of the file where the window begins, and how many bytes of it are filled. */
  #start = 0;
  #filled = 0;
  #at = 0;
  #littleEndian = true;

  constructor(source: Source) {
    this.file = source.name;
    this.#source = source;
    this.#window = new Uint8Array(Math.min(WINDOW_BYTES, source.bytes));
    this.#view = new DataView(this.#window.buffer);
  }

  /** Byte of the file that is read next. */
  get position(): number {
    return this.#start + this.#at;
  }

  /** Bytes from the position to the end of the file. */
  get remaining(): number {
    return this.#source.bytes - this.position;
  }

  get littleEndian(): boolean {
    return this.#littleEndian;
  }

  /** Numbers have their most significant byte first from now on. */
  setBigEndian(): void {
    this.#littleEndian = false;
  }

  /** Bytes behind the position that are in the window already. */
  get buffered(): number {
    return this.#filled - this.#at;
  }

  /** Makes sure that `bytes` (at most `MAX_TEXT_BYTES`) can be taken. `what` names them in errors. */
  async need(bytes: number, what: string): Promise<void> {
    if (bytes <= this.buffered) return;
    this.check(bytes, what);
    this.#start = this.position;
    this.#at = 0;
    this.#filled = Math.min(this.#window.length, this.remaining);
    await this.#source.read(this.#window.subarray(0, this.#filled), this.#start);
  }

  /** Throws when the header cannot go on for so many bytes: the file ends before, or it would be too long. */
  check(bytes: number | bigint, what: string): void {
    if (bytes > this.remaining) {
      throw this.invalid(
        "truncated",
        `${what} at byte ${this.position} takes ${bytes} bytes or more, the file ends after ${this.#source.bytes}`,
      );
    }
    if (this.position + Number(bytes) > MAX_HEADER_BYTES) {
      throw this.invalid(
        "header-limit",
        `its header is longer than the limit of ${MAX_HEADER_BYTES} bytes: ${what} at byte ${this.position} takes ${bytes}`,
      );
    }
  }

  /** Passes over bytes without reading them. */
  skip(bytes: number | bigint, what: string): void {
    this.check(bytes, what);
    this.#at += Number(bytes);
    if (this.#at <= this.#filled) return;
    this.#start += this.#at;
    this.#at = 0;
    this.#filled = 0;
  }

  /** The next numbers; `need` comes first. */
  u8(): number {
    return this.#view.getUint8(this.#take(1));
  }

  i8(): number {
    return this.#view.getInt8(this.#take(1));
  }

  u16(): number {
    return this.#view.getUint16(this.#take(2), this.#littleEndian);
  }

  i16(): number {
    return this.#view.getInt16(this.#take(2), this.#littleEndian);
  }

  u32(): number {
    return this.#view.getUint32(this.#take(4), this.#littleEndian);
  }

  i32(): number {
    return this.#view.getInt32(this.#take(4), this.#littleEndian);
  }

  f32(): number {
    return this.#view.getFloat32(this.#take(4), this.#littleEndian);
  }

  u64(): bigint {
    return this.#view.getBigUint64(this.#take(8), this.#littleEndian);
  }

  i64(): bigint {
    return this.#view.getBigInt64(this.#take(8), this.#littleEndian);
  }

  f64(): number {
    return this.#view.getFloat64(this.#take(8), this.#littleEndian);
  }

  /** The next bytes as text; undefined when they are not UTF-8. `need` comes first. */
  text(bytes: number): string | undefined {
    const at = this.#take(bytes);
    try {
      return this.#decoder.decode(this.#window.subarray(at, at + bytes));
    } catch (error) {
      if (error instanceof TypeError) return undefined;
      throw error;
    }
  }

  /** A key or a tensor name: a length and UTF-8. */
  async name(what: string): Promise<string> {
    await this.need(8, what);
    const length = this.u64();
    this.check(length, what);
    if (length > MAX_TEXT_BYTES) {
      throw this.invalid("name-limit", `${what} has ${length} bytes, the limit is ${MAX_TEXT_BYTES}`);
    }
    await this.need(Number(length), what);
    const text = this.text(Number(length));
    if (text === undefined) throw this.invalid("name-encoding", `${what} is not UTF-8`);
    return text;
  }

  invalid(rule: GgufRule, message: string, tensor?: string): InvalidFileError {
    return invalidGguf(this.file, rule, message, tensor);
  }

  #take(bytes: number): number {
    const at = this.#at;
    this.#at += bytes;
    return at;
  }
}
