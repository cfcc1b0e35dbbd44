import { readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";

import { decodeBlock, decodeDifference, kernelsReady } from "../src/index.ts";
import * as reference from "../src/reference.ts";
import { expectSameBytes } from "./buffers.ts";
import { contents, differences } from "./golden.ts";

beforeAll(kernelsReady);

// Blocks of every method and stream mode, as they were written when the format was fixed. They must decode for ever; encoders may
// find better ones.
const blocks = read("golden-blocks.json");
const differenceBlocks = read("golden-differences.json");

function read(file: string): Record<string, string> {
  return JSON.parse(readFileSync(join(import.meta.dirname, file), "utf8")) as Record<string, string>;
}

describe("golden blocks", () => {
  test.each(Object.entries(blocks))("%s decodes", (name, base64) => {
    const block = new Uint8Array(Buffer.from(base64, "base64"));
    const { bytes } = contents[name.split(",")[0]!]!;
    const out = new Uint8Array(bytes.length);
    decodeBlock(block, out);
    expectSameBytes(out, bytes, "kernel");
    expectSameBytes(reference.decodeBlock(block, bytes.length), bytes, "reference");
  });

  test("cover every method", () => {
    const methods = Object.values(blocks).map((base64) => Buffer.from(base64, "base64")[0]);
    expect([...new Set(methods)].sort()).toEqual([0, 1, 2, 3, 4]);
  });
});

describe("golden differences", () => {
  test.each(Object.entries(differenceBlocks))("%s decodes", (name, base64) => {
    const block = new Uint8Array(Buffer.from(base64, "base64"));
    const { layout, sibling, bytes } = differences[name.split(",")[0]!]!;
    const out = new Uint8Array(bytes.length);
    decodeDifference(block, sibling, layout, out);
    expectSameBytes(out, bytes, "kernel");
    expectSameBytes(reference.decodeDifference(block, sibling, layout), bytes, "reference");
  });

  test("cover every method, and every precision of both widths", () => {
    const kinds = Object.entries(differenceBlocks).map(([name, base64]) => {
      const [method, precision] = Buffer.from(base64, "base64");
      return method === 0
        ? "equal"
        : `${differences[name.split(",")[0]!]!.layout.elementBytes} bytes, ${precision}`;
    });
    expect([...new Set(kinds)].sort()).toEqual(["2 bytes, 2", "2 bytes, 3", "4 bytes, 2", "equal"]);
  });
});
