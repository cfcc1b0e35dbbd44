/** All kinds of data, in the order of tables. Adding one is a file and a line here. */
import { LimitError, NotFoundError, ready, UsageError } from "@tensorcask/codec";
import { codeKind } from "./code.ts";
import { detectorKinds } from "./detector.ts";
import { executableKind } from "./executable.ts";
import { logKind } from "./logs.ts";
import { packetKind } from "./packets.ts";
import { patternKinds } from "./patterns.ts";
import { pictureKinds } from "./pictures.ts";
import { type Kind, MAX_SAMPLE_BYTES, MIN_SAMPLE_BYTES, type Sample } from "./sample.ts";
import { soundKind } from "./sound.ts";
import { telemetryKinds } from "./telemetry.ts";
import { textKind } from "./text.ts";
import { weightKinds } from "./weights.ts";

export const kinds: readonly Kind[] = [
  ...weightKinds,
  textKind,
  codeKind,
  ...pictureKinds,
  soundKind,
  ...detectorKinds,
  ...telemetryKinds,
  packetKind,
  logKind,
  executableKind,
  ...patternKinds,
];

/**
 * Data of a kind, as `Kind.generate` makes it.
 *
 * @param seed 0 to 2^32 - 1; the same seed gives the same bytes
 * @param bytes how many at most; the sample is the largest whole one
 * @throws NotFoundError when there is no such kind, and when the machine has no data of it
 * @throws UsageError when `bytes` is less than 4 KiB or the seed is no such number
 * @throws LimitError when `bytes` is more than 1 GiB
 */
export async function generateSample(name: string, seed: number, bytes: number): Promise<Sample> {
  const kind = kinds.find((one) => one.name === name);
  if (kind === undefined)
    throw new NotFoundError("kind of data", name, `known: ${kinds.map((one) => one.name).join(", ")}`);
  if (!Number.isInteger(seed) || seed < 0 || seed >= 2 ** 32)
    throw new UsageError("seed", `seed is ${seed}; it must be a whole number from 0 to ${2 ** 32 - 1}`);
  if (!Number.isInteger(bytes) || bytes < MIN_SAMPLE_BYTES)
    throw new UsageError("bytes", `bytes is ${bytes}; a sample has at least ${MIN_SAMPLE_BYTES}`);
  if (bytes > MAX_SAMPLE_BYTES) throw new LimitError("bytes of a sample", bytes, MAX_SAMPLE_BYTES);
  await ready();
  const sample = kind.generate(seed, bytes);
  if (sample === undefined) throw new NotFoundError("data", name, "nothing was found on this machine");
  return sample;
}
