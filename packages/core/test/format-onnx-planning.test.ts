import { describe, expect, it } from "vitest";
import { onnx } from "../src/format/onnx/plan.ts";
import { formatOf } from "../src/format/registry.ts";
import type { Source } from "../src/model/plan.ts";
import {
  type Bytes,
  dataType,
  dims,
  graphModel,
  int,
  joined,
  len,
  name,
  node,
  tag,
  varint,
} from "./format-onnx-writer.ts";

describe("planning", () => {
  it("claims by the extension only", () => {
    expect(formatOf("m.onnx", new Uint8Array())).toMatchObject({ format: { id: "onnx" }, claim: "name" });
    expect(formatOf("M.ONNX", new Uint8Array()).format.id).toBe("onnx");
    for (const other of ["onnx", "m.onnx_data", "m.onnx.data", "m.pb"]) {
      expect(formatOf(other, graphModel()).format.id).toBe("opaque");
    }
  });

  it("reads kilobytes of a model of 2 GB", async () => {
    const weight = 8 * 2 ** 20;
    // What lies between the weights; the weights themselves are not there.
    const pieces: { readonly at: number; readonly bytes: Bytes }[] = [];
    const heads = Array.from({ length: 256 }, (_, index) =>
      joined(dims(weight / 4), dataType(1), name(`layers.${index}.weight`), tag(9, 2), varint(weight)),
    );
    const nodes = joined(
      ...Array.from({ length: 1000 }, (_, index) =>
        node(len(1, `in.${index}`), len(2, `out.${index}`), len(4, "MatMul")),
      ),
    );
    const tensorHeads = heads.map((head) => joined(tag(5, 2), varint(head.length + weight), head));
    const graphBytes = nodes.length + tensorHeads.reduce((bytes, head) => bytes + head.length + weight, 0);
    let at = 0;
    const put = (bytes: Bytes): void => {
      pieces.push({ at, bytes });
      at += bytes.length;
    };
    put(joined(int(1, 8), tag(7, 2), varint(graphBytes), nodes));
    for (const head of tensorHeads) {
      put(head);
      at += weight;
    }
    const fileBytes = at;
    expect(fileBytes).toBeGreaterThan(2 ** 31);
    let read = 0;
    const sparse: Source = {
      name: "large.onnx",
      bytes: fileBytes,
      async read(into, position) {
        read += into.length;
        into.fill(0xa5);
        for (const piece of pieces) {
          const from = Math.max(piece.at, position);
          const to = Math.min(piece.at + piece.bytes.length, position + into.length);
          if (from < to) into.set(piece.bytes.subarray(from - piece.at, to - piece.at), from - position);
        }
      },
    };
    const { parts } = await onnx.plan(sparse);
    expect(parts.filter(({ kind }) => kind === "tensor").length).toBe(256);
    expect(parts.at(-1)).toMatchObject({
      name: "layers.255.weight",
      offset: fileBytes - weight,
      bytes: weight,
    });
    expect(read).toBeLessThan(256 * 1024);
  });
});
