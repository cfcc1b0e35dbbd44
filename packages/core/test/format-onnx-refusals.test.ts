import { describe, expect, it } from "vitest";
import { MAX_TENSOR_MESSAGES } from "../src/format/onnx/found-tensors.ts";
import { refusal } from "./format-onnx-cases.ts";
import {
  attribute,
  type Bytes,
  bytesTensor,
  dataType,
  dims,
  entry,
  graph,
  graphModel,
  initializer,
  int,
  joined,
  len,
  model,
  name,
  node,
  raw,
  repeated,
  tag,
  varint,
} from "./format-onnx-writer.ts";

describe("refusals", () => {
  const tensor = (...fields: Bytes[]): Bytes => graphModel(initializer(name("t"), ...fields));
  const nested = (depth: number): Bytes => {
    let inner: Bytes = node();
    for (let level = 0; level < depth; level++) inner = node(attribute("g", len(6, inner)));
    return graphModel(inner);
  };
  const cases: Record<string, readonly [rule: string, file: Bytes]> = {
    "an empty file": ["no-graph", new Uint8Array()],
    "a file without a graph": ["no-graph", model(len(2, "x"))],
    "a Git LFS pointer": [
      "lfs-pointer",
      new TextEncoder().encode("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n"),
    ],
    "a length beyond the file": ["truncated", graphModel(...bytesTensor(1)).slice(0, -1)],
    "a length beyond its message": [
      "truncated",
      graphModel(joined(tag(5, 2), varint(3)), bytesTensor(1)[0]!),
    ],
    "a length of 2^63": ["truncated", joined(tag(7, 2), varint(1n << 63n))],
    "a varint at the end of the file": ["truncated", Uint8Array.of(0x08, 0x80)],
    "a varint at the end of its message": [
      "truncated",
      joined(len(7, [Uint8Array.of(0x08, 0x80)]), int(1, 1)),
    ],
    "a varint of 11 bytes": ["varint", joined(tag(1, 0), new Uint8Array(10).fill(0x80), Uint8Array.of(0))],
    "four bytes cut off": ["truncated", joined(tag(9, 5), new Uint8Array(3))],
    "eight bytes cut off": ["truncated", joined(tag(9, 1), new Uint8Array(7))],
    "the start of a group": ["wire-type", graphModel(tag(9, 3))],
    "the end of a group": ["wire-type", graphModel(tag(9, 4))],
    "wire type 7": ["wire-type", graphModel(tag(9, 7), new Uint8Array(9))],
    "field number 0": ["field-number", graphModel(int(0, 1))],
    "field number 2^29": ["field-number", graphModel(int(2 ** 29, 1))],
    "messages 10,000 deep": ["nesting", nested(10_000)],
    "a negative length of an axis": ["dims", tensor(dims(-1), dataType(2), raw([1]))],
    "a length over 2^53": ["dims", tensor(dims(1n << 53n), dataType(2), raw([1]))],
    "more elements than can be": ["dims", tensor(dims(1n << 40n, 1n << 40n), dataType(2), raw([1]))],
    "more bytes than can be": ["dims", tensor(dims(1n << 52n), dataType(11), raw([1]))],
    "1,025 axes": ["rank-limit", tensor(dims(...new Array(1025).fill(1)), dataType(2), raw([1]))],
    "too little raw_data": ["size-mismatch", tensor(dims(2), dataType(2), raw([1]))],
    "too much raw_data": ["size-mismatch", tensor(dims(2), dataType(22), raw([1, 2]))],
    "too little float_data": ["size-mismatch", tensor(dims(2), dataType(1), len(4, new Uint8Array(4)))],
    "float_data of 5 bytes": ["packed", tensor(dims(1), dataType(1), len(4, new Uint8Array(5)))],
    "too little int64_data": ["size-mismatch", tensor(dims(2), dataType(7), len(7, [varint(1)]))],
    "far too much int64_data": ["size-mismatch", tensor(dims(1), dataType(7), len(7, new Uint8Array(11)))],
    "one number too many": [
      "size-mismatch",
      tensor(dims(2), dataType(7), len(7, [varint(1), varint(2), varint(3)])),
    ],
    "one number too few": ["size-mismatch", tensor(dims(2), dataType(7), len(7, [varint(300)]))],
    "a packed number cut off": [
      "truncated",
      tensor(dims(2), dataType(7), len(7, [varint(1), Uint8Array.of(0x80)])),
    ],
    "a packed number of 11 bytes": [
      "varint",
      tensor(dims(2), dataType(7), len(7, [new Uint8Array(10).fill(0x80), varint(1)])),
    ],
    "300 as an int8": ["value-range", tensor(dims(1), dataType(3), len(5, [varint(300)]))],
    "70,000 as a float16": ["value-range", tensor(dims(1), dataType(10), len(5, [varint(70_000)]))],
    "2^32 as a uint32": ["value-range", tensor(dims(1), dataType(12), len(11, [varint(1n << 32n)]))],
    "no data": ["data-missing", tensor(dims(1), dataType(2))],
    "raw_data and int32_data": ["data-twice", tensor(...bytesTensor(1), len(5, [varint(1)]))],
    "raw_data and another file": [
      "data-twice",
      tensor(...bytesTensor(1), int(14, 1), entry(13, "location", "w")),
    ],
    "floats in double_data": ["data-field", tensor(dims(1), dataType(1), len(10, new Uint8Array(8)))],
    "elements without a type": ["data-type", tensor(dims(1), raw([1]))],
  };

  it.each(Object.entries(cases))("%s", async (_, [rule, file]) => {
    const found = await refusal(file);
    expect(found.rule).toBe(rule);
    if (!["no-graph", "lfs-pointer"].includes(rule)) expect(found.message).toMatch(/tensor "t"|at byte \d+/);
  });

  it("name the byte", async () => {
    const { message } = await refusal(joined(int(1, 8), tag(7, 2), varint(100), new Uint8Array(3)));
    expect(message).toContain(
      "at byte 3: field 7 would have 100 bytes, but the message that it belongs to ends at 7",
    );
  });

  it("nest as deep as protobuf does, not deeper", async () => {
    // The graph, then three messages a level, then a node.
    expect((await refusal(nested(32))).rule).toBe("none");
    expect((await refusal(nested(33))).rule).toBe("nesting");
  });

  it("end after so many tensors", async () => {
    const { rule } = await refusal(graphModel(repeated(initializer(), MAX_TENSOR_MESSAGES + 1)));
    expect(rule).toBe("count");
  });

  it("every truncation of a file is refused, or ends between its fields", async () => {
    const file = model(
      len(2, "x"),
      graph(initializer(name("a"), ...bytesTensor(1, 2, 3)), node(attribute("v", len(5, bytesTensor(7))))),
    );
    for (let bytes = 0; bytes < file.length; bytes++) {
      expect((await refusal(file.slice(0, bytes))).rule).toMatch(/^(truncated|no-graph)$/);
    }
  });
});
