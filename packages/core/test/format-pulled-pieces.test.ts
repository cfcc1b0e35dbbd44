import { describe, expect, it } from "vitest";
import { pulledPieces } from "../src/format/pulled-pieces.ts";

const u8 = (...bytes: number[]): Uint8Array => Uint8Array.from(bytes);

describe("pulled pieces", () => {
  it("come one by one, each visit as long as its piece is in use", async () => {
    const log: string[] = [];
    const pieces = pulledPieces(async (visit) => {
      for (const byte of [1, 2, 3]) {
        await visit(u8(byte));
        log.push(`visited ${byte}`);
      }
    });
    for await (const [byte] of pieces) {
      log.push(`got ${byte}`);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    expect(log).toEqual(["got 1", "visited 1", "got 2", "visited 2", "got 3", "visited 3"]);
  });

  it("may be none", async () => {
    for await (const piece of pulledPieces(async () => undefined)) throw new Error(`got ${piece}`);
  });

  it("end with the error of what pushes them", async () => {
    const pieces = pulledPieces(async (visit) => {
      await visit(u8(1));
      throw new Error("broken");
    });
    expect((await pieces.next()).value).toEqual(u8(1));
    await expect(pieces.next()).rejects.toThrow("broken");
    const atOnce = pulledPieces(async () => {
      throw new Error("at once");
    });
    await expect(atOnce.next()).rejects.toThrow("at once");
  });

  it("that nobody takes any more end the push, which is waited for", async () => {
    let visits = 0;
    let isOver = false;
    for await (const piece of pulledPieces(async (visit) => {
      try {
        for (;;) {
          visits++;
          await visit(u8(1));
        }
      } finally {
        await new Promise((resolve) => setTimeout(resolve, 5));
        isOver = true;
      }
    })) {
      expect(piece).toEqual(u8(1));
      break;
    }
    expect({ visits, isOver }).toEqual({ visits: 2, isOver: true });
  });
});
