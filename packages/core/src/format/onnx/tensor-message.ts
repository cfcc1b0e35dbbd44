/**
 * One `TensorProto` as it lies in the file: what its fields say, and where its elements are. Nothing is judged here,
 * because fields come in any order: `raw_data` may stand before `dims`, and a message that appears twice is merged
 * (the last of a single field wins, repeated fields are appended).
 */
import { MAX_RANK } from "../safetensors/header.ts";
import { DOUBLE_DATA, FLOAT_DATA, INT32_DATA, INT64_DATA, STRING_DATA, UINT64_DATA } from "./data-types.ts";
import { EntryMessage } from "./entry-message.ts";
import { MAX_NAME_BYTES, type Place } from "./place.ts";
import type { MessageVisitor, Step } from "./walk.ts";
import { FIXED32, FIXED64, int64 } from "./wire.ts";

const DIMS = 1;
const DATA_TYPE = 2;
const SEGMENT = 3;
const NAME = 8;
const RAW_DATA = 9;
const EXTERNAL_DATA = 13;
const DATA_LOCATION = 14;

const EXTERNAL = 1;
/** Keys of `external_data` that mean something to us. */
const EXTERNAL_KEYS: ReadonlySet<string> = new Set(["location", "offset", "length", "checksum"]);

/** A byte range of the file. */
export interface Range {
  readonly offset: number;
  readonly bytes: number;
}

/** A field of typed elements: what of it was met. */
export interface TypedField {
  readonly field: number;
  /** Bytes of the packed runs, without tags and lengths. */
  packedBytes: number;
  /** Packed runs that are not empty, and where the last one lies. */
  runs: number;
  lastRun: Range;
  /** Elements that have a tag each. */
  singles: number;
}

/** Collects the fields of a `TensorProto`. */
export class TensorMessage implements MessageVisitor {
  readonly place: Place;
  /** Where its messages lie: more than one if they are to be merged. */
  readonly ranges: Range[] = [];
  /** As in the file; numbers that are no sizes come as they are, over 2^53 rounded. At most `MAX_RANK` + 1. */
  readonly dims: number[] = [];
  dataType: number = 0;
  hasSegment: boolean = false;
  raw: Range | undefined;
  readonly typed: TypedField[] = [];
  isExternal: boolean = false;
  /** Undefined: it says nothing of another file. */
  externalData: Map<string, string> | undefined;
  /** A key that `external_data` has twice. */
  externalTwice: string | undefined;
  /** What this tensor is of a sparse one. */
  readonly sparse: SparseRole | undefined;
  readonly #named: Place | undefined;

  /** `named` takes the tensor's own name; attributes have a better one. */
  constructor(place: Place, named: Place | undefined, sparse?: SparseRole) {
    this.place = place;
    this.#named = named;
    this.sparse = sparse;
  }

  varint(field: number, low: number, high: number): void {
    if (field === DIMS) {
      if (this.dims.length <= MAX_RANK) this.dims.push(int64(low, high));
    } else if (field === DATA_TYPE) this.dataType = low | 0;
    else if (field === DATA_LOCATION) this.isExternal = (low | 0) === EXTERNAL;
    else if (field === INT32_DATA || field === INT64_DATA || field === UINT64_DATA)
      this.#typed(field).singles++;
  }

  fixed(field: number, wireType: number): void {
    if (field === FLOAT_DATA && wireType === FIXED32) this.#typed(field).singles++;
    else if (field === DOUBLE_DATA && wireType === FIXED64) this.#typed(field).singles++;
  }

  bytes(field: number, offset: number, bytes: number): Step {
    switch (field) {
      case DIMS:
        return "varints";
      case SEGMENT:
        this.hasSegment = true;
        return undefined;
      case NAME:
        return this.#named !== undefined && bytes <= MAX_NAME_BYTES ? "text" : undefined;
      case RAW_DATA:
        this.raw = { offset, bytes };
        return undefined;
      case STRING_DATA:
        this.#typed(field).singles++;
        return undefined;
      case FLOAT_DATA:
      case INT32_DATA:
      case INT64_DATA:
      case DOUBLE_DATA:
      case UINT64_DATA:
        if (bytes > 0) {
          const typed = this.#typed(field);
          typed.packedBytes += bytes;
          typed.runs++;
          typed.lastRun = { offset, bytes };
        }
        return undefined;
      case EXTERNAL_DATA:
        return new EntryMessage((key, value) => this.#external(key, value));
      default:
        return undefined;
    }
  }

  text(_field: number, text: string): void {
    if (this.#named !== undefined) this.#named.name = text;
  }

  #typed(field: number): TypedField {
    let typed = this.typed.find((known) => known.field === field);
    if (typed === undefined) {
      typed = { field, packedBytes: 0, runs: 0, lastRun: { offset: 0, bytes: 0 }, singles: 0 };
      this.typed.push(typed);
    }
    return typed;
  }

  /** A value too long to be read (nothing of ours is) counts as empty. */
  #external(key: string, value = ""): void {
    if (!EXTERNAL_KEYS.has(key)) return;
    this.externalData ??= new Map();
    if (this.externalData.has(key)) this.externalTwice = key;
    this.externalData.set(key, value);
  }
}

/** What a tensor is of a sparse one, whose shape is known when all has been read. */
export interface SparseRole {
  readonly role: "values" | "indices";
  /** Shape of the dense tensor. */
  readonly dims: readonly number[];
}
