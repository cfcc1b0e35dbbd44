/** Sections 12 and 13 of docs/format.md: segments, entries, and which of them are the journal. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { decode as decodeCbor } from "cborg";
import { ascii, must, sha256 } from "./bytes.ts";

/** 12: an entry and where it lies. */
export interface SpecEntry {
  readonly sequence: number;
  readonly payload: readonly unknown[];
  readonly final: boolean;
  readonly previous: Buffer;
  readonly hash: Buffer;
  readonly end: number;
}

/** 12: the whole entry at an offset; undefined when there is none. */
function entryAt(segment: Buffer, at: number): SpecEntry | undefined {
  if (segment.length - at < 84) return undefined;
  const magic = ascii(segment, at, 4);
  if (magic !== "TCJE" && magic !== "TCJF") return undefined;
  if (
    !sha256(segment.subarray(at, at + 48))
      .subarray(0, 4)
      .equals(segment.subarray(at + 48, at + 52))
  )
    return undefined;
  const end = at + 52 + segment.readUInt32LE(at + 4) + 32;
  if (end > segment.length) return undefined;
  const hash = sha256(segment.subarray(at, end - 32));
  if (!hash.equals(segment.subarray(end - 32, end))) return undefined;
  const payload = decodeCbor(new Uint8Array(segment.subarray(at + 52, end - 32)), {
    strict: true,
    allowIndefinite: false,
    allowUndefined: false,
  }) as unknown[];
  const sequence = Number(segment.readBigUInt64LE(at + 8));
  return {
    sequence,
    payload,
    final: magic === "TCJF",
    previous: segment.subarray(at + 16, at + 48),
    hash,
    end,
  };
}

interface Segment {
  readonly name: string;
  readonly bytes: Buffer;
  readonly generation: number;
  readonly part: number;
  readonly sequence: number;
  readonly hash: Buffer;
}

function readSegment(directory: string, name: string): Segment {
  const bytes = readFileSync(join(directory, name));
  must(bytes.length >= 64 && ascii(bytes, 0, 4) === "TCJL", `${name} is no segment`);
  must(bytes.readUInt16LE(4) === 0, "unknown segment version");
  must(
    sha256(bytes.subarray(0, 56)).subarray(0, 8).equals(bytes.subarray(56, 64)),
    `the header of ${name} is damaged`,
  );
  const generation = bytes.readUInt32LE(8);
  const part = bytes.readUInt32LE(12);
  must(bytes.readUInt16LE(6) === (part === 0 ? 1 : 0), "a segment's flags are wrong");
  const pad = (number: number): string => String(number).padStart(8, "0");
  must(name === `${pad(generation)}-${pad(part)}.log`, "a segment has another's name");
  const sequence = Number(bytes.readBigUInt64LE(16));
  return { name, bytes, generation, part, sequence, hash: bytes.subarray(24, 56) };
}

/** 13: the payloads of the journal, the snapshot's first. */
export function readJournal(directory: string): SpecEntry[] {
  const segments = readdirSync(directory)
    .filter((name) => /^\d{8}-\d{8}\.log$/.test(name))
    .map((name) => readSegment(directory, name));
  const current = Math.max(
    1,
    ...segments.filter(({ part }) => part === 0).map(({ generation }) => generation),
  );
  must(
    segments.every(({ generation }) => generation <= current),
    "a generation has no snapshot",
  );
  const own = segments.filter(({ generation }) => generation === current).sort((a, b) => a.part - b.part);
  const entries: SpecEntry[] = [];
  let sequence = 0;
  let hash: Buffer = Buffer.alloc(32);
  const snapshot = own[0]?.part === 0 ? own.shift() : undefined;
  if (snapshot !== undefined) {
    let before = snapshot.hash;
    let complete = false;
    for (let at = 64; at < snapshot.bytes.length; ) {
      const entry = entryAt(snapshot.bytes, at);
      must(entry !== undefined && !complete, "a snapshot is damaged");
      must(
        entry.sequence === snapshot.sequence && entry.previous.equals(before),
        "a snapshot's chain is broken",
      );
      entries.push(entry);
      before = entry.hash;
      complete = entry.final;
      at = entry.end;
    }
    must(complete, "a snapshot is incomplete");
    sequence = snapshot.sequence;
    hash = snapshot.hash;
  }
  own.forEach((segment, index) => {
    const next = own[index + 1];
    must(segment.sequence === sequence + 1 && segment.hash.equals(hash), "parts do not follow each other");
    let at = 64;
    while (next === undefined || sequence + 1 < next.sequence) {
      const entry = entryAt(segment.bytes, at);
      if (entry === undefined) break;
      must(
        entry.sequence === sequence + 1 && entry.previous.equals(hash),
        `entry ${entry.sequence} does not follow`,
      );
      entries.push(entry);
      ({ sequence, hash } = entry);
      at = entry.end;
    }
    must(next === undefined || next.sequence === sequence + 1, `entries of ${segment.name} are missing`);
    if (next !== undefined) return;
    for (let behind = at + 1; behind < segment.bytes.length; behind++) {
      const found = entryAt(segment.bytes, behind);
      must(
        found === undefined || found.sequence <= sequence,
        "an entry is damaged, though one behind it is whole",
      );
    }
  });
  return entries;
}
