import { crc32, deflateRawSync } from "node:zlib";
import { InvalidFileError } from "@tensorcask/codec";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readZipDirectory, type ZipEntry } from "../src/format/zip/directory.ts";
import { entryElements, entryStart } from "../src/format/zip/elements.ts";
import { MAX_DIRECTORY_BYTES } from "../src/format/zip/end-record.ts";
import { bufferSource, type Source } from "../src/model/plan.ts";
import { numbers } from "./format-safetensors-cases.ts";
import {
  fields,
  type ZipCaseEnd,
  type ZipCaseEntry,
  zip64End,
  zip64Extra,
  zipOf,
} from "./format-zip-cases.ts";

const text = (words: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(words);
const hello: ZipCaseEntry = { name: "hello.txt", data: text("hello") };
const zeros: ZipCaseEntry = { name: "zeros", data: new Uint8Array(1000), deflated: true };

const directoryOf = (file: Uint8Array): Promise<ZipEntry[]> => readZipDirectory(bufferSource("x.zip", file));

async function dataOf(source: Source, entry: ZipEntry): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of entryElements(source, entry)) pieces.push(new Uint8Array(piece));
  return Buffer.concat(pieces);
}

/** The rule by which an archive, or the data of its first entry, is refused. */
async function refusal(file: Uint8Array): Promise<string> {
  const source = bufferSource("x.zip", file);
  try {
    for (const entry of await readZipDirectory(source)) await dataOf(source, entry);
  } catch (error) {
    if (error instanceof InvalidFileError && error.message.startsWith("x.zip: zip archive: "))
      return error.rule;
    throw error;
  }
  return "none";
}

