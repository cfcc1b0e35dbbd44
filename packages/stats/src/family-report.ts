/**
 * Families as text: which datasets lean on each other, what that saves, and who is stored as a difference of whom.
 */
import type { FamilyLink, FamilyUsage } from "@tensorcask/core";
import { formatBytes, formatItems, formatPercent } from "./quantity.ts";
import { type Column, printable, renderTable } from "./table.ts";

/** Families, and links of one, that are listed one by one; more are counted. */
const LISTED_MAX = 10;

export const linkColumns: readonly Column[] = [
  { title: "dataset" },
  { title: "leans on" },
  { title: "as differences", align: "right" },
  { title: "stored", align: "right" },
  { title: "of raw", align: "right" },
  { title: "shared", align: "right" },
];

/** Cells of `linkColumns`. */
export function linkCells(link: FamilyLink): string[] {
  const { differenceRawBytes, differenceBytes, sharedBytes } = link;
  return [
    link.dataset,
    link.base === link.dataset ? "itself" : link.base,
    differenceRawBytes > 0 ? formatBytes(differenceRawBytes) : "-",
    differenceRawBytes > 0 ? formatBytes(differenceBytes) : "-",
    differenceRawBytes > 0 ? formatPercent(differenceBytes, differenceRawBytes) : "-",
    sharedBytes > 0 ? formatBytes(sharedBytes) : "-",
  ];
}

/** The links of a family, those over which most bytes go first. */
export function rankedLinks({ links }: FamilyUsage): FamilyLink[] {
  const weight = (link: FamilyLink): number => link.differenceRawBytes + link.sharedRawBytes;
  return [...links].sort((a, b) => weight(b) - weight(a));
}

/** A family in two sentences: how large, and what sharing and differences save. */
export function familyLine(family: FamilyUsage): string {
  const { members, rawBytes, storedBytes, sharingSavedBytes } = family;
  const saved = [
    `chunks in common save ${formatBytes(sharingSavedBytes)}`,
    `differences about ${formatBytes(family.differenceSavedBytes)}`,
  ];
  const sizes = `${formatItems(members.length, "dataset")}, ${formatBytes(rawBytes)} stored in ${formatBytes(storedBytes)}`;
  return `${sizes}; ${saved.join(", ")}`;
}

/** Lines about all families, with an empty line before each; none when there are none. */
export function familiesReport(families: readonly FamilyUsage[]): string[] {
  const lines = families.slice(0, LISTED_MAX).flatMap((family) => {
    const links = rankedLinks(family);
    const more = links.length - LISTED_MAX;
    return [
      "",
      `family of ${printable(family.centre)}: ${familyLine(family)}`,
      ...renderTable(linkColumns, links.slice(0, LISTED_MAX).map(linkCells), { indent: "  " }),
      ...(more > 0 ? [`  and ${formatItems(more, "more link")} (--json lists them all)`] : []),
    ];
  });
  const more = families.length - LISTED_MAX;
  const note =
    more > 0 ? [`and ${formatItems(more, "more family", "more families")} (--json lists them all)`] : [];
  return [...lines, ...note];
}
