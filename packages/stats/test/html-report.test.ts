import { describe, expect, it } from "vitest";
import { familyPicture } from "../src/family-picture.ts";
import { familiesReport } from "../src/family-report.ts";
import { escapeHtml, htmlTable } from "../src/html.ts";
import { htmlReport } from "../src/html-report.ts";
import { datasetStats, family, storeStats } from "./fixtures.ts";

const hostile = `<script>alert("1")</script>&'\u202e\u0000`;
const escaped = "&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&amp;&#39;\\u202e\\u0000";

/** Names of all elements in the order in which they open; fails where one is not closed, or a quote is not. */
function elementsOf(html: string): string[] {
  const alone = new Set(["meta", "!doctype", "path", "circle"]);
  const found: string[] = [];
  const open: string[] = [];
  const rest = html
    .replace(/<style>[^<]*<\/style>/, "")
    .replace(
      /<(\/?)([a-z!][a-z0-9]*)((?: [a-zA-Z-]+(?:="[^"<>]*")?)*) *(\/?)>/g,
      (_, closing: string, name: string) => {
        if (closing === "/") expect(open.pop()).toBe(name);
        else {
          found.push(name);
          if (!alone.has(name)) open.push(name);
        }
        return "";
      },
    );
  expect(open).toEqual([]);
  expect(rest).not.toMatch(/[<>]/);
  return found;
}

describe("HTML", () => {
  it("escapes what has a meaning there, and what a terminal would obey", () => {
    expect(escapeHtml(hostile)).toBe(escaped);
    expect(htmlTable([{ title: "<b>" }, { title: "n", align: "right" }], [[hostile, "1"]])).toContain(
      `<th scope="row">${escaped}</th><td class="number">1</td>`,
    );
  });

  it("is one page that needs nothing else, whatever things are called", () => {
    const nasty = family({
      centre: hostile,
      members: family().members.map((member) =>
        member.dataset === "llm/base" ? { ...member, dataset: hostile } : member,
      ),
      links: family().links.map((link) => (link.base === "llm/base" ? { ...link, base: hostile } : link)),
    });
    const page = htmlReport(
      storeStats({
        directory: hostile,
        preset: hostile,
        datasets: [datasetStats({ name: hostile, preset: hostile })],
        families: [nasty],
      }),
    );
    const elements = elementsOf(page);
    expect(elements).not.toContain("script");
    expect(elements.filter((name) => name === "svg").length).toBeGreaterThan(1);
    expect(page).not.toMatch(/https?:|url\(|@import|src=|href=/);
    expect(page).toContain("default-src 'none'");
    expect(page).toContain("prefers-color-scheme: dark");
  });

  it("tells what the text tells, and the layers of every dataset", () => {
    const page = htmlReport(storeStats({ families: [family()] }));
    for (const text of ["1.78 MB", "kept old versions", "Family of llm/base", "llm/lora", "dedupe", "29.4 %"])
      expect(page).toContain(text);
    const empty = htmlReport(storeStats({ datasets: [] }));
    elementsOf(empty);
    expect(empty).toContain("There are none yet");
    expect(empty).not.toContain("<h2>Families");
  });

  it("has colours of enough contrast, in light and in dark", () => {
    const page = htmlReport(storeStats());
    const schemes = [...page.matchAll(/--ground: (#\w+);([^}]*)/g)];
    expect(schemes).toHaveLength(2);
    for (const [, ground, rest] of schemes) {
      const colours = Object.fromEntries(
        [...rest!.matchAll(/--(\w+): (#\w+)/g)].map(([, name, hex]) => [name, hex!]),
      );
      for (const name of ["text", "muted", "difference", "shared"])
        expect(contrast(colours[name]!, ground!), name).toBeGreaterThanOrEqual(4.5);
      for (const name of ["plain", "kept"])
        expect(contrast(colours[name]!, ground!), name).toBeGreaterThanOrEqual(3);
    }
  });
});

/** Of two colours, as WCAG defines it. */
function contrast(one: string, other: string): number {
  const luminance = (hex: string): number => {
    const [red, green, blue] = [1, 3, 5].map((at) => {
      const value = Number.parseInt(hex.slice(at, at + 2), 16) / 255;
      return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red! + 0.7152 * green! + 0.0722 * blue!;
  };
  const [light, dark] = [luminance(one), luminance(other)].sort((a, b) => b - a);
  return (light! + 0.05) / (dark! + 0.05);
}

describe("a family", () => {
  it("as text", () => {
    expect(familiesReport([])).toEqual([]);
    expect(familiesReport([family()])).toEqual([
      "",
      "family of llm/base: 3 datasets, 6.00 MB stored in 2.31 MB; chunks in common save 1.20 MB, differences about 535 kB",
      "  dataset   leans on  as differences  stored  of raw   shared",
      "  llm/lora  llm/base          250 kB  100 kB  40.0 %  1.20 MB",
      "  llm/full  llm/base         1.60 MB  700 kB  43.8 %        -",
      "  llm/full  llm/lora          200 kB  100 kB  50.0 %        -",
    ]);
    const lines = familiesReport(Array.from({ length: 12 }, () => family()));
    expect(lines.at(-1)).toBe("and 2 more families (--json lists them all)");
    const links = Array.from({ length: 13 }, () => family().links[0]!);
    expect(familiesReport([family({ links })]).at(-1)).toBe("  and 3 more links (--json lists them all)");
  });

  it("as a picture: areas are bytes, lines are links, labels are sizes", () => {
    const picture = familyPicture(family());
    elementsOf(picture);
    const circles = [...picture.matchAll(/<circle class="plain" cx="(\d+)" cy="([\d.]+)" r="([\d.]+)"/g)];
    const [base, full, lora] = [1_400_000, 810_000, 105_000].map((bytes) =>
      circles.find(([, , , radius]) => Math.abs(Number(radius) - 50 * Math.sqrt(bytes / 1_400_000)) < 0.06),
    );
    for (const circle of [base, full, lora]) expect(circle).toBeDefined();
    expect(Number(base![1])).toBeLessThan(Number(full![1]));
    // Three links as differences, one of which is shared with, too.
    expect(picture.match(/class="link difference"/g)).toHaveLength(3);
    expect(picture.match(/class="link shared"/g)).toHaveLength(1);
    expect(picture).toContain("differences: 700 kB for 1.60 MB (43.8 %)");
    expect(picture).toContain("shared: 1.20 MB");
    expect(picture).toContain("100 kB as differences to llm/lora");
    expect(picture).not.toMatch(/NaN|undefined|Infinity/);
  });

  it("of one dataset, of datasets that store nothing, of very many, and of long names", () => {
    const [member] = family().members;
    const own = { ...family().links[0]!, dataset: "llm/base", base: "llm/base" };
    const single = familyPicture(family({ members: [member!], links: [own] }));
    elementsOf(single);
    expect(single).toContain("700 kB as differences to itself");
    const nothing = { ...member!, plainBytes: 0, differenceBytes: 0 };
    const empty = familyPicture(family({ members: [nothing, { ...nothing, dataset: "b" }], links: [] }));
    elementsOf(empty);
    expect(empty.match(/class="empty"/g)).toHaveLength(2);
    expect(empty).not.toMatch(/NaN|Infinity/);
    const many = Array.from({ length: 100 }, (_, index) => ({
      ...member!,
      dataset: `${"very-".repeat(20)}long-${index}`,
    }));
    const large = familyPicture(family({ members: [member!, ...many], links: [] }));
    elementsOf(large);
    expect(large.match(/class="name"/g)).toHaveLength(25);
    expect(large).toContain("and 76 more datasets, listed below");
    expect(large).toContain(">very-very-very-v…ery-very-long-0<");
  });
});
