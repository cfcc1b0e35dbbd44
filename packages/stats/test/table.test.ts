import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { displayWidth, printable, renderFacts, renderTable } from "../src/table.ts";

describe("renderTable", () => {
  it("pads to the widest cell and puts numbers to the right", () => {
    const lines = renderTable(
      [{ title: "name" }, { title: "size", align: "right" }],
      [
        ["a", "1 B"],
        ["longer", "123 kB"],
      ],
    );
    expect(lines).toEqual(["name      size", "a          1 B", "longer  123 kB"]);
  });

  it("has no trailing blanks, takes missing cells, indents, leaves titles out", () => {
    expect(renderTable([{ title: "a" }, { title: "b" }], [["1"]], { indent: "> ", titles: false })).toEqual([
      "> 1",
    ]);
    expect(renderTable([{ title: "a" }], [])).toEqual(["a"]);
  });

  it("counts terminal cells, not code units", () => {
    expect(displayWidth("abc")).toBe(3);
    expect(displayWidth("é")).toBe(1);
    expect(displayWidth("e\u0301")).toBe(1);
    expect(displayWidth("重み")).toBe(4);
    expect(displayWidth("\u{1f600}")).toBe(2);
    const lines = renderTable(
      [{ title: "n" }, { title: "x" }],
      [
        ["重み", "1"],
        ["abcd", "2"],
      ],
    );
    expect(lines.slice(1)).toEqual(["重み  1", "abcd  2"]);
  });

  it("escapes what would act on the terminal", () => {
    expect(printable("a\u001b[31mb")).toBe("a\\u001b[31mb");
    expect(printable("a\nb\tc\r")).toBe("a\\nb\\tc\\r");
    expect(printable("\u202eabc")).toBe("\\u202eabc");
    expect(printable("\ud800")).toBe("\\ud800");
    expect(printable("héllo 重み \u{1f600}")).toBe("héllo 重み \u{1f600}");
  });

  it("never lets a cell break its line, for any text", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.string({ unit: "binary" }), fc.string()), { maxLength: 8 }),
        (rows) => {
          const lines = renderTable([{ title: "a" }, { title: "b" }], rows);
          expect(lines).toHaveLength(rows.length + 1);
          for (const line of lines) {
            expect(line).not.toMatch(/\p{Control}/u);
          }
        },
      ),
    );
  });
});

describe("renderFacts", () => {
  it("aligns labels and drops unknown values", () => {
    expect(
      renderFacts([
        ["size", "1 B"],
        ["ratio", undefined],
        ["preset", "fast"],
      ]),
    ).toEqual(["  size    1 B", "  preset  fast"]);
  });
});
