/** Reports over what a store tells about itself: pure functions from its statistics to lines of text. */
export { codecTable, datasetReport, layerTable, quantizationLine } from "./dataset-report.ts";
export { diffCells, diffColumns, diffLines } from "./diff-report.ts";
export { familyPicture } from "./family-picture.ts";
export { familiesReport } from "./family-report.ts";
export { htmlReport } from "./html-report.ts";
export {
  differencesLine,
  type ImportTotal,
  importLine,
  importReport,
  importTotal,
  importTotalLine,
  LISTED_MAX,
  lossLine,
  sharedLine,
} from "./import-report.ts";
export {
  formatBytes,
  formatCount,
  formatDecibels,
  formatDeviation,
  formatItems,
  formatPercent,
  formatRatio,
  formatSeconds,
  formatSpeed,
} from "./quantity.ts";
export { formatRatioParts, LOSSY_LAYER, lossyBytesSaved, type RatioParts, ratioParts } from "./ratio.ts";
export { datasetTable, spaceRows, storeReport } from "./store-report.ts";
export {
  type Column,
  displayWidth,
  printable,
  renderFacts,
  renderTable,
  type TableOptions,
} from "./table.ts";