describe("zip: valid archives", () => {
  const descriptor = (signed: boolean, wide: boolean): Uint8Array =>
    fields((writer) => {
      if (signed) writer.u32(0x08074b50);
      writer.u32(crc32(hello.data));
      if (wide) writer.u64(5).u64(5);
      else writer.u32(5).u32(5);
    });
  const unset = { crc32: 0, bytes: 0, compressedBytes: 0 };
  const ones = 0xffffffff;
  const cases: [string, Uint8Array, string[]][] = [
    ["no entries", zipOf([]), []],
    ["stored and deflated", zipOf([hello, zeros]), ["hello.txt", "zeros"]],
    ["an empty entry", zipOf([{ name: "e", data: text("") }]), ["e"]],
    ["a comment", zipOf([hello], { comment: text("PK, a comment") }), ["hello.txt"]],
    ["names in UTF-8", zipOf([{ name: "é\u{1f600}", data: text("") }]), ["é\u{1f600}"]],
    [
      "names in code page 437",
      zipOf([{ name: Uint8Array.of(0x61, 0x82, 0xff), data: text("") }]),
      ["aé\u00a0"],
    ],
    ["paths are names", zipOf([{ name: "../../etc/passwd", data: text("") }]), ["../../etc/passwd"]],
    ["a directory in another order", zipOf([hello, zeros], { reversed: true }), ["hello.txt", "zeros"]],
    ...[true, false].flatMap((signed) =>
      [true, false].map((wide): [string, Uint8Array, string[]] => [
        `a descriptor${signed ? ", signed" : ""}${wide ? ", of 64 bits" : ""}`,
        zipOf([{ ...hello, behind: descriptor(signed, wide), local: unset }, zeros]),
        ["hello.txt", "zeros"],
      ]),
    ),
    [
      "64-bit sizes, as NumPy writes them",
      zipOf([{ ...hello, local: { bytes: ones, compressedBytes: ones, extra: zip64Extra(5, 5) } }]),
      ["hello.txt"],
    ],
    [
      "64-bit sizes and offset in the directory",
      zipOf([
        {
          ...hello,
          central: { bytes: ones, compressedBytes: ones, offset: ones, extra: zip64Extra(5, 5, 0) },
        },
      ]),
      ["hello.txt"],
    ],
    [
      "other extra fields, and padding behind them",
      zipOf([
        {
          ...hello,
          central: { bytes: ones, extra: Uint8Array.of(9, 9, 1, 0, 7, ...zip64Extra(5), 0, 0, 0) },
        },
      ]),
      ["hello.txt"],
    ],
    [
      "a zip64 end record",
      zipOf([hello], {
        entries: 0xffff,
        bytes: ones,
        offset: ones,
        between: (at, offset) => zip64End(at, { entries: 1, bytes: at - offset, offset }),
      }),
      ["hello.txt"],
    ],
    [
      "a zip64 end record that repeats the end record",
      zipOf([hello], { between: (at, offset) => zip64End(at, { entries: 1, bytes: at - offset, offset }) }),
      ["hello.txt"],
    ],
  ];
  it.each(cases)("%s", async (_, file, names) => {
    const entries = await directoryOf(file);
    expect(entries.map(({ name }) => name)).toEqual(names);
    expect(await refusal(file)).toBe("none");
  });

  it("gives facts and data of each entry", async () => {
    const source = bufferSource("x.zip", zipOf([hello, zeros]));
    const entries = await readZipDirectory(source);
    expect(entries).toEqual([
      {
        name: "hello.txt",
        method: "stored",
        crc32: 0x3610a686,
        compressedBytes: 5,
        bytes: 5,
        dataOffset: 39,
        flags: 0,
      },
      {
        name: "zeros",
        method: "deflate",
        crc32: crc32(zeros.data),
        compressedBytes: deflateRawSync(zeros.data).length,
        bytes: 1000,
        dataOffset: 44 + 35,
        flags: 0,
      },
    ]);
    expect((await dataOf(source, entries[0]!)).toString()).toBe("hello");
    expect(await dataOf(source, entries[1]!)).toEqual(Buffer.alloc(1000));
  });

  it("reads back any data, whole or from its start", async () => {
    const data = fc.oneof(
      fc.uint8Array({ maxLength: 300 }),
      fc.tuple(fc.nat(255), fc.nat(300_000)).map(([byte, length]) => new Uint8Array(length).fill(byte)),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ data, deflated: fc.boolean() }), { maxLength: 5 }),
        async (list) => {
          const source = bufferSource(
            "x",
            zipOf(list.map((entry, index) => ({ ...entry, name: `${index}` }))),
          );
          const entries = await readZipDirectory(source);
          for (const [index, { data: bytes }] of list.entries()) {
            expect((await dataOf(source, entries[index]!)).equals(bytes)).toBe(true);
            for (const length of [0, 1, 256, 70_000]) {
              const start = await entryStart(source, entries[index]!, length);
              expect(Buffer.from(start).equals(bytes.subarray(0, length))).toBe(true);
            }
          }
        },
      ),
      { numRuns: 50 },
    );
  });

  it("takes memory for a few pieces, whatever the entry", async () => {
    const bytes = 64 * 1024 * 1024;
    const source = bufferSource("x", zipOf([{ name: "z", data: new Uint8Array(bytes), deflated: true }]));
    const [entry] = await readZipDirectory(source);
    let [largest, taken] = [0, 0];
    for await (const piece of entryElements(source, entry!)) {
      largest = Math.max(largest, piece.length);
      taken += piece.length;
    }
    expect(taken).toBe(bytes);
    expect(largest).toBeLessThanOrEqual(64 * 1024);
  });

  it("gives up a stream that is not taken to its end, and passes errors of the source on", async () => {
    const random = numbers(1);
    const data = new Uint8Array(300_000).map(() => random(256));
    const file = zipOf([{ name: "z", data, deflated: true }]);
    const source = bufferSource("x", file);
    const [entry] = await readZipDirectory(source);
    for await (const piece of entryElements(source, entry!)) {
      expect(piece.length).toBeGreaterThan(0);
      break;
    }
    const broken: Source = {
      ...source,
      read: (into, position) =>
        position > 1000 ? Promise.reject(new Error("the disk is gone")) : source.read(into, position),
    };
    await expect(dataOf(broken, entry!)).rejects.toThrow("the disk is gone");
  });
});

