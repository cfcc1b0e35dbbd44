/** Frames of every codec, chain and preset over every dtype and texture: Node and a browser each write them, and each must read both. */
import { createHash } from "node:crypto";
import { codecOfCode, fromHex, readFrameHeader } from "@tensorcask/codec";
import { beforeAll, describe, expect, it } from "vitest";
import { archives, type Corpus, chains, codecIds, policies, singleCodecs } from "./samples.ts";
import { CANNOT_DECODE, CANNOT_ENCODE, describeInBrowser, SIDES, type SideName } from "./session.ts";
import type { Failure, Job, Read, Written } from "./suite.ts";

const CORPORA: Record<string, () => Corpus> = {
  "each codec alone": singleCodecs,
  "chains of codecs": chains,
  "presets and parameters": policies,
  archives,
};
const ENCODE_TIMEOUT_MS = 600_000;
const WAYS = SIDES.flatMap((writer) => SIDES.map((reader) => ({ writer, reader })));

describeInBrowser("frames between Node and a browser", (session) => {
  describe.each(Object.entries(CORPORA))("%s", (name, corpusOf) => {
    const corpus = corpusOf();
    const { samples, jobs } = corpus;
    const written = {} as Record<SideName, readonly (Written | Failure)[]>;

    beforeAll(async () => {
      for (const side of SIDES) written[side] = await session().sides[side]("encode", samples, jobs);
    }, ENCODE_TIMEOUT_MS);

    it.each(SIDES)("%s writes all that it can, and refuses the rest with advice", (side) => {
      const wrong = written[side].flatMap((result, index) => {
        const job = jobs[index]!;
        const refused = codecsAskedFor(job).find((id) => CANNOT_ENCODE[side].includes(id));
        const isRight = refused === undefined ? "frame" in result : isRefusal(result, "encode", refused);
        return isRight ? [] : [`${labelOf(corpus, job)}: ${textOf(result)}`];
      });
      expect(wrong).toEqual([]);
    });

    it.each(WAYS)("what $writer wrote is read by $reader", async ({ writer, reader }) => {
      const frames = framesOf(corpus, written[writer]!);
      const results = await session().sides[reader](
        "decode",
        frames.map(({ frame }) => frame),
      );
      expect(results.length).toBe(frames.length);
      const wrong = results.flatMap((result, index) => {
        const { frame, job, sha256 } = frames[index]!;
        const refused = stepsOf(frame).find((id) => CANNOT_DECODE[reader].includes(id));
        const isRight =
          refused === undefined
            ? "sha256" in result && result.sha256 === sha256
            : isRefusal(result, "decode", refused);
        return isRight ? [] : [`${labelOf(corpus, job)}: ${textOf(result)}`];
      });
      expect(wrong).toEqual([]);
    });

    it("a browser writes nothing that it cannot read", () => {
      const steps = stepsIn(corpus, written.Chromium);
      expect(CANNOT_DECODE.Chromium.filter((id) => steps.has(id))).toEqual([]);
    });

    if (corpusOf === singleCodecs || corpusOf === chains) {
      it("every codec is among what Node wrote", () => {
        expect([...stepsIn(corpus, written.Node)].sort()).toEqual(codecIds().sort());
      });
    }

    if (corpusOf === archives) {
      it("what only Node reads, and the slowest coder, are among what Node wrote", () => {
        const steps = stepsIn(corpus, written.Node);
        for (const id of ["brotli", "zstd", "context"]) expect(steps, name).toContain(id);
      });
    }
  });
});

/** The frames among what was written, with their jobs and the SHA-256 of what is in them, taken by Node itself. */
function framesOf(
  { samples, jobs }: Corpus,
  written: readonly (Written | Failure)[],
): { frame: string; job: Job; sha256: string }[] {
  const hashes = samples.map(({ hex }) => createHash("sha256").update(Buffer.from(hex, "hex")).digest("hex"));
  return written.flatMap((result, index) => {
    const job = jobs[index]!;
    return "frame" in result ? [{ frame: result.frame, job, sha256: hashes[job.sample]! }] : [];
  });
}

/** The codecs that a job names itself; what an automatic policy takes is its own choice. */
function codecsAskedFor({ coding }: Job): string[] {
  if ("codecs" in coding) return [...coding.codecs];
  return [...JSON.stringify(coding.policy).matchAll(/"(?:id|codec)":"(\w+)"|^"(\w+)"$/g)].map(
    (match) => (match[1] ?? match[2])!,
  );
}

/** The codecs of a frame, in the order of encoding. */
function stepsOf(frame: string): string[] {
  return readFrameHeader(fromHex(frame.slice(0, 512)), "frame").chain.map((code) => codecOfCode(code)!.id);
}

function stepsIn(corpus: Corpus, written: readonly (Written | Failure)[]): Set<string> {
  return new Set(framesOf(corpus, written).flatMap(({ frame }) => stepsOf(frame)));
}

function isRefusal(result: Written | Read | Failure, what: "encode" | "decode", codec: string): boolean {
  return (
    "tag" in result &&
    result.tag === "usage" &&
    result.message.startsWith(`a browser cannot ${what} ${codec};`)
  );
}

function labelOf({ samples }: Corpus, { sample, coding }: Job): string {
  return `${samples[sample]!.name} as ${samples[sample]!.dtype} by ${JSON.stringify(coding)}`;
}

function textOf(result: Written | Read | Failure): string {
  return "tag" in result ? `${result.tag}: ${result.message}` : JSON.stringify(result).slice(0, 200);
}
