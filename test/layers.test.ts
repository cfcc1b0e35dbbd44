/**
 * The layers of docs/architecture.md, checked: a file imports its own folder or a lower one, packages import only those below them, and the parts that
 * must not know each other do not.
 */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { describe, expect, it } from "vitest";

const packages = join(import.meta.dirname, "..", "packages");

/** Packages whose folders have no order among themselves: kernels and their references share constants, commands share the program. */
const unordered: ReadonlySet<string> = new Set(["kernels", "cli"]);

/** Lowest first; folders in one list do not know each other. `index.ts` is on top, `platform` is reached by `#platform` only. */
const layers: Record<string, readonly (readonly string[])[]> = {
  kernels: [[".", "load", "entropy", "sibling", "reference"]],
  codec: [
    ["errors"],
    ["platform"],
    ["bytes"],
    ["tensor"],
    ["quantize"],
    ["codec"],
    ["chunk"],
    ["frame"],
    ["preset"],
    ["."],
  ],
  core: [
    ["files"],
    ["model"],
    ["pack", "journal", "catalog"],
    ["workers"],
    ["store"],
    ["format"],
    ["stream"],
    ["."],
  ],
  stats: [["."]],
  cli: [[".", "commands"]],
};

/** Packages that a package may import. */
const packagesBelow: Record<string, readonly string[]> = {
  kernels: [],
  codec: ["kernels"],
  core: ["codec"],
  stats: ["codec", "core"],
  cli: ["codec", "core", "stats", "samples"],
};

function sources(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(".ts") && !entry.name.endsWith(".d.ts"))
    .map((entry) => join(entry.parentPath, entry.name));
}

function importsOf(file: string): string[] {
  const text = readFileSync(file, "utf8");
  const statement =
    /(?:^|\n)(?:import|export)\s[^;"']*?\sfrom\s+["']([^"']+)["']|(?:^|\n)import\s+["']([^"']+)["']|\bimport\(\s*["']([^"']+)["']/g;
  return [...text.matchAll(statement)].map((match) => (match[1] ?? match[2] ?? match[3])!);
}

function folderOf(source: string, file: string): string {
  const folder = relative(source, dirname(file)).split("/")[0]!;
  return folder === "" ? "." : folder;
}

describe.each(Object.keys(layers))("package %s", (name) => {
  const source = join(packages, name, "src");
  const order = layers[name]!;
  const levelOf = (folder: string): number => order.findIndex((level) => level.includes(folder));
  const files = sources(source);

  it("has only known folders", () => {
    const unknown = new Set(
      files.map((file) => folderOf(source, file)).filter((folder) => levelOf(folder) < 0),
    );
    expect([...unknown]).toEqual([]);
  });

  it.skipIf(unordered.has(name))("imports its own folder or a lower one", () => {
    const wrong: string[] = [];
    for (const file of files) {
      const folder = folderOf(source, file);
      for (const target of importsOf(file).filter((specifier) => specifier.startsWith("."))) {
        const other = folderOf(source, resolve(dirname(file), target));
        if (other !== folder && levelOf(other) >= levelOf(folder))
          wrong.push(`${relative(packages, file)} imports ${target}`);
      }
    }
    expect(wrong).toEqual([]);
  });

  it("imports only packages below it", () => {
    const wrong: string[] = [];
    for (const file of files) {
      for (const target of importsOf(file)) {
        const match = /^@tensorcask\/([a-z]+)(.*)$/.exec(target);
        if (match === null) continue;
        const known = packagesBelow[name]!.includes(match[1]!);
        if (!known || (match[2] !== "" && match[2] !== "/reference"))
          wrong.push(`${relative(packages, file)} imports ${target}`);
      }
    }
    expect(wrong).toEqual([]);
  });
});

describe("streams", () => {
  it("need workers and formats, but no store", () => {
    const source = join(packages, "core", "src");
    const known = ["model", "workers", "format", "stream"];
    const wrong: string[] = [];
    for (const file of sources(join(source, "stream"))) {
      for (const target of importsOf(file).filter((specifier) => specifier.startsWith("."))) {
        const folder = folderOf(source, resolve(dirname(file), target));
        if (!known.includes(folder)) wrong.push(`${relative(packages, file)} imports ${target}`);
      }
    }
    expect(wrong).toEqual([]);
  });
});

describe("what browsers run", () => {
  it("reaches Node only through the platform files", () => {
    const wrong: string[] = [];
    for (const name of ["kernels", "codec"]) {
      const source = join(packages, name, "src");
      for (const file of sources(source)) {
        if (/(^|\/)(platform\/node|load-node|load\/node)\b/.test(relative(source, file))) continue;
        for (const target of importsOf(file))
          if (target.startsWith("node:")) wrong.push(`${relative(packages, file)} imports ${target}`);
      }
    }
    expect(wrong).toEqual([]);
  });
});
