/** A set of catalog ids as bits: ids are dense enough that a million of them take about 128 KiB. */
export class IdSet {
  readonly #words: Uint32Array;

  /** `limit`: ids are below it. */
  constructor(limit: number) {
    this.#words = new Uint32Array((limit + 31) >>> 5);
  }

  add(id: number): void {
    this.#words[id >>> 5]! |= 1 << (id & 31);
  }

  has(id: number): boolean {
    return ((this.#words[id >>> 5] ?? 0) & (1 << (id & 31))) !== 0;
  }

  /** The ids that are in this set or in `other`, rising, in lists of at most `count`. */
  *slices(count: number, other: IdSet = this): Generator<number[], void, void> {
    let ids: number[] = [];
    for (let index = 0; index < this.#words.length; index++) {
      for (let word = this.#words[index]! | (other.#words[index] ?? 0); word !== 0; word &= word - 1) {
        ids.push(index * 32 + 31 - Math.clz32(word & -word));
        if (ids.length < count) continue;
        yield ids;
        ids = [];
      }
    }
    if (ids.length > 0) yield ids;
  }
}
