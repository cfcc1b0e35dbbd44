/**
 * Plain text tables: columns as wide as their widest cell, two spaces between them, numbers to the right. Widths are counted in
 * terminal cells (wide CJK characters and emoji take two, combining marks none). Control characters in cells, which names of tensors
 * may hold, are escaped: a name must not be able to move the cursor or change colours.
 */

export interface Column {
  readonly title: string;
  /** Default `left`. */
  readonly align?: "left" | "right";
}

export interface TableOptions {
  /** Put in front of every line. */
  readonly indent?: string;
  /** Leave the line of titles out. */
  readonly titles?: boolean;
}

/** Made when the first text that is not ASCII comes: it loads tables that most runs never need. */
let segmenter: Intl.Segmenter | undefined;
// East Asian wide and fullwidth blocks, and the emoji planes: two cells each.
const wide =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe4f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]/u;
const invisible = /^[\p{Mark}\p{Format}]+$/u;
const plainAscii = /^[\x20-\x7e]*$/;
const control = /[\p{Control}\p{Surrogate}\u2028\u2029\u202a-\u202e\u2066-\u2069]/gu;

/** How many terminal cells a text takes. */
export function displayWidth(text: string): number {
  if (plainAscii.test(text)) {
    return text.length;
  }
  segmenter ??= new Intl.Segmenter("en", { granularity: "grapheme" });
  let width = 0;
  for (const { segment } of segmenter.segment(text)) {
    width += invisible.test(segment) ? 0 : wide.test(segment) ? 2 : 1;
  }
  return width;
}

/** The text with control characters, line breaks and direction overrides written as escapes. */
export function printable(text: string): string {
  return plainAscii.test(text)
    ? text
    : text.replace(control, (character) => {
        const code = character.codePointAt(0) ?? 0;
        const short = { 9: "\\t", 10: "\\n", 13: "\\r" }[code];
        return short ?? `\\u${code.toString(16).padStart(4, "0")}`;
      });
}

function pad(text: string, width: number, align: "left" | "right"): string {
  const missing = " ".repeat(Math.max(0, width - displayWidth(text)));
  return align === "right" ? missing + text : text + missing;
}

/**
 * Lines of a table. `rows` hold one cell per column; missing cells are empty.
 *
 * @example
 * renderTable([{ title: "name" }, { title: "size", align: "right" }], [["a", "1 B"]]); // ["name  size", "a      1 B"]
 */
export function renderTable(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  options: TableOptions = {},
): string[] {
  const { indent = "", titles = true } = options;
  const cells = rows.map((row) => columns.map((_, index) => printable(row[index] ?? "")));
  const shown = titles ? [columns.map((column) => column.title), ...cells] : cells;
  const widths = columns.map((_, index) =>
    shown.reduce((width, row) => Math.max(width, displayWidth(row[index] ?? "")), 0),
  );
  return shown.map((row) =>
    (
      indent +
      row.map((cell, index) => pad(cell, widths[index] ?? 0, columns[index]?.align ?? "left")).join("  ")
    ).trimEnd(),
  );
}

/** Lines of `label  value` pairs, labels padded to one width. Pairs whose value is undefined are left out. */
export function renderFacts(
  facts: readonly (readonly [label: string, value: string | undefined])[],
  indent = "  ",
): string[] {
  const known = facts.filter((fact): fact is readonly [string, string] => fact[1] !== undefined);
  return renderTable(
    [{ title: "" }, { title: "" }],
    known.map(([label, value]) => [label, value]),
    { indent, titles: false },
  );
}
