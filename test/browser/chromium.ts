/** The Chromium that the tests drive: one that the machine has, none is downloaded. */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { type Browser, chromium } from "playwright-core";

const NAMES = ["chromium", "chromium-browser", "google-chrome"];

/** Keeps it to the page that it is given: as root, without a screen, and silent towards the network. */
const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/**
 * The executable: `CHROMIUM_PATH`, else the first of chromium, chromium-browser and google-chrome in /usr/bin and PATH. Undefined when
 * there is none. Throws when `CHROMIUM_PATH` names something that does not run.
 */
export function findChromium(): string | undefined {
  const named = process.env.CHROMIUM_PATH;
  if (named !== undefined && named !== "") {
    if (runs(named)) return named;
    throw new Error(`CHROMIUM_PATH is ${named}, which does not run`);
  }
  const folders = [
    "/usr/bin",
    ...(process.env.PATH ?? "").split(delimiter).filter((folder) => folder !== ""),
  ];
  return NAMES.flatMap((name) => folders.map((folder) => join(folder, name))).find(runs);
}

/** Whether it tells its version: what Ubuntu calls chromium-browser only says where to get one. */
function runs(file: string): boolean {
  return (
    existsSync(file) && spawnSync(file, ["--version"], { stdio: "ignore", timeout: 30_000 }).status === 0
  );
}

export function launchChromium(executablePath: string): Promise<Browser> {
  return chromium.launch({ executablePath, headless: true, args: FLAGS });
}