describe("zip: invalid archives", () => {
  const ones = 0xffffffff;
  const one = (entry: Partial<ZipCaseEntry>, end?: ZipCaseEnd): Uint8Array =>
    zipOf([{ ...hello, ...entry }], end);
  const plain = zipOf([hello]);
  const cases: [string, rule: string, Uint8Array][] = [
    ["an empty file", "zip-end", new Uint8Array(0)],
    ["21 bytes", "zip-end", plain.subarray(-21)],
    ["cut off", "zip-end", plain.subarray(0, -1)],
    ["no archive", "zip-end", new Uint8Array(100_000).fill(0x50)],
    ["bytes behind the end", "zip-end", one({}, { behind: text("x") })],
    ["an archive as comment", "zip-end-ambiguous", one({}, { comment: zipOf([]) })],
    ["a record behind the end", "zip-end", one({}, { behind: plain.subarray(-22, -1) })],
    ["bytes before the archive", "zip-directory", Uint8Array.of(1, ...plain)],
    ["bytes before the end", "zip-directory", one({}, { between: () => text("x") })],
    ["a directory beyond the file", "zip-directory", one({}, { offset: 2 ** 31 })],
    ["two disks", "zip-disks", one({}, { disk: 1 })],
    ["entries on another disk", "zip-disks", one({}, { entriesHere: 0 })],
    ["an entry on another disk", "zip-disks", one({ central: { disk: 1 } })],
    ["fewer entries than it says", "zip-count", one({}, { entries: 2 })],
    ["more entries than it says", "zip-count", zipOf([hello, zeros], { entries: 1 })],
    [
      "2^53 entries",
      "zip-count",
      one(
        {},
        {
          between: (at, offset) => zip64End(at, { entries: 2 ** 53 - 1, bytes: at - offset, offset }),
          entries: 0xffff,
        },
      ),
    ],
    [
      "a directory over the limit",
      "zip-directory-limit",
      zipOf([], {
        between: (at) =>
          Buffer.concat([
            Buffer.alloc(MAX_DIRECTORY_BYTES + 1),
            zip64End(at + MAX_DIRECTORY_BYTES + 1, { entries: 0, bytes: MAX_DIRECTORY_BYTES + 1, offset: 0 }),
          ]),
        bytes: ones,
      }),
    ],
    [
      "a zip64 end record that differs",
      "zip64",
      one(
        {},
        { between: (at, offset) => zip64End(at, { entries: 1, bytes: at - offset, offset }), entries: 2 },
      ),
    ],
    [
      "a zip64 end record in another place",
      "zip64",
      one({}, { between: (at, offset) => zip64End(at - 1, { entries: 1, bytes: at - offset, offset }) }),
    ],
    [
      "a zip64 end record beyond its locator",
      "zip64",
      one({}, { between: (at, offset) => zip64End(2 ** 50, { entries: 1, bytes: at - offset, offset }) }),
    ],
    ["no directory entry", "zip-directory", one({ central: { signature: 0 } })],
    [
      "an entry beyond the directory",
      "zip-directory",
      zipOf([hello]).map((byte, index, all) => (index === all.length - 22 - 5 - 46 + 29 ? 255 : byte)),
    ],
    ["no name", "zip-name", one({ name: "" })],
    ["NUL in a name", "zip-name", one({ name: "a\0b" })],
    ["a name that is not UTF-8", "zip-name", one({ name: Uint8Array.of(0xff), both: { flags: 0x800 } })],
    ["a name twice", "zip-duplicate", zipOf([hello, hello])],
    ["an encrypted entry", "zip-encrypted", one({ both: { flags: 1 } })],
    ["strong encryption", "zip-encrypted", one({ both: { flags: 0x40 } })],
    ["an encrypted directory", "zip-encrypted", one({ both: { flags: 0x2000 } })],
    ["method 12 (bzip2)", "zip-method", one({ both: { method: 12 } })],
    ["a patch", "zip-method", one({ both: { flags: 0x20 } })],
    ["stored data of two sizes", "zip-size", one({ both: { bytes: 6 } })],
    ["more than deflate can reach", "zip-size", zipOf([{ ...zeros, both: { bytes: 1_000_000 } }])],
    ["no 64-bit sizes", "zip64", one({ central: { bytes: ones } })],
    ["too few 64-bit sizes", "zip64", one({ central: { bytes: ones, offset: ones, extra: zip64Extra(5) } })],
    [
      "two zip64 fields",
      "zip64",
      one({ central: { bytes: ones, extra: Buffer.concat([zip64Extra(5), zip64Extra(5)]) } }),
    ],
    [
      "an extra field too long",
      "zip-extra",
      one({ central: { bytes: ones, extra: Uint8Array.of(1, 0, 9, 0) } }),
    ],
    ["an entry beyond the file", "zip-outside", one({ central: { offset: 2 ** 31 } })],
    ["data beyond the file", "zip-outside", one({ both: { bytes: 2 ** 31, compressedBytes: 2 ** 31 } })],
    [
      "64-bit sizes beyond 2^53",
      "zip-outside",
      one({
        central: {
          bytes: ones,
          compressedBytes: ones,
          extra: Uint8Array.of(1, 0, 16, 0, ...new Uint8Array(16).fill(0xff)),
        },
      }),
    ],
    [
      "an entry within another",
      "zip-overlap",
      zipOf([{ ...hello, both: { bytes: 6, compressedBytes: 6 } }, zeros]),
    ],
    [
      "two names of one entry",
      "zip-overlap",
      zipOf([hello, { ...hello, name: "b", central: { offset: 0 } }]),
    ],
    ["no local header", "zip-local-header", one({ local: { signature: 0 } })],
    ["another name in front of the data", "zip-local-header", one({ local: { name: "hello.tx_" } })],
    ["a shorter name", "zip-local-header", one({ local: { name: "hello.tx" } })],
    ["another method", "zip-local-header", one({ local: { method: 8 } })],
    ["encrypted says one header", "zip-local-header", one({ local: { flags: 1 } })],
    ["another checksum", "zip-local-header", one({ local: { crc32: 1 } })],
    ["no checksum", "zip-local-header", one({ local: { crc32: 0 } })],
    ["another size", "zip-local-header", one({ local: { bytes: 4 } })],
    ["another compressed size", "zip-local-header", one({ local: { compressedBytes: 4 } })],
    ["no descriptor", "zip-descriptor", one({ both: { flags: 8 } })],
    [
      "a descriptor that differs",
      "zip-descriptor",
      one({ behind: fields((writer) => writer.u32(crc32(hello.data)).u32(5).u32(6)) }),
    ],
    ["damaged data", "zip-checksum", one({ raw: text("hellO") })],
    ["damaged deflated data", "zip-checksum", zipOf([{ ...zeros, both: { crc32: 1 } }])],
    ["data that is not deflated", "zip-deflate", zipOf([{ ...zeros, raw: new Uint8Array(20).fill(0xff) }])],
    [
      "deflated data that is cut off",
      "zip-deflate",
      zipOf([{ ...zeros, raw: deflateRawSync(zeros.data).subarray(0, -2) }]),
    ],
    [
      "bytes behind the deflated data",
      "zip-deflate",
      zipOf([{ ...zeros, raw: Buffer.concat([deflateRawSync(zeros.data), text("x")]) }]),
    ],
    ["data longer than it says", "zip-deflate", zipOf([{ ...zeros, both: { bytes: 999 } }])],
    ["data shorter than it says", "zip-deflate", zipOf([{ ...zeros, both: { bytes: 1001 } }])],
    ["deflated data of no bytes", "zip-deflate", zipOf([{ ...zeros, data: text(""), raw: text("") }])],
  ];
  it.each(cases)("%s", async (_, rule, file) => expect(await refusal(file)).toBe(rule));

  it("names entry, offset and rule", async () => {
    await expect(directoryOf(zipOf([hello, { ...zeros, central: { offset: 3 } }]))).rejects.toThrow(
      '"zeros" begins at 3, within "hello.txt", which ends at 44',
    );
  });

  it("refuses data over the declared size before more of it is inflated", async () => {
    const bomb = deflateRawSync(new Uint8Array(50_000_000));
    const source = bufferSource(
      "x",
      zipOf([{ name: "b", data: new Uint8Array(10), raw: bomb, deflated: true }]),
    );
    const [entry] = await readZipDirectory(source);
    let taken = 0;
    const take = async (): Promise<void> => {
      for await (const piece of entryElements(source, entry!)) taken += piece.length;
    };
    await expect(take()).rejects.toThrow("becomes more than 10 bytes");
    expect(taken).toBe(0);
  });
});
