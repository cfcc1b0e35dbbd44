/** The 64-bit values of an entry that 32-bit fields of its header leave to an extra field. */
import { quote } from "../strict-json.ts";
import { invalidZip, SENTINEL_32, u64, viewOf, ZIP64_EXTRA } from "./records.ts";

/** Takes the values of a zip64 extra field, one after the other. */
export class Zip64Values {
  readonly #file: string;
  readonly #name: string;
  readonly #extra: Uint8Array;
  #values: DataView | undefined;
  #at = 0;

  constructor(file: string, name: string, extra: Uint8Array) {
    this.#file = file;
    this.#name = name;
    this.#extra = extra;
  }

  /** The value of a 32-bit field: itself, or the next one of the extra field if it is all ones. */
  or(field: number): number {
    if (field !== SENTINEL_32) return field;
    this.#values ??= this.#find();
    if (this.#at + 8 > this.#values.byteLength) {
      throw invalidZip(this.#file, "zip64", `${quote(this.#name)} lacks 64-bit sizes in its extra field`);
    }
    this.#at += 8;
    return u64(this.#values, this.#at - 8);
  }

  #find(): DataView {
    const view = viewOf(this.#extra);
    let found: DataView | undefined;
    // Writers that align data may leave up to 3 bytes that are no field.
    for (let at = 0; at + 4 <= view.byteLength; ) {
      const end = at + 4 + view.getUint16(at + 2, true);
      if (end > view.byteLength) {
        throw invalidZip(
          this.#file,
          "zip-extra",
          `an extra field of ${quote(this.#name)} reaches beyond its place`,
        );
      }
      if (view.getUint16(at, true) === ZIP64_EXTRA) {
        if (found !== undefined) {
          throw invalidZip(this.#file, "zip64", `${quote(this.#name)} has two zip64 extra fields`);
        }
        found = viewOf(this.#extra.subarray(at + 4, end));
      }
      at = end;
    }
    return found ?? new DataView(new ArrayBuffer(0));
  }
}
