/**
 * What two datasets or versions have in common: a line for each tensor, and the sums.
 */
import type { DiffStatus, DiffSummary, TensorDiff } from "@tensorcask/core";
import { formatBytes, formatDeviation, formatItems, formatPercent, formatSeconds } from "./quantity.ts";
import { type Column, printable, renderFacts } from "./table.ts";

/** Files listed one by one; more are counted. */
const LISTED_MAX = 10;

const statuses: readonly DiffStatus[] = ["identical", "difference", "changed", "new", "gone"];

/** Columns of `diffCells`; with `values` also those of the magnitude of change. */
export function diffColumns(values: boolean): Column[] {
  return [
    { title: "tensor" },
    { title: "status" },
    { title: "dtype" },
    { title: "shape" },
    { title: "size", align: "right" },
    { title: "stored", align: "right" },
    { title: "as difference", align: "right" },
    ...(values
      ? ([
          { title: "relative L2", align: "right" },
          { title: "largest change", align: "right" },
          { title: "changed", align: "right" },
        ] as const)
      : []),
  ];
}

/** One tensor or pair. Where dtype or shape of the two differ, both are there. */
export function diffCells(diff: TensorDiff, values: boolean): string[] {
  const { status, a, b } = diff;
  const shown = b ?? a!;
  const both = (of: (side: NonNullable<typeof a>) => string): string =>
    a === undefined || b === undefined || of(a) === of(b) ? of(shown) : `${of(a)} -> ${of(b)}`;
  const { differenceRawBytes, differenceBytes } = diff;
  const isDifference = differenceRawBytes > 0;
  return [
    both(({ address }) => address),
    status,
    both(({ dtype }) => dtype),
    both(({ shape }) => `[${shape.join(", ")}]`),
    formatBytes(shown.bytes),
    formatBytes(shown.storedBytes),
    isDifference
      ? `${formatBytes(differenceBytes)} (${formatPercent(differenceBytes, differenceRawBytes)})`
      : "-",
    ...(values ? valueCells(diff) : []),
  ];
}

function valueCells({ status, values }: TensorDiff): string[] {
  if (status === "identical") return ["0", "0", formatPercent(0, 1)];
  if (values === undefined) return ["-", "-", "-"];
  const { relativeL2, maxAbsolute, changed, elements } = values;
  return [
    relativeL2 === null ? "-" : formatDeviation(relativeL2),
    formatDeviation(maxAbsolute),
    formatPercent(changed, elements),
  ];
}

/** Lines about the sums. */
export function diffLines(summary: DiffSummary): string[] {
  const { a, b, counts, files, filesIdentical } = summary;
  const side = ({ dataset, version }: DiffSummary["a"]): string => `${printable(dataset)}@${version}`;
  const counted = statuses
    .filter((status) => counts[status].tensors > 0)
    .map((status) => `${counts[status].tensors} ${status} (${formatBytes(counts[status].bytes)})`);
  const { differenceRawBytes, differenceBytes, otherBytes } = summary;
  const differences =
    differenceRawBytes > 0
      ? `; ${formatBytes(differenceRawBytes)} of these in ${formatBytes(differenceBytes)}, as differences to the other`
      : "";
  return [
    `${side(a)} -> ${side(b)}, in ${formatSeconds(summary.seconds)}`,
    ...renderFacts([
      ["tensors", counted.length > 0 ? counted.join(", ") : "none"],
      ["files", filesLine(files.length, filesIdentical)],
      ["stored", `${formatBytes(summary.sharedBytes)} in both`],
      [
        "",
        `${formatBytes(summary.onlyABytes)} only in ${side(a)}, ${formatBytes(summary.onlyBBytes)} only in ${side(b)}${differences}`,
      ],
      [
        "",
        otherBytes > 0
          ? `${formatBytes(otherBytes)} of other datasets, which these are differences to`
          : undefined,
      ],
    ]),
    ...files.slice(0, LISTED_MAX).map((file) => `  ${file.status} file: ${printable(file.path)}`),
    ...(files.length > LISTED_MAX
      ? [`  and ${formatItems(files.length - LISTED_MAX, "more file")} (--json lists them all)`]
      : []),
  ];
}

function filesLine(different: number, identical: number): string | undefined {
  if (different + identical === 0) return undefined;
  return `${identical} identical, ${different} not`;
}
