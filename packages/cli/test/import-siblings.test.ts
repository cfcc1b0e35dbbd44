/** `import` and what it stores as differences. */
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { data, type Workplace, workplace } from "./workplace.ts";

let place: Workplace;

beforeAll(async () => {
  place = await workplace();
  (await place.inside("import", join(data, "base"), "--dataset", "base")).checked();
});

afterAll(() => place.remove());

const tuned = join(data, "ft-full");

it("says what was stored as differences, and what that takes", async () => {
  const { stdout } = (await place.inside("import", tuned, "--dataset", "tuned")).checked();
  expect(stdout).toMatch(
    /\n {2}differences {2}1\.77 MB in \d+ kB \(30 chunks\), as differences to tensors that are alike\n/,
  );
  (await place.inside("verify", "tuned", "--against", tuned)).checked();
});

it("--no-siblings stores everything by itself", async () => {
  await place.inside("rm", "tuned");
  await place.inside("gc");
  const plain = (
    await place.inside("import", tuned, "--dataset", "plain", "--no-siblings", "--json")
  ).checked();
  expect(plain.json).toMatchObject({ chunksAsDifferences: 0, differenceRawBytes: 0, differenceBytes: 0 });
});

it("--parent names a dataset, which must be there", async () => {
  const lora = join(data, "ft-lora-merged");
  const missing = await place.inside("import", lora, "--dataset", "lora", "--parent", "nobody");
  expect(missing.status).toBe(1);
  expect(missing.stderr).toContain("nobody");
  const { json } = (
    await place.inside("import", lora, "--dataset", "lora", "--parent", "base", "--json")
  ).checked();
  expect(json).toMatchObject({ chunksAsDifferences: 8 });
});
