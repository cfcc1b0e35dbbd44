import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";

import { joinPlanes, kernelsReady, type PlaneElementBytes, splitPlanes } from "../src/index.ts";
import * as reference from "../src/reference.ts";
import { expectSameBytes, hostileCounts, place, randomBytes } from "./buffers.ts";

beforeAll(kernelsReady);

const widths: readonly PlaneElementBytes[] = [2, 4, 8];

describe("splitPlanes and joinPlanes", () => {
  test.each(widths)("agree with the reference at hostile sizes, %i bytes an element", (width) => {
    for (const count of hostileCounts) {
      if (count * width > 1_100_000) continue;
      const input = randomBytes(count * width, count + width, count % 5, count % 2 === 1);
      for (const rotate of [false, true]) {
        const planes = splitPlanes(input, width, rotate);
        if (count < 20_000) {
          expectSameBytes(planes, reference.splitPlanes(input, width, rotate), `split ${count}`);
          expectSameBytes(
            joinPlanes(input, width, rotate),
            reference.joinPlanes(input, width, rotate),
            `join ${count}`,
          );
        }
        expectSameBytes(joinPlanes(planes, width, rotate), input, `split and join ${count}`);
      }
    }
  });

  test("agree with the reference on any bytes", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 700 }),
        fc.constantFrom(...widths),
        fc.boolean(),
        fc.nat(15),
        (bytes, width, rotate, offset) => {
          const input = place(bytes.length - (bytes.length % width), offset, true);
          input.set(bytes.subarray(0, input.length));
          expectSameBytes(splitPlanes(input, width, rotate), reference.splitPlanes(input, width, rotate));
          expectSameBytes(joinPlanes(input, width, rotate), reference.joinPlanes(input, width, rotate));
        },
      ),
    );
  });

  test("put the exponent of bfloat16 and float32 into the top plane", () => {
    const bfloat16 = new Uint16Array([0x3f80, 0xbf80, 0x4040]);
    expect([...splitPlanes(new Uint8Array(bfloat16.buffer), 2, true)]).toEqual([
      0, 1, 0x80, 0x7f, 0x7f, 0x80,
    ]);
    const float32 = new Float32Array([1, -1]);
    expect([...splitPlanes(new Uint8Array(float32.buffer), 4, true)]).toEqual([0, 1, 0, 0, 0, 0, 0x7f, 0x7f]);
  });

  test("write into a given buffer, shared and unaligned too", () => {
    const input = randomBytes(1000 * 4, 1);
    const out = place(5000, 3, true);
    const planes = splitPlanes(input, 4, true, out);
    expect(planes.length).toBe(4000);
    expect(planes.buffer).toBe(out.buffer);
    expect(out.subarray(4000).every((byte) => byte === 0)).toBe(true);
    const back = place(4000, 1, true);
    expect(joinPlanes(planes, 4, true, back)).toBe(back);
    expectSameBytes(back, input);
  });

  test("refuse what does not fit", () => {
    expect(() => splitPlanes(new Uint8Array(7), 4, true)).toThrow(RangeError);
    expect(() => joinPlanes(new Uint8Array(9), 8, true)).toThrow(/no multiple of elementBytes 8/);
    expect(() => splitPlanes(new Uint8Array(6), 3 as PlaneElementBytes, true)).toThrow(
      /planes exist for 2, 4 and 8/,
    );
    expect(() => splitPlanes(new Uint8Array(8), 4, true, new Uint8Array(7))).toThrow(/out holds 7 bytes/);
  });
});
