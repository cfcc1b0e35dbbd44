/**
 * The report over a store as one HTML page: no scripts, nothing fetched, light and dark. It tells what `storeReport` tells, the layers of each dataset, and
 * draws families.
 */
import type { DatasetStats, FamilyUsage, StoreStats } from "@tensorcask/core";
import { layerCells, layerColumns } from "./dataset-report.ts";
import { familyPicture } from "./family-picture.ts";
import { familyLine, linkCells, linkColumns, rankedLinks } from "./family-report.ts";
import { escapeHtml, htmlTable } from "./html.ts";
import { datasetCells, datasetColumns, spaceCells, spaceColumns, storeFacts } from "./store-report.ts";

// Text is at least 4.5:1 against its ground, everything else that carries a meaning 3:1 (WCAG 2.2, AA).
const style = `
:root { color-scheme: light dark; --ground: #ffffff; --text: #1b1f24; --muted: #57606a; --line: #d0d7de;
  --plain: #47708a; --difference: #a84c00; --shared: #1a5fb4; --kept: #858b94; }
@media (prefers-color-scheme: dark) { :root { --ground: #14171a; --text: #e6e8eb; --muted: #a3abb5; --line: #3a4149;
  --plain: #86afc8; --difference: #f0a050; --shared: #86b5ff; --kept: #7f8792; } }
body { margin: 2rem auto; max-width: 62rem; padding: 0 1rem; background: var(--ground); color: var(--text);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; overflow-wrap: anywhere; } h2 { font-size: 1.2rem; margin-top: 2.5rem; } h3 { font-size: 1rem; overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 0.15rem 1.5rem; } dt { color: var(--muted); } dd { margin: 0; }
.table { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 0.25rem 0.9rem 0.25rem 0; text-align: left; border-bottom: 1px solid var(--line); white-space: nowrap; }
thead th { color: var(--muted); font-weight: 600; } tbody th { font-weight: 400; } .number { text-align: right; }
details { margin: 0.4rem 0; } summary { cursor: pointer; overflow-wrap: anywhere; }
.legend { color: var(--muted); display: flex; flex-wrap: wrap; gap: 0.3rem 1.5rem; } .legend svg { width: 1.6em; height: 0.8em; }
svg.family { width: 100%; height: auto; font-size: 13px; margin-top: 0.5rem; }
svg text { fill: var(--text); paint-order: stroke; stroke: var(--ground); stroke-width: 4px; stroke-linejoin: round; }
svg text.name { font-weight: 600; font-size: 14px; } svg text.muted { fill: var(--muted); }
svg .plain { fill: var(--plain); } svg .difference { fill: var(--difference); } svg .shared { fill: var(--shared); } svg .kept { fill: var(--kept); }
svg .empty { fill: none; stroke: var(--shared); stroke-dasharray: 3 2; }
svg .link { fill: none; stroke-width: 1.8; } svg .link.difference { stroke: var(--difference); }
svg .link.shared { stroke: var(--shared); stroke-dasharray: 6 4; }
`;

const legend = `<p class="legend">
<span><svg viewBox="0 0 16 8" aria-hidden="true"><circle class="plain" cx="8" cy="4" r="4"/></svg> coded by itself (areas are bytes on disk)</span>
<span><svg viewBox="0 0 16 8" aria-hidden="true"><circle class="difference" cx="8" cy="4" r="4"/></svg> coded as a difference</span>
<span><svg viewBox="0 0 16 8" aria-hidden="true"><circle class="kept" cx="8" cy="4" r="4"/></svg> kept of a deleted dataset</span>
<span><svg viewBox="0 0 16 8" aria-hidden="true"><path class="link difference" d="M0 4 H16"/></svg> is stored as a difference of</span>
<span><svg viewBox="0 0 16 8" aria-hidden="true"><path class="link shared" d="M0 4 H16"/></svg> shares chunks with</span>
</p>`;

/** The page. */
export function htmlReport(stats: StoreStats): string {
  const { directory, datasets, families } = stats;
  const facts = storeFacts(stats).map(
    ([label, value]) => `<dt>${escapeHtml(label)}</dt><dd>${escapeHtml(value)}</dd>`,
  );
  return [
    "<!doctype html>",
    '<html lang="en">',
    "<head>",
    '<meta charset="utf-8">',
    '<meta name="viewport" content="width=device-width, initial-scale=1">',
    `<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">`,
    `<title>${escapeHtml(directory)} - Tensorcask</title>`,
    `<style>${style}</style>`,
    "</head>",
    "<body>",
    `<h1>${escapeHtml(directory)}</h1>`,
    `<dl>${facts.join("\n")}</dl>`,
    "<h2>On disk</h2>",
    htmlTable(spaceColumns, spaceCells(stats)),
    "<h2>Datasets</h2>",
    datasets.length === 0
      ? "<p>There are none yet.</p>"
      : htmlTable(datasetColumns, datasets.map(datasetCells)),
    ...(families.length === 0 ? [] : ["<h2>Families</h2>", legend, ...families.map(familySection)]),
    ...(datasets.length === 0 ? [] : ["<h2>Layers</h2>", ...datasets.map(layerSection)]),
    "</body>",
    "</html>",
    "",
  ].join("\n");
}

function familySection(family: FamilyUsage): string {
  return [
    "<section>",
    `<h3>Family of ${escapeHtml(family.centre)}</h3>`,
    `<p>${escapeHtml(familyLine(family))} (an estimate: what these chunks would take at what a byte of their base takes).</p>`,
    familyPicture(family),
    htmlTable(linkColumns, rankedLinks(family).map(linkCells)),
    "</section>",
  ].join("\n");
}

function layerSection(dataset: DatasetStats): string {
  const table = dataset.layers.length === 0 ? "" : htmlTable(layerColumns, layerCells(dataset));
  return `<details><summary>${escapeHtml(dataset.name)}</summary>\n${table}\n</details>`;
}
