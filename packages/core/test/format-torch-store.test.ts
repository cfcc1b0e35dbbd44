/** Checkpoints of PyTorch and numpy files of objects in a store: the files come back bit by bit, the tensors by name. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import {
  array,
  bytes,
  checkpoint,
  decode,
  fixtures,
  floats,
  storage,
  tensor,
} from "./format-pickle-cases.ts";
import { kinds, newStore, temporaryDirectory } from "./store-harness.ts";

const files: Readonly<Record<string, Uint8Array>> = {
  "zip.pt": decode(fixtures.torch.zip),
  "legacy.pth": decode(fixtures.torch.legacy),
  "script.pt": decode(fixtures.torch.script),
  "deflated.ckpt": decode(fixtures.zip.deflated),
  "objects.npy": decode(fixtures.npy),
  "big.pt": checkpoint(
    {
      x: tensor(storage("FloatStorage", "0", 4), 0, [2, 2], [1, 2]),
      y: array(">i2", [2], bytes(new Uint8Array([1, 2, 3, 4]))),
    },
    { 0: new Uint8Array(floats(1, 2, 3, 4).buffer).map((_, index, all) => all[index ^ 3]!) },
    [{ name: "model/byteorder", data: Buffer.from("big") }],
  ),
};

describe.each(kinds)("checkpoints (%s)", (kind) => {
  test("come back bit by bit, and their tensors are read by name", async () => {
    const folder = temporaryDirectory();
    for (const [name, file] of Object.entries(files)) writeFileSync(join(folder, name), file);
    const store = await newStore(kind);
    await store.importFile(folder, { dataset: "m" });
    const out = temporaryDirectory();
    await store.exportDataset("m", out);
    for (const [name, file] of Object.entries(files)) {
      expect(new Uint8Array(readFileSync(join(out, name))), name).toEqual(file);
    }

    const dataset = (await store.dataset("m"))!;
    const read = async (address: string): Promise<unknown> => [
      ...((await dataset.get(address))!.data as Float32Array),
    ];
    expect(await read("zip.pt#state_dict.turned")).toEqual([0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11]);
    expect(await read("legacy.pth#state_dict.even")).toEqual([0, 2, 4, 6, 8, 10]);
    expect(await read("script.pt#l.bias")).toEqual([9, 8]);
    expect(await read("deflated.ckpt#state_dict.a.rest")).toEqual([6, 9, 7, 10, 8, 11]);
    expect(await read("objects.npy#conv.w")).toEqual([0, 1, 2, 3, 4, 5]);
    expect(await read("big.pt#x")).toEqual([1, 3, 2, 4]);
    expect(await read("big.pt#y")).toEqual([0x102, 0x304]);
    expect((await store.verify()).problems).toEqual([]);
  });
});
