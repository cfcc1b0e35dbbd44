/** Every example runs and prints what it promises. The demo is a step of its own in `pnpm test`. */
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";

const examples = join(import.meta.dirname, "..", "examples");
const names = readdirSync(examples).filter((name) => name.endsWith(".ts") && name !== "demo.ts");

it.each(names)("%s", (name) => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(examples, name)], {
    encoding: "utf8",
  });
  expect(stderr).toBe("");
  expect(status).toBe(0);
  // Ids, times and speeds differ from run to run; none of the examples prints any.
  expect(stdout).toMatchSnapshot();
});
