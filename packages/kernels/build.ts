/**
 * Builds the kernels: each module of `assembly/` becomes a file of `wasm/`. The results are committed, so that sources run
 * without a build; a test calls `buildModule` and compares. Run by `pnpm build:kernels`.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import asc from "assemblyscript/asc";

/** A module to build: its name in `wasm/`, its source in `assembly/`, and the pages of 64 KiB that its memory map needs. */
interface ModuleRecipe {
  readonly name: string;
  readonly source: string;
  readonly pages: number;
  /** Whether relaxed SIMD may be used (see assembly/relaxed.ts). */
  readonly relaxed?: boolean;
}

/** All modules. Memories never grow: a page count is the end of the map drawn at the top of the source, rounded up. */
export const recipes: readonly ModuleRecipe[] = [
  { name: "planes", source: "planes", pages: 5 },
  { name: "gear", source: "gear", pages: 5 },
  { name: "convert", source: "convert", pages: 4 },
  { name: "quantize", source: "quantize", pages: 5 },
  { name: "entropy", source: "entropy", pages: 65 },
  { name: "entropy-relaxed", source: "entropy", pages: 65, relaxed: true },
  { name: "sibling", source: "sibling", pages: 53 },
  { name: "sibling-relaxed", source: "sibling", pages: 53, relaxed: true },
];

const folder = import.meta.dirname;

/** Compiles one module and returns its bytes; throws with the compiler's messages. */
export async function buildModule(recipe: ModuleRecipe): Promise<Uint8Array> {
  let built: Uint8Array | undefined;
  const { error, stderr } = await asc.main(
    [
      `assembly/${recipe.source}.ts`,
      "--baseDir",
      folder,
      "--outFile",
      "out.wasm",
      "-O3",
      "--enable",
      "simd",
      "--runtime",
      "stub",
      "--use",
      "abort=",
      "--initialMemory",
      String(recipe.pages),
      "--maximumMemory",
      String(recipe.pages),
      ...(recipe.relaxed ? ["--enable", "relaxed-simd"] : []),
    ],
    {
      readFile: (name, base) => {
        try {
          return readFileSync(join(base, name), "utf8");
        } catch {
          return null;
        }
      },
      writeFile: (name, contents) => {
        if (name === "out.wasm" && typeof contents !== "string") built = contents;
      },
    },
  );
  if (error !== null || built === undefined)
    throw new Error(`${recipe.name}: ${error}\n${stderr.toString()}`);
  return built;
}

if (import.meta.main) {
  mkdirSync(join(folder, "wasm"), { recursive: true });
  for (const recipe of recipes) {
    const bytes = await buildModule(recipe);
    writeFileSync(join(folder, "wasm", `${recipe.name}.wasm`), bytes);
    console.log(`${recipe.name}.wasm ${bytes.length} bytes`);
  }
}
