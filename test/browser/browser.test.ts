/** What a browser computes besides frames, held against Node: damage found, quantizers, hashes and ids, kernels; and how it is loaded. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { codecIds, damagedSamples, hashedBytes, kernelInputs, tensors } from "./samples.ts";
import { CANNOT_DECODE, describeInBrowser, SIDES } from "./session.ts";
import type { Damage } from "./suite.ts";

const kernelsFolder = join(import.meta.dirname, "../../packages/kernels/wasm");

describeInBrowser("a browser", (session) => {
  describe("loads", () => {
    it("the parts for browsers, and nothing of Node", () => {
      const { modules, warnings } = session().bundle;
      const names = modules.join("\n");
      expect(names).toContain("/src/platform/portable.ts");
      expect(names).toContain("/src/load/portable.ts");
      expect(
        modules.filter((name) => /platform\/node|load\/node|lz4-napi|browser-external/.test(name)),
      ).toEqual([]);
      expect(warnings).toEqual([]);
    });

    it("each kernel once, by fetching it", () => {
      expect(kernelsAmong(session().site.requests)).toEqual([
        "convert",
        "entropy-relaxed",
        "gear",
        "planes",
        "quantize",
        "sibling-relaxed",
      ]);
    });

    it("again after a request that failed", async () => {
      const { site, openPage } = session();
      const path = site.requests.find((request) => request.includes("/planes-"))!;
      site.failing.set(path, 503);
      const page = await openPage();
      await expect(page("load")).rejects.toThrow(/kernels could not be loaded/);
      await page("load");
      expect(await page("kernels", kernelInputs().slice(0, 2))).toEqual(
        await session().sides.Node("kernels", kernelInputs().slice(0, 2)),
      );
    });

    it("the other build of a kernel where there is no relaxed SIMD, with the same results", async () => {
      const { site, openPage, sides } = session();
      const before = site.requests.length;
      const relaxedBytes = readFileSync(join(kernelsFolder, "entropy-relaxed.wasm")).length;
      const page = await openPage((prepared) => prepared.addInitScript(refuseModuleOf, relaxedBytes));
      await page("load");
      expect(kernelsAmong(site.requests.slice(before))).toContain("entropy");
      expect(await page("kernels", kernelInputs())).toEqual(await sides.Node("kernels", kernelInputs()));
    });
  });

  describe("kernels", () => {
    it.each(SIDES)("in %s compute what their references do", async (side) => {
      const runs = await session().sides[side]("kernels", kernelInputs());
      expect(new Set(runs.map((run) => run.kernel))).toEqual(
        new Set(await session().sides[side]("referenceNames")),
      );
      expect(runs.filter((run) => run.kernelDigest !== run.referenceDigest)).toEqual([]);
    });

    it("give the same bytes on both sides", async () => {
      const { Node, Chromium } = session().sides;
      expect(await Chromium("kernels", kernelInputs())).toEqual(await Node("kernels", kernelInputs()));
    });
  });

  it("computes the same hashes, checksums, chunk ids, keys and cuts, over shared memory, too", async () => {
    const { Node, Chromium } = session().sides;
    const inputs = hashedBytes();
    const found = await Chromium("identities", inputs);
    for (const [index, hex] of inputs.entries()) {
      const sha256 = createHash("sha256").update(Buffer.from(hex, "hex")).digest("hex");
      const { sha256InPieces, sha256OfSharedMemory } = found[index]!;
      expect([found[index]!.sha256, sha256InPieces, sha256OfSharedMemory]).toEqual([sha256, sha256, sha256]);
    }
    expect(found).toEqual(await Node("identities", inputs));
    expect(found.at(-1)!.cuts.length).toBeGreaterThan(3);
    expect(found.at(-1)!.chunkIds.length).toBeGreaterThan(3);
  });

  it("quantizes to the same bits and decodes them to the same", async () => {
    const { Node, Chromium } = session().sides;
    const expected = await Node("quantize", tensors());
    const found = await Chromium("quantize", tensors());
    expect(found.map(({ error: _, ...bits }) => bits)).toEqual(expected.map(({ error: _, ...bits }) => bits));
    for (const [index, { error }] of expected.entries()) {
      // A logarithm may differ in its last bit between engines.
      const { snrDb = null, ...others } = error ?? {};
      const { snrDb: foundDb = null, ...foundOthers } = found[index]!.error ?? {};
      expect(foundOthers).toEqual(others);
      if (snrDb === null) expect(foundDb).toBeNull();
      else expect(foundDb).toBeCloseTo(snrDb, 9);
    }
    expect(expected.filter((one) => one.values !== undefined).length).toBeGreaterThan(20);
    expect(expected.filter((one) => one.refused !== undefined).length).toBeGreaterThan(3);
  });

  describe.each(codecIds())("frames of %s", (id) => {
    const samples = damagedSamples();
    let frames: readonly string[];

    beforeAll(async () => {
      const jobs = samples.map((_, sample) => ({ sample, coding: { codecs: [id] } }));
      const written = await session().sides.Node("encode", samples, jobs);
      frames = written.flatMap((result) => ("frame" in result ? [result.frame] : []));
      expect(frames.length).toBe(samples.length);
    });

    it.each(SIDES)("with a byte changed anywhere are damage in %s", async (side) => {
      for (const frame of frames) {
        const damages = await session().sides[side]("damage", frame);
        expect(damages.length).toBeGreaterThan(30);
        expect(damages.filter(({ outcome }) => tagOf(outcome) !== "damage")).toEqual([]);
      }
    });

    it.each(SIDES)("with a changed payload never give other bytes in %s", async (side) => {
      const isReadable = !CANNOT_DECODE[side].includes(id);
      for (const frame of frames) {
        const damages = await session().sides[side]("damagePayload", frame);
        const allowed = isReadable ? ["damage", "intact"] : ["usage"];
        expect(damages.filter(({ outcome }) => !allowed.includes(tagOf(outcome)))).toEqual([]);
        expect(damages.map(({ outcome }) => tagOf(outcome))).toContain(allowed[0]);
      }
    });

    it("are read from shared memory, or refused with advice", async () => {
      for (const result of await session().sides.Chromium("decode", frames, true)) {
        if (CANNOT_DECODE.Chromium.includes(id)) {
          expect(result).toMatchObject({
            tag: "usage",
            message: `a browser cannot decode ${id}; let the server decode, or store with zstd`,
          });
        } else expect(result).toHaveProperty("sha256");
      }
    });
  });

  it.each(SIDES)("zstd with a dictionary is refused by name in %s", async (side) => {
    // A single segment of one byte, "A", in a raw block; the second one names dictionary 7.
    const plain = "28b52ffd2001090000" + "41";
    const withDictionary = "28b52ffd210701090000" + "41";
    expect(await session().sides[side]("decodePayload", "zstd", plain, 1)).toBe("41");
    expect(await session().sides[side]("decodePayload", "zstd", withDictionary, 1)).toMatchObject({
      tag: "damage",
      message: expect.stringContaining("frames with a dictionary are not supported"),
    });
  });
});

/** Runs in the page: modules of this length do not compile, as where an instruction is unknown. */
function refuseModuleOf(bytes: number): void {
  const instantiate = WebAssembly.instantiate;
  WebAssembly.instantiate = ((source: ArrayBufferView, imports: WebAssembly.Imports) =>
    source.byteLength === bytes
      ? Promise.reject(new WebAssembly.CompileError("relaxed SIMD is not known here"))
      : instantiate(source as never, imports)) as never;
}

/** The kernels that were asked for, by the names that they were built under, sorted. */
function kernelsAmong(requests: readonly string[]): string[] {
  return requests.flatMap((path) => /\/([a-z-]+)-[\w-]{8}\.wasm$/.exec(path)?.[1] ?? []).sort();
}

function tagOf(outcome: Damage["outcome"]): string {
  return outcome === "intact" ? outcome : outcome.tag;
}
