/**
 * The format `torch`: PyTorch's checkpoints, of today (zip) and of before 1.6 (pickles), and TorchScript archives.
 * Nothing of their pickles is executed.
 */
import { InvalidFileError } from "@tensorcask/codec";
import type { Source } from "../../model/plan.ts";
import { type Format, HEAD_BYTES } from "../format.ts";
import { planLegacyCheckpoint } from "./legacy-checkpoint.ts";
import { planZipCheckpoint } from "./zip-checkpoint.ts";

/** Extensions that checkpoints have; `.bin` and `.ckpt` are other things as well, so none claims a file alone. */
const EXTENSION = /\.(pt|pth|bin|ckpt|jit|torchscript)$/i;

/** The magic number as it is pickled; in front of it stand protocol and frame. */
const LEGACY_MAGIC = Buffer.from("8a0a6cfc9c46f9206aa85019", "hex");
const LEGACY_MAGIC_END = 24;

/** The first member of a tar file, which checkpoints were until 0.1.10. */
const TAR_MEMBER = "sys_info\0";

const ZIP_LOCAL_HEADER = 0x04034b50;
const ZIP_NAME_LENGTH_AT = 26;
const ZIP_NAME_AT = 30;

/** What the start of a file tells. */
type Kind = "zip" | "legacy" | "tar";

/** PyTorch's checkpoints, by their content; the extension only says that they must keep the rules. */
export const torch: Format = {
  id: "torch",
  matches(name, head) {
    if (kindOf(head) === undefined) return undefined;
    return EXTENSION.test(name) ? "name" : "content";
  },
  async plan(source) {
    const head = await headOf(source);
    switch (kindOf(head)) {
      case "zip":
        return planZipCheckpoint(source);
      case "legacy":
        return planLegacyCheckpoint(source);
      case "tar":
        throw new InvalidFileError(
          source.name,
          "torch-tar",
          "it is a checkpoint from before PyTorch 0.1.10, which is not read; load it in PyTorch and save it again",
        );
      default:
        throw new InvalidFileError(
          source.name,
          "torch-header",
          "it does not begin like a checkpoint of PyTorch",
        );
    }
  },
};

async function headOf(source: Source): Promise<Uint8Array> {
  const head = new Uint8Array(Math.min(HEAD_BYTES, source.bytes));
  await source.read(head, 0);
  return head;
}

function kindOf(head: Uint8Array): Kind | undefined {
  const bytes = Buffer.from(head.buffer, head.byteOffset, head.length);
  if (bytes.subarray(0, LEGACY_MAGIC_END).includes(LEGACY_MAGIC)) return "legacy";
  if (bytes.subarray(0, TAR_MEMBER.length).toString("latin1") === TAR_MEMBER) return "tar";
  if (bytes.length < ZIP_NAME_AT || bytes.readUInt32LE(0) !== ZIP_LOCAL_HEADER) return undefined;
  const length = bytes.readUInt16LE(ZIP_NAME_LENGTH_AT);
  const member = bytes.subarray(ZIP_NAME_AT, ZIP_NAME_AT + length).toString("latin1");
  // Members of a checkpoint lie in one folder; writers begin with one of these.
  return /^[^/]+\/(data\.pkl|data\/\d+|byteorder|version|constants\.pkl|constants\/\d+|code\/.*|\.format_version|\.storage_alignment|\.data\/.*)$/.test(
    member,
  )
    ? "zip"
    : undefined;
}
