/**
 * The format `onnx`: a protobuf message, read only as far as the way to its tensors goes. Tensors that are a byte
 * range of the file are parts, those in packed numbers are derived, those in other files are parts of these; every
 * other byte is literal and is never encoded anew, so that an export is the same file.
 *
 * Files are claimed by their extension only: protobuf has no magic, and what looks like a model may be anything.
 */
import { InvalidFileError } from "@tensorcask/codec";
import type { DerivedTensor } from "../../model/plan.ts";
import { coverWithParts, type TensorPart } from "../cover.ts";
import { type Format, HEAD_BYTES } from "../format.ts";
import { lfsAdvice } from "../git-lfs.ts";
import { ExternalData } from "./external.ts";
import { type LiteralTensor, ModelMessage } from "./model-message.ts";
import { uniqueNames } from "./place.ts";
import { judgeTensor } from "./tensor-data.ts";
import { typedElements } from "./typed-elements.ts";
import { walkMessages } from "./walk.ts";

/** ONNX models: `.onnx`. */
export const onnx: Format = {
  id: "onnx",
  matches(name) {
    return /\.onnx$/i.test(name) ? "name" : undefined;
  },
  async plan(source) {
    const file = source.name;
    const head = new Uint8Array(Math.min(HEAD_BYTES, source.bytes));
    await source.read(head, 0);
    const advice = lfsAdvice(head, source.bytes);
    if (advice !== undefined) throw new InvalidFileError(file, "lfs-pointer", advice);
    const model = new ModelMessage(file);
    await walkMessages(source, model);
    if (!model.hasContent) {
      throw new InvalidFileError(
        file,
        "no-graph",
        "it has no graph, so it is no ONNX model or not a whole one",
      );
    }
    const { tensors: messages } = model.found;
    const names = uniqueNames(
      file,
      messages.map(({ place }) => place),
    );
    const parts: TensorPart[] = [];
    const derived: DerivedTensor[] = [];
    const external = new ExternalData(file);
    const literals: LiteralTensor[] = [];
    for (const [index, message] of messages.entries()) {
      const data = judgeTensor(file, message, names[index]!);
      switch (data.kind) {
        case "range":
          parts.push({ ...data.tensor, offset: data.offset });
          break;
        case "typed": {
          const { tensor, field, ranges } = data;
          derived.push({ ...tensor, elements: (from) => typedElements(from, tensor, field, ranges) });
          break;
        }
        case "external":
          external.add(data.external.location, data.external.offset, data.tensor);
          break;
        case "literal":
          if (data.external !== undefined) external.add(data.external.location, data.external.offset);
          literals.push({ name: names[index]!, type: data.type });
      }
    }
    const { companions } = external;
    return {
      parts: coverWithParts(file, parts, source.bytes),
      derived,
      metadata: model.metadata(literals),
      ...(companions.length > 0 && {
        companions,
        companionParts: external.companionParts(),
        check: (plans) => external.check(plans),
      }),
    };
  },
};
