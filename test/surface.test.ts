/** The public names of every package, snapshotted: a name that appears, goes or is misspelt shows up in a diff. */
import { describe, expect, it } from "vitest";

describe.each(["kernels", "codec", "core", "stats"])("public names of @tensorcask/%s", (name) => {
  it("are those of the snapshot", async () => {
    const exports = (await import(`@tensorcask/${name}`)) as object;
    expect(Object.keys(exports).sort()).toMatchSnapshot();
  });
});
