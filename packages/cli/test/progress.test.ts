import { PassThrough } from "node:stream";
import { describe, expect, it } from "vitest";
import type { Sink } from "../src/host.ts";
import { progressLine, startProgress } from "../src/progress.ts";

describe("progressLine", () => {
  it("shows phase, bar, share, bytes, speed, time left and item", () => {
    expect(
      progressLine({ phase: "import", done: 5e6, total: 1e7, item: "model.safetensors", elapsedSeconds: 2 }),
    ).toBe("import  [========        ]   50 %  5.00 MB of 10.0 MB  2.50 MB/s  2 s left  model.safetensors");
  });

  it("only names a commit", () => {
    expect(progressLine({ phase: "commit", done: 0, total: 1, elapsedSeconds: 1 })).toBe("commit ...");
  });

  it("shows no share of a total that is not known", () => {
    expect(progressLine({ phase: "compress", done: 5e6, total: 0, item: "-", elapsedSeconds: 2 })).toBe(
      "compress  5.00 MB  2.50 MB/s  -",
    );
  });

  it("stands empty and over-full totals", () => {
    expect(progressLine({ phase: "gc", done: 0, total: 0, elapsedSeconds: 0 })).toContain("0 %  0 B of 0 B");
    expect(progressLine({ phase: "gc", done: 12, total: 10, elapsedSeconds: 1 })).toContain("100 %");
    const long = progressLine({
      phase: "plan",
      done: 1,
      total: 2,
      item: `${"x".repeat(100)}end`,
      elapsedSeconds: 0,
    });
    expect(long).toMatch(/ {2}\.\.\.x{26}end$/);
  });
});

describe("startProgress", () => {
  const sink = (isTerminal: boolean): Sink & { text: () => string } => {
    const stream = Object.assign(new PassThrough(), { isTTY: isTerminal, columns: 200 });
    let text = "";
    stream.on("data", (data) => {
      text += data;
    });
    return { isTerminal, stream, open: true, write: async () => {}, text: () => text };
  };

  it("shows nothing without a terminal, or when not wanted", async () => {
    expect(await startProgress(sink(false), true)).toBeUndefined();
    expect(await startProgress(sink(true), false)).toBeUndefined();
  });

  it("appears only when something takes a moment, and goes away at the end", async () => {
    const terminal = sink(true);
    const display = await startProgress(terminal, true);
    display?.report({ phase: "import", done: 1, total: 10 });
    expect(terminal.text()).toBe("");
    await new Promise((resolve) => setTimeout(resolve, 300));
    display?.report({ phase: "import", done: 5, total: 10, item: "a" });
    await new Promise((resolve) => setTimeout(resolve, 10));
    expect(terminal.text()).toContain("50 %");
    display?.stop();
    await new Promise((resolve) => setTimeout(resolve, 10));
    expect(terminal.text().endsWith("\u001b[2K") || terminal.text().includes("\u001b[0K")).toBe(true);
  });
});
