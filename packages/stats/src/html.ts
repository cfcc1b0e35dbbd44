/** Pieces of HTML. Every text goes through `escapeHtml`: names of datasets and files come from users and archives. */
import { type Column, printable } from "./table.ts";

const entities: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/** Text as HTML content or attribute value; control characters and direction overrides are shown as escapes. */
export function escapeHtml(text: string): string {
  return printable(text).replace(/[&<>"']/g, (character) => entities[character]!);
}

/** A table whose cells are texts; the first column heads the rows. */
export function htmlTable(columns: readonly Column[], rows: readonly (readonly string[])[]): string {
  const alignment = ({ align }: Column): string => (align === "right" ? ' class="number"' : "");
  const head = columns.map(
    (column) => `<th scope="col"${alignment(column)}>${escapeHtml(column.title)}</th>`,
  );
  const body = rows.map((row) => {
    const cells = columns.map((column, index) => {
      const text = escapeHtml(row[index] ?? "");
      return index === 0
        ? `<th scope="row"${alignment(column)}>${text}</th>`
        : `<td${alignment(column)}>${text}</td>`;
    });
    return `<tr>${cells.join("")}</tr>`;
  });
  return `<div class="table"><table>\n<thead><tr>${head.join("")}</tr></thead>\n<tbody>\n${body.join("\n")}\n</tbody></table></div>`;
}
