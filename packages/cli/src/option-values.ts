/**
 * Values of options: sizes, durations, counts, versions, JSON. Each parser takes the text as typed and throws commander's
 * `InvalidArgumentError`, which commander completes with the name of the option.
 */
import { readFile } from "node:fs/promises";
import type { JsonObject } from "@tensorcask/core";
import { InvalidArgumentError } from "commander";
import { CommandUsageError } from "./failure.ts";

// kB, MB, ... are decimal, KiB, MiB, ... binary, as in `dd` and `head`; a bare K, M, G is binary there too.
const byteFactors: Readonly<Record<string, number>> = {
  "": 1,
  b: 1,
  k: 2 ** 10,
  kb: 1e3,
  kib: 2 ** 10,
  m: 2 ** 20,
  mb: 1e6,
  mib: 2 ** 20,
  g: 2 ** 30,
  gb: 1e9,
  gib: 2 ** 30,
  t: 2 ** 40,
  tb: 1e12,
  tib: 2 ** 40,
};

const durationFactors: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  "": 1000,
  m: 60_000,
  min: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 7 * 86_400_000,
};

function scaled(text: string, factors: Readonly<Record<string, number>>): number | undefined {
  const match = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/.exec(text.trim().toLowerCase());
  const factor = Object.hasOwn(factors, match?.[2] ?? "?") ? factors[match?.[2] ?? ""] : undefined;
  if (match === null || factor === undefined) {
    return undefined;
  }
  const value = Math.round(Number(match[1]) * factor);
  return Number.isSafeInteger(value) ? value : undefined;
}

/** `256MB`, `64MiB`, `1000000` -> bytes. */
export function parseBytes(text: string): number {
  const bytes = scaled(text, byteFactors);
  if (bytes === undefined) {
    throw new InvalidArgumentError("A size is a number with a unit, such as 256MB or 64MiB.");
  }
  return bytes;
}

/** `60s`, `500ms`, `5m`, `30d`, `2w`; a bare number is seconds -> milliseconds. */
export function parseDuration(text: string): number {
  const milliseconds = scaled(text, durationFactors);
  if (milliseconds === undefined) {
    throw new InvalidArgumentError(
      "A duration is a number with a unit, such as 60s, 500ms, 5m, 12h, 30d or 2w.",
    );
  }
  return milliseconds;
}

/** A whole number, zero included. */
export function parseCount(text: string): number {
  const count = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(count)) {
    throw new InvalidArgumentError("It must be a whole number, 0 or more.");
  }
  return count;
}

/** A version: a number, or the name of a tag. */
export function parseVersion(text: string): number | string {
  return /^\d{1,15}$/.test(text) ? Number(text) : text;
}

/** `3,256,256` -> a shape; the empty text is the shape of a scalar. */
export function parseShape(text: string): number[] {
  const inner = text
    .trim()
    .replace(/^\[(.*)\]$/, "$1")
    .trim();
  return inner === "" ? [] : inner.split(",").map((part) => parseCount(part.trim()));
}

/** `5,17,99` -> row numbers. */
export function parseRows(text: string): number[] {
  return text.split(",").map((part) => parseCount(part.trim()));
}

/** `a,b.c` -> names, for options that may be given several times. */
export function collectNames(text: string, before: readonly string[] = []): string[] {
  return [
    ...before,
    ...text
      .split(",")
      .map((part) => part.trim())
      .filter((part) => part !== ""),
  ];
}

/**
 * A JSON object typed on the command line, or `@file.json` to read one from a file.
 * Throws `CommandUsageError` naming the option.
 */
export async function readJsonObject(text: string, option: string): Promise<JsonObject> {
  const source = text.startsWith("@") ? await readFile(text.slice(1), "utf8") : text;
  let value: unknown;
  try {
    value = JSON.parse(source);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new CommandUsageError(option, `${option} is not valid JSON: ${reason}`);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new CommandUsageError(
      option,
      `${option} must be a JSON object, such as '{"label": 3}', or @file.json`,
    );
  }
  return value as JsonObject;
}
