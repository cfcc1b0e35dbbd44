/** What the tests of ONNX share: planning with checks, all tensors of a file with their elements, what refuses a file. */
import type { DType } from "@tensorcask/codec";
import { expect } from "vitest";
import { checkPlan } from "../src/format/check-plan.ts";
import type { FormatPlan } from "../src/format/format.ts";
import { onnx } from "../src/format/onnx/plan.ts";
import { bufferSource, type Source } from "../src/model/plan.ts";
import { joined } from "./format-onnx-writer.ts";

/** A file in memory. */
export const source = (file: Uint8Array): Source => bufferSource("m.onnx", file);

/** Plans a file and checks what every plan must keep. */
export async function plan(file: Uint8Array): Promise<FormatPlan> {
  const found = await onnx.plan(source(file));
  checkPlan("m.onnx", file.length, found.parts, found.derived);
  return found;
}

export interface Found {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly data: Uint8Array;
  readonly derived: boolean;
}

/** All tensors of a file with their elements. */
export async function tensors(file: Uint8Array): Promise<Map<string, Found>> {
  const { parts, derived = [] } = await plan(file);
  const found = new Map<string, Found>();
  for (const part of parts) {
    if (part.kind === "literal") continue;
    const data = file.slice(part.offset, part.offset + part.bytes);
    found.set(part.name, { dtype: part.dtype, shape: part.shape, data, derived: false });
  }
  for (const tensor of derived) {
    const pieces: Uint8Array[] = [];
    for await (const piece of tensor.elements(source(file))) pieces.push(piece.slice());
    found.set(tensor.name, {
      dtype: tensor.dtype,
      shape: tensor.shape,
      data: joined(...pieces),
      derived: true,
    });
  }
  return found;
}

/** Names of all tensors: parts first. */
export const names = async (file: Uint8Array): Promise<string[]> => [...(await tensors(file)).keys()];

/** The rule that refuses a file, with where and what the error says. */
export async function refusal(file: Uint8Array): Promise<{ rule: string; message: string }> {
  try {
    await tensors(file);
  } catch (error) {
    const { tag, rule, message } = error as { tag: string; rule: string; message: string };
    expect(tag, String(error)).toBe("invalid-file");
    return { rule, message };
  }
  return { rule: "none", message: "" };
}
