import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";

import { buildModule, recipes } from "../build.ts";

const wasm = join(import.meta.dirname, "../wasm");

describe("committed modules", () => {
  test.each(recipes.map((recipe) => [recipe.name, recipe] as const))(
    "%s.wasm is what its source builds to",
    async (_, recipe) => {
      const committed = readFileSync(join(wasm, `${recipe.name}.wasm`));
      const built = await buildModule(recipe);
      expect(Buffer.compare(committed, built), "run `pnpm build:kernels` and commit the result").toBe(0);
    },
  );

  test("there is no other one", () => {
    expect(readdirSync(wasm).sort()).toEqual(recipes.map((recipe) => `${recipe.name}.wasm`).sort());
  });
});
