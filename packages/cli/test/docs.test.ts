import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { commands } from "../src/registry.ts";

describe("docs/cli.md", () => {
  it("has a section with an example for every command, in the order of --help, and no other", async () => {
    const text = await readFile(join(import.meta.dirname, "../../../docs/cli.md"), "utf8");
    const sections = text.split("\n### ").slice(1);
    expect(sections.map((section) => section.split("\n")[0])).toEqual(commands.map(({ name }) => name));
    for (const section of sections) {
      const name = section.split("\n")[0];
      expect(section).toContain(`\n$ tensorcask ${name}`);
    }
  });
});
