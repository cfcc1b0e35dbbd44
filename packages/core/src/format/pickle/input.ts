/**
 * The bytes of a pickle, read in order through a window. Long byte strings are stepped over: where they lie is all
 * that is kept, so that a pickle full of arrays is planned without reading them.
 */
import { InvalidFileError, LimitError } from "@tensorcask/codec";
import type { Source } from "../../model/plan.ts";
import { type Extent, fileExtent } from "./extent.ts";

/** Longest text or number that is read into memory; longer ones are stepped over or, where that cannot be, refused. */
export const MAX_INLINE_BYTES: number = 16 * 1024;

/**
 * Most bytes of pickles that are taken from one file, stepped over ones not counted. A tensor of a checkpoint takes about
 * 200, so this is over 300,000 tensors; it bounds the memory that planning takes.
 */
export const MAX_PICKLE_BYTES: number = 64 * 1024 * 1024;

/** What one opcode takes at most: two lines and a length. The window holds as much before each opcode. */
const AHEAD_BYTES = 2 * MAX_INLINE_BYTES + 16;
const WINDOW_BYTES = 4 * MAX_INLINE_BYTES;

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Where pickles lie if not directly in the file. */
export interface PickleHome {
  /** Said in errors behind the offset: ` of archive/data.pkl`. */
  readonly of: string;
  /** The extent of a run of bytes, by its place in the source that is read. */
  extent(offset: number, bytes: number): Extent;
}

/** A place in a source that moves forward. All methods but `fill` take what the window holds. */
export class PickleInput {
  readonly #source: Source;
  readonly #home: PickleHome;
  #window = new Uint8Array(0);
  #view = new DataView(this.#window.buffer);
  /** Place of the window in the source. */
  #start: number;
  /** The next byte, from the window's start; beyond its end after a long step. */
  #at = 0;
  #takenBytes = 0;

  constructor(source: Source, position: number, home: PickleHome = { of: "", extent: fileExtent }) {
    this.#source = source;
    this.#home = home;
    this.#start = position;
  }

  /** Place of the next byte in the source. */
  get position(): number {
    return this.#start + this.#at;
  }

  /** Whether `fill` is to be called before the next opcode. */
  get isLow(): boolean {
    return (
      this.#window.length - this.#at < AHEAD_BYTES && this.#start + this.#window.length < this.#source.bytes
    );
  }

  /** Moves the window to the next byte. */
  async fill(): Promise<void> {
    const position = this.position;
    const kept = this.#window.subarray(this.#at);
    const window = new Uint8Array(Math.min(WINDOW_BYTES, this.#source.bytes - position));
    window.set(kept);
    await this.#source.read(window.subarray(kept.length), position + kept.length);
    if (this.#takenBytes > MAX_PICKLE_BYTES) {
      throw new LimitError("bytes of a pickle", this.#takenBytes, MAX_PICKLE_BYTES, this.#source.name);
    }
    this.#window = window;
    this.#view = new DataView(window.buffer);
    this.#start = position;
    this.#at = 0;
  }

  /** The error for the pickle at `position`. */
  invalid(rule: string, message: string, position: number): InvalidFileError {
    return new InvalidFileError(this.#source.name, rule, `at byte ${position}${this.#home.of}: ${message}`);
  }

  u8(): number {
    return this.#view.getUint8(this.#step(1));
  }

  u16(): number {
    return this.#view.getUint16(this.#step(2), true);
  }

  i32(): number {
    return this.#view.getInt32(this.#step(4), true);
  }

  u32(): number {
    return this.#view.getUint32(this.#step(4), true);
  }

  /** 64 bits; what is beyond 2^53 is rounded, which no length in a file reaches. */
  u64(): number {
    return Number(this.#view.getBigUint64(this.#step(8), true));
  }

  /** A float of 64 bits, most significant byte first. */
  f64(): number {
    return this.#view.getFloat64(this.#step(8), false);
  }

  /** The next bytes, at most `MAX_INLINE_BYTES`; valid until the next `fill`. */
  bytes(length: number): Uint8Array {
    const at = this.#step(length);
    return this.#window.subarray(at, at + length);
  }

  /** The next bytes as UTF-8. */
  text(length: number): string {
    const position = this.position;
    try {
      return utf8.decode(this.bytes(length));
    } catch (error) {
      if (error instanceof TypeError) throw this.invalid("pickle-text", "a text is not UTF-8", position);
      throw error;
    }
  }

  /** The characters (latin-1) up to the next line feed, which is taken too. */
  line(): string {
    const end = this.#window.subarray(this.#at, this.#at + MAX_INLINE_BYTES).indexOf(0x0a);
    if (end < 0) {
      const short = this.#window.length - this.#at < MAX_INLINE_BYTES;
      throw short
        ? this.invalid("truncated", "a line does not end", this.position)
        : this.invalid("pickle-line", `a line is longer than ${MAX_INLINE_BYTES} bytes`, this.position);
    }
    const line = Buffer.from(this.bytes(end)).toString("latin1");
    this.#at++;
    return line;
  }

  /** Steps over bytes and says where they lie. */
  skip(length: number): Extent {
    this.expect(length);
    const { position } = this;
    this.#at += length;
    return this.extentOf(position, length);
  }

  /** The extent of bytes that were taken. */
  extentOf(position: number, bytes: number): Extent {
    return this.#home.extent(position, bytes);
  }

  /** Checks that so many bytes follow. */
  expect(length: number): void {
    const left = this.#source.bytes - this.position;
    if (length > left) {
      throw this.invalid("truncated", `${length} bytes are to follow, ${left} do`, this.position);
    }
  }

  #step(length: number): number {
    this.expect(length);
    const at = this.#at;
    this.#at += length;
    this.#takenBytes += length;
    return at;
  }
}
