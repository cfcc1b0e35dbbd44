/**
 * What kind of data gains what: every kind of data/ through the lossless presets, zstd and gzip. Ratio and speed of one thread, and the chains that
 * `lossless` chose. Random bytes may grow by a thousandth at most.
 */
import { ready } from "@tensorcask/codec";
import {
  kinds as allKinds,
  chainsText,
  chunksOf,
  codecCoders,
  generateSample,
  type Measured,
  measureCoders,
  peerCoders,
  presetCoders,
} from "@tensorcask/samples";
import { formatBytes, formatRatio } from "@tensorcask/stats";
import { type Benchmark, left, right, type Table } from "./benchmark.ts";

const SEED = 1;
const SMALL_MEBIBYTES = 2;
const LARGE_MEBIBYTES = 4;
/** What a coder may take for one kind in one direction; one that needs more gets some of the chunks. */
const SMALL_SECONDS = 1;
const LARGE_SECONDS = 4;

const RANDOM = "random";
const MAX_GROWTH = 0.001;

/** By how much a single codec may be better than `lossless`. */
const SLACK = 1.005;
/** What takes a thousand times longer than the others is for `archive` only. */
const singleCoders = codecCoders.filter(({ name }) => name !== "context");

/** A kind with what every coder made of it; `measured` is undefined where the machine has no such data. */
interface Row {
  readonly name: string;
  readonly dtype: string;
  readonly bytes: number;
  readonly measured: readonly Measured[] | undefined;
  /** Single codecs and chains of two, where they were asked for. */
  readonly singles: readonly Measured[];
}

const ratioOf = ({ bytesBefore, bytesAfter }: Measured): number => bytesBefore / bytesAfter;

/** Megabytes a second; slow coders with a digit more. */
function speedText({ bytesBefore }: Measured, taken: number): string {
  const speed = bytesBefore / 1e6 / taken;
  return speed.toFixed(speed < 10 ? 1 : 0);
}

/** One row per kind, one column per coder. */
function matrix(
  title: string,
  rows: readonly Row[],
  cell: (one: Measured) => string,
  notes: readonly string[] = [],
): Table {
  const coders = [...presetCoders, ...peerCoders];
  return {
    title,
    columns: [left("kind"), left("dtype"), right("bytes"), ...coders.map(({ name }) => right(name))],
    rows: rows.map(({ name, dtype, bytes, measured }) => [
      ...[name, dtype, measured === undefined ? "none found" : formatBytes(bytes)],
      ...(measured ?? []).map((one) => cell(one)),
    ]),
    notes,
  };
}

function chainsTable(rows: readonly Row[]): Table {
  const chains = ({ measured }: Row, coder: string): string =>
    chainsText(measured?.find((one) => one.coder === coder)?.chains ?? []);
  return {
    title: "What the presets chose, by share of the bytes",
    columns: [left("kind"), left("lossless"), left("archive")],
    rows: rows.map((row) => [row.name, chains(row, "lossless"), chains(row, "archive")]),
  };
}

/** Where a single codec or a chain of two is better than what `lossless` chose. */
function lossTable(rows: readonly Row[]): Table {
  const losses = rows.flatMap(({ name, measured, singles }) => {
    const auto = measured?.find(({ coder }) => coder === "lossless");
    const best = singles.filter(({ isPart }) => !isPart).sort((a, b) => ratioOf(b) - ratioOf(a))[0];
    if (auto === undefined || best === undefined || ratioOf(best) <= ratioOf(auto) * SLACK) return [];
    const loss = `${(100 * (ratioOf(best) / ratioOf(auto) - 1)).toFixed(1)} %`;
    const speeds = [auto, best].map((one) => speedText(one, one.encodeSeconds));
    return [
      [name, formatRatio(ratioOf(auto)), best.coder, formatRatio(ratioOf(best)), loss, speeds.join(" : ")],
    ];
  });
  return {
    title: "Kinds that one codec for all chunks makes smaller than lossless does, by more than 0.5 %",
    columns: [
      ...[left("kind"), right("lossless"), left("best single"), right("ratio"), right("smaller by")],
      right("encode MB/s, lossless : single"),
    ],
    rows: losses,
    notes: [`tried: ${singleCoders.map(({ name }) => name).join(", ")}`],
  };
}

/** Says whether random bytes stay as small as they must; otherwise the run ends as a failure. */
function growthLine(rows: readonly Row[]): string {
  const row = rows.find(({ name }) => name === RANDOM);
  const growths = (row?.measured ?? [])
    .filter(({ coder }) => presetCoders.some(({ name }) => name === coder))
    .map((one) => ({ coder: one.coder, growth: one.bytesAfter / one.bytesBefore - 1 }));
  const text = growths.map(({ coder, growth }) => `${coder} ${(100 * growth).toFixed(3)} %`).join(", ");
  const isKept = growths.length > 0 && growths.every(({ growth }) => growth <= MAX_GROWTH);
  if (!isKept) process.exitCode = 1;
  return `${isKept ? "ok" : "FAIL"}: random bytes grow by at most ${100 * MAX_GROWTH} %: ${text}`;
}

export const kinds: Benchmark = {
  name: "kinds",
  description: "what kind of data gains what: 23 kinds through the lossless presets, zstd and gzip",
  async run(setting) {
    await ready();
    const mebibytes = setting.full ? LARGE_MEBIBYTES : SMALL_MEBIBYTES;
    const seconds = setting.full ? LARGE_SECONDS : SMALL_SECONDS;
    const rows: Row[] = [];
    for (const { name, origin } of allKinds) {
      setting.say(`kinds: ${name}`);
      const sample = await generateSample(name, SEED, mebibytes * 2 ** 20).catch((error: unknown) => {
        if (origin === "machine") return undefined;
        throw error;
      });
      if (sample === undefined) {
        rows.push({ name, dtype: "", bytes: 0, measured: undefined, singles: [] });
        continue;
      }
      const chunks = chunksOf(sample.dtype, sample.data);
      const measured = await measureCoders(chunks, [...presetCoders, ...peerCoders], { seconds });
      const singles = setting.full ? await measureCoders(chunks, singleCoders, { seconds }) : [];
      rows.push({ name, dtype: sample.dtype, bytes: sample.data.length, measured, singles });
    }
    const starred = (one: Measured, text: string): string => (one.isPart ? `${text} *` : text);
    const speed = (pick: (one: Measured) => number) => (one: Measured) =>
      starred(one, speedText(one, pick(one)));
    return [
      matrix("Ratio", rows, (one) => starred(one, formatRatio(ratioOf(one))), [
        "frames with header and checksum, a chunk of 131,072 elements each; zstd and gzip: all bytes in one call of node:zlib",
        `*: too slow for all of it in ${seconds} s; some of the chunks, evenly spread`,
        growthLine(rows),
        "everything was decoded and compared before it was timed; one thread",
        `seed ${SEED}; tensorcask bench --generate KIND --seed ${SEED} --bytes ${mebibytes}MiB measures one kind, with --out FILE it writes the data`,
      ]),
      chainsTable(rows),
      matrix(
        "Encode, MB/s",
        rows,
        speed((one) => one.encodeSeconds),
      ),
      matrix(
        "Decode, MB/s",
        rows,
        speed((one) => one.decodeSeconds),
      ),
      ...(setting.full ? [lossTable(rows)] : []),
    ];
  },
};
