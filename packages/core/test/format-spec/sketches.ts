/** Section 8 of docs/format.md: sketches. */

const HASHES = 8;
const PLACES_OF_HASH = 192;

/** Of words as numbers with the sign and the order of their magnitudes; undefined where there is none. */
export function sketchOf(words: readonly number[]): number[] | undefined {
  if (words.length < 4096) return undefined;
  const n = Math.min(words.length, 131_072);
  const m = 2 ** Math.ceil(Math.log2(n));
  let empty = 0;
  const hashes = Array.from({ length: HASHES }, (_, h) => {
    const places: number[] = [];
    for (let i = PLACES_OF_HASH * h; places.length < PLACES_OF_HASH; i++) {
      const draw = (d: number): number =>
        mix((Math.imul(i + 1, 0x9e3779b1) + Math.imul(d, 0x85ebca6b)) >>> 0) % m;
      let d = 0;
      while (draw(d) >= n || places.includes(draw(d))) d++;
      places.push(draw(d));
    }
    let hash = h + 1;
    for (let g = 0; g < 3; g++) {
      const group = places.slice(64 * g, 64 * g + 64).map((place) => words[place]!);
      const magnitudes = group.map(Math.abs);
      const largest = Math.max(...magnitudes);
      const winner = magnitudes.indexOf(largest);
      if (magnitudes.filter((magnitude) => magnitude === largest).length > 8) empty++;
      hash = mix((Math.imul(hash, 0x9e3779b1) ^ (2 * winner + (group[winner]! < 0 ? 1 : 0))) >>> 0);
    }
    return hash;
  });
  return empty > 6 ? undefined : hashes;
}

function mix(value: number): number {
  let x = value;
  x = Math.imul(x ^ (x >>> 16), 0x7feb352d) >>> 0;
  x = Math.imul(x ^ (x >>> 15), 0x846ca68b) >>> 0;
  return (x ^ (x >>> 16)) >>> 0;
}
