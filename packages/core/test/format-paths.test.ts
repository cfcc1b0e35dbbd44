import { join, resolve, sep } from "node:path";
import { UsageError } from "@tensorcask/codec";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  checkDatasetName,
  checkFilePath,
  joinInside,
  MAX_FILE_PATH_BYTES,
  MAX_NAME_PART_BYTES,
  RESERVED_DATASET_PARTS,
} from "../src/files/paths.ts";

const everywhereRefused = [
  "",
  "..",
  ".",
  "../x",
  "x/..",
  "a/../b",
  "./a",
  "/a",
  "//a",
  "a/",
  "a//b",
  "a\\b",
  "..\\a",
  "C:\\a",
  "a\0",
  "a\nb",
  "a\u007f",
  "a\u0085",
  "\ud800",
  "x".repeat(MAX_NAME_PART_BYTES + 1),
  "é".repeat(128),
];

describe("dataset names", () => {
  it.each(["zoo", "org/model", "a.b-c_d", "Modell 7", "日本/語", "apis", "x/api", "..a", "x".repeat(255)])(
    "takes %j",
    (name) => {
      expect(checkDatasetName(name)).toBe(name);
    },
  );
  it.each([...everywhereRefused, "a/b/c", " a", "a /b", ...RESERVED_DATASET_PARTS, "api/x", "assets/y"])(
    "refuses %j",
    (name) => {
      expect(() => checkDatasetName(name, "to")).toThrow(
        expect.objectContaining({ tag: "usage", field: "to" }),
      );
    },
  );
  it("refuses what is no string", () => {
    expect(() => checkDatasetName(7 as unknown as string)).toThrow(UsageError);
  });
});

describe("file paths", () => {
  it.each([
    "a",
    "model.safetensors",
    "onnx/model.onnx",
    "a/b/c/d",
    "...",
    ".hidden",
    "a b",
    "api/x",
    "a:b",
    "con",
  ])("takes %j", (path) => {
    expect(checkFilePath(path)).toBe(path);
  });
  it.each([...everywhereRefused, "C:/x", "c:", "http://x/y", `${"a/".repeat(MAX_FILE_PATH_BYTES / 2)}b`])(
    "refuses %j",
    (path) => {
      expect(() => checkFilePath(path)).toThrow(UsageError);
    },
  );
});

describe("joinInside", () => {
  it("joins below the folder", () => {
    expect(joinInside("out", "a/b.bin")).toBe(join("out", "a", "b.bin"));
    expect(joinInside("/", "a")).toBe(`${sep}a`);
    expect(joinInside(".", "a")).toBe("a");
    expect(joinInside("../up", "a")).toBe(join("..", "up", "a"));
  });

  it("never leaves the folder, whatever the path", () => {
    const part = fc.oneof(
      fc.constantFrom("..", ".", "", "a", "C:", "\\", "~", "%2e%2e", "..\\..", "\0"),
      fc.string(),
    );
    fc.assert(
      fc.property(fc.array(part, { maxLength: 6 }), fc.constantFrom("linux", "win32"), (parts, platform) => {
        let joined: string;
        try {
          joined = joinInside("some/folder", parts.join("/"), platform);
        } catch (error) {
          if (error instanceof UsageError) return;
          throw error;
        }
        expect(resolve(joined).startsWith(resolve("some/folder") + sep)).toBe(true);
      }),
      { numRuns: 2000 },
    );
  });

  it.each(["a:b", "x/con", "NUL.txt", "com1", "a.", "b ", "what?", "a|b", "lpt¹"])(
    "refuses %j on Windows",
    (path) => {
      expect(() => joinInside("out", path, "win32")).toThrow(/Windows/);
      expect(joinInside("out", path, "linux")).toBe(join("out", path));
    },
  );
});
