/** The two sides of the tests, Node and a page in Chromium, and what either cannot do. */
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { findChromium, launchChromium } from "./chromium.ts";
import { type Bundle, bundlePage, type Site, serve } from "./site.ts";
import * as suite from "./suite.ts";

type Suite = typeof suite;

export type SideName = "Node" | "Chromium";

export const SIDES: readonly SideName[] = ["Node", "Chromium"];

/** What a side cannot do, by codec. Everything else it must do. */
export const CANNOT_ENCODE: Record<SideName, readonly string[]> = { Node: [], Chromium: ["zstd", "brotli"] };
export const CANNOT_DECODE: Record<SideName, readonly string[]> = { Node: [], Chromium: ["brotli"] };

/** Bundling and starting take two seconds; a machine may be busy. */
const START_TIMEOUT_MS = 120_000;

/** Calls a function of the suite on one side. */
export type Side = <Name extends keyof Suite>(
  name: Name,
  ...given: Parameters<Suite[Name]>
) => Promise<Awaited<ReturnType<Suite[Name]>>>;

/** A browser at the bundled page, beside Node. */
export interface Session {
  readonly bundle: Bundle;
  readonly site: Site;
  readonly sides: Readonly<Record<SideName, Side>>;
  /** Opens the page once more; `prepare` comes before anything is loaded. */
  openPage(prepare?: (page: Page) => Promise<unknown>): Promise<Side>;
}

/**
 * Declares tests that need the browser. They get at the session when they run; both sides have loaded then. Without a Chromium
 * they are skipped, which is said aloud. The last test is that the page had nothing to complain about.
 */
export function describeInBrowser(title: string, tests: (session: () => Session) => void): void {
  const executable = findChromium();
  if (executable === undefined) {
    console.warn(
      `SKIPPED: the tests of ${title} need Chromium, which is not here. Install it (Debian: apt-get install chromium), or set CHROMIUM_PATH to its executable.`,
    );
  }
  describe.skipIf(executable === undefined)(title, () => {
    let session: Session;
    let browser: Browser | undefined;
    /** Messages of the console, and errors that nothing caught. */
    const complaints: string[] = [];

    beforeAll(async () => {
      const bundle = await bundlePage();
      const site = await serve(bundle);
      browser = await launchChromium(executable!);
      const openPage = (prepare?: (page: Page) => Promise<unknown>): Promise<Side> =>
        opened(browser!, `${site.origin}/page.html`, prepare);
      const inChromium = await openPage(async (page) => {
        page.on("console", (message) => complaints.push(message.text()));
        page.on("pageerror", (error) => complaints.push(String(error)));
      });
      session = { bundle, site, sides: { Node: underNode, Chromium: inChromium }, openPage };
      for (const side of SIDES) await session.sides[side]("load");
    }, START_TIMEOUT_MS);

    afterAll(async () => {
      await browser?.close();
      await session?.site.close();
    });

    tests(() => session);

    it("leaves no complaint in the page", () => {
      expect(complaints).toEqual([]);
    });
  });
}

/** The suite's functions by name, for whom the types no longer tell which one it is. */
type Functions = Readonly<Record<string, (...given: readonly unknown[]) => unknown>>;

const functions = { ...suite } as unknown as Functions;

const underNode: Side = async (name, ...given) => functions[name]!(...given) as never;

/** Opens the page in a context of its own, so that nothing is cached, and returns its side. */
async function opened(
  browser: Browser,
  url: string,
  prepare?: (page: Page) => Promise<unknown>,
): Promise<Side> {
  const page = await browser.newPage();
  await prepare?.(page);
  await page.goto(url);
  return (name, ...given) =>
    page.evaluate(
      // Runs in the page: it sees nothing of this file.
      ([called, args]) => (globalThis as unknown as { suite: Functions }).suite[called]!(...args),
      [name, given] as [string, unknown[]],
    ) as never;
}
