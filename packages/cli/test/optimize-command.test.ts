/** `optimize`: what it says, and that a second run finds nothing. */
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { data, type Workplace, workplace } from "./workplace.ts";

let place: Workplace;

beforeAll(async () => {
  place = await workplace();
});

afterAll(() => place.remove());

it("has nothing to choose where nothing is related", async () => {
  (await place.inside("import", join(data, "ft-lora-merged"), "--dataset", "lora")).checked();
  expect((await place.inside("optimize")).checked().stdout).toBe(
    "No tensors resemble each other: nothing to choose\n",
  );
});

it("says what it gains, once", async () => {
  for (const name of ["ft-full", "base"])
    (await place.inside("import", join(data, name), "--dataset", name)).checked();
  const dry = (await place.inside("optimize", "--dry-run", "--json")).checked().json as {
    tensors: number;
    tensorsMoved: number;
    bytesBefore: number;
    bytesAfter: number;
  };
  expect(dry).toMatchObject({ dryRun: true });
  expect(dry.bytesAfter).toBeLessThan(0.99 * dry.bytesBefore);
  const { stdout } = (await place.inside("optimize")).checked();
  expect(stdout).toMatch(/^base, ft-full, lora: \d+ tensors, mostly around ft-full, \d+ kB -> \d+ kB\n/);
  expect(stdout).toContain(`\n${dry.tensorsMoved} of ${dry.tensors} related tensors coded anew: `);
  expect(stdout).toMatch(/\nThe old frames come back with the next tensorcask gc\n$/);
  (await place.inside("gc")).checked();
  expect((await place.inside("optimize", "base")).checked().stdout).toMatch(
    /^Nothing to gain: \d+ related tensors of .* are best as they are\n$/,
  );
  for (const name of ["ft-full", "base"])
    (await place.inside("verify", name, "--against", join(data, name))).checked();
});

it("names a dataset that is not there", async () => {
  const { status, stderr } = await place.inside("optimize", "nobody");
  expect(status).toBe(1);
  expect(stderr).toContain('no dataset "nobody"');
});
