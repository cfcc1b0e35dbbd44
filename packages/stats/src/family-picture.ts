/**
 * A family as a picture: who is stored as a difference of whom, at what size.
 *
 *   +-------------------------------------------------------------+
 *   |          differences: 700 kB for 1.60 MB (43.8 %)            |
 *   |   ,--.  <----------------------------------- (o) llm/full    |   one row for each member but the centre
 *   |  (    )                                          810 kB of   |
 *   |   `--'  <----------------------------------- (o) llm/lora    |   solid: differences, dashed: shared
 *   | llm/base     shared: 1.20 MB                     105 kB of   |
 *   +-------------------------------------------------------------+
 *
 * The area of a circle is the bytes that are stored for its dataset; slices of it are differences and what is kept of deleted datasets. Links to
 * the centre are labelled, others are drawn, and told in the row of their dataset. Colours are those of the page (`html-report.ts`).
 */
import type { FamilyLink, FamilyMember, FamilyUsage } from "@tensorcask/core";
import { rankedLinks } from "./family-report.ts";
import { escapeHtml } from "./html.ts";
import { formatBytes, formatItems, formatPercent } from "./quantity.ts";
import { displayWidth } from "./table.ts";

const WIDTH = 1000;
const CENTRE_X = 118;
const MEMBER_X = 650;
/** Between these, lines are level, and labels stand on them. */
const LABEL_START_X = 285;
const LABEL_END_X = 575;
const LARGEST_RADIUS = 50;
const SMALLEST_RADIUS = 5;
const LINE_HEIGHT = 17;
const ROW_GAP = 22;
/** How far below its place a line from the centre to a member is. */
const RETURN_SHIFT = 9;
/** Members, and further links of one, that are drawn; more are counted. */
const DRAWN_MEMBERS = 24;
const DRAWN_LINKS = 3;
/** Cells of a name that fit beside its circle. */
const NAME_WIDTH = 32;

interface Place {
  readonly x: number;
  readonly y: number;
  readonly radius: number;
}

/** The picture as an `<svg>` element. */
export function familyPicture(family: FamilyUsage): string {
  const ranked = rankedLinks(family);
  const [centre, ...others] = family.members as readonly [FamilyMember, ...FamilyMember[]];
  const leaning = new Map<string, number>();
  for (const { dataset, differenceRawBytes, sharedRawBytes } of family.links)
    leaning.set(dataset, (leaning.get(dataset) ?? 0) + differenceRawBytes + sharedRawBytes);
  const drawn = [...others]
    .sort((a, b) => (leaning.get(b.dataset) ?? 0) - (leaning.get(a.dataset) ?? 0))
    .slice(0, DRAWN_MEMBERS);
  const largest = Math.max(1, ...[centre, ...drawn].map(storedBytes));
  const radiusOf = (member: FamilyMember): number =>
    Math.max(SMALLEST_RADIUS, LARGEST_RADIUS * Math.sqrt(storedBytes(member) / largest));

  const places = new Map<string, Place>();
  const rows: { readonly member: FamilyMember; readonly lines: readonly string[] }[] = [];
  let bottom = ROW_GAP;
  for (const member of drawn) {
    const lines = rowLines(member, ranked, family.centre);
    const radius = radiusOf(member);
    const height = Math.max(2 * radius, LINE_HEIGHT * (lines.length + 1), 2 * LINE_HEIGHT);
    places.set(member.dataset, { x: MEMBER_X, y: bottom + height / 2, radius });
    rows.push({ member, lines });
    bottom += height + ROW_GAP;
  }
  const undrawn = others.length - drawn.length;
  const note = undrawn > 0 ? `and ${formatItems(undrawn, "more dataset")}, listed below` : undefined;
  const centreLines = rowLines(centre, ranked, family.centre);
  const radius = radiusOf(centre);
  const centreHeight = 2 * radius + LINE_HEIGHT * (centreLines.length + 2);
  const height = Math.max(bottom + (note === undefined ? 0 : LINE_HEIGHT + 6), centreHeight + 2 * ROW_GAP);
  places.set(centre.dataset, { x: CENTRE_X, y: (height - centreHeight) / 2 + radius, radius });

  const title = `The family of ${family.centre}: who is stored as a difference of whom`;
  const links = ranked.filter(({ dataset, base }) => dataset !== base);
  return [
    `<svg class="family" viewBox="0 0 ${WIDTH} ${Math.ceil(height)}" role="img" aria-label="${escapeHtml(title)}">`,
    ...links.flatMap((link) => arrows(link, places, family.centre)),
    disc(centre, places.get(centre.dataset)!),
    ...centreText(centre, centreLines, places.get(centre.dataset)!),
    ...rows.flatMap(({ member, lines }) => [
      disc(member, places.get(member.dataset)!),
      ...rowText(member, lines, places.get(member.dataset)!),
    ]),
    ...links.flatMap((link) => {
      const isMutual = links.some(({ dataset, base }) => dataset === link.base && base === link.dataset);
      return labels(link, places, family.centre, isMutual ? RETURN_SHIFT : 0);
    }),
    ...(note === undefined ? [] : [text(MEMBER_X, bottom + 4, note, "muted", "middle")]),
    "</svg>",
  ].join("\n");
}

function storedBytes({ plainBytes, differenceBytes, keptBytes }: FamilyMember): number {
  return plainBytes + differenceBytes + keptBytes;
}

/** What stands below the name of a dataset: its size, and its links that have no label. */
function rowLines(member: FamilyMember, ranked: readonly FamilyLink[], centre: string): string[] {
  const links = ranked.filter(
    ({ dataset, base }) => dataset === member.dataset && (base !== centre || base === dataset),
  );
  const more = links.length - DRAWN_LINKS;
  return [
    `${formatBytes(storedBytes(member))} stored, of ${formatBytes(member.rawBytes)}`,
    ...links.slice(0, DRAWN_LINKS).map((link) => {
      const base = link.base === link.dataset ? "itself" : shortened(link.base, 16);
      const { differenceRawBytes, differenceBytes, sharedBytes } = link;
      return differenceRawBytes > 0
        ? `${formatBytes(differenceBytes)} as differences to ${base}`
        : `${formatBytes(sharedBytes)} shared with ${base}`;
    }),
    ...(more > 0 ? [`and ${formatItems(more, "more link")}`] : []),
  ];
}

/** The lines of one link: solid for differences, dashed for what is shared. They lead to the base. */
function arrows(link: FamilyLink, places: ReadonlyMap<string, Place>, centre: string): string[] {
  const from = places.get(link.dataset);
  const to = places.get(link.base);
  if (from === undefined || to === undefined) return [];
  const kinds = [
    ...(link.differenceRawBytes > 0 ? ["difference"] : []),
    ...(link.sharedRawBytes > 0 ? ["shared"] : []),
  ];
  return kinds.map((kind, index) => {
    const shift = kinds.length === 1 ? 0 : index === 0 ? -3 : 3;
    const isAcross = link.dataset === centre || link.base === centre;
    return curve(kind, isAcross ? across(from, to, shift) : beside(from, to, shift));
  });
}

type Point = readonly [x: number, y: number];

/** A level stretch, when there is one at the start or the end, and a bend. */
interface Curve {
  readonly start: Point;
  readonly level?: Point;
  readonly bends: readonly [Point, Point];
  readonly end: Point;
  readonly levelEnd?: Point;
}

/** Between the columns: level beside the member, where labels are, then into the centre. */
function across(from: Place, to: Place, shift: number): Curve {
  const [left, right] = from.x < to.x ? [from, to] : [to, from];
  // Lines that lead away from the centre keep clear of those that lead there.
  const y = right.y + (right === from ? shift : shift + RETURN_SHIFT);
  // Not too steep: the name of the centre is below it.
  const angle = Math.max(-0.8, Math.min(0.8, Math.atan2(y - left.y, LABEL_START_X - left.x)));
  const out = (distance: number): Point => [
    left.x + distance * Math.cos(angle),
    left.y + shift + distance * Math.sin(angle),
  ];
  const turn: Point = [LABEL_START_X, y];
  const bends = [[LABEL_START_X - 45, y] as const, out(left.radius + 30)] as const;
  const atMember: Point = [right.x - right.radius - 4, y];
  const atCentre = out(left.radius + 4);
  return right === from
    ? { start: atMember, level: turn, bends, end: atCentre }
    : { start: atCentre, bends: [bends[1], bends[0]], end: turn, levelEnd: atMember };
}

/** Between two members, in a bow to the left of their column. */
function beside(from: Place, to: Place, shift: number): Curve {
  const bow = MEMBER_X - Math.max(from.radius, to.radius) - 34;
  return {
    start: [from.x - from.radius - 3, from.y + shift],
    bends: [
      [bow, from.y + shift],
      [bow, to.y + shift],
    ],
    end: [to.x - to.radius - 4, to.y + shift],
  };
}

function curve(kind: string, { start, level, bends, end, levelEnd }: Curve): string {
  const at = ([x, y]: Point): string => `${x.toFixed(1)} ${y.toFixed(1)}`;
  const line = (to: Point | undefined): string => (to === undefined ? "" : ` L${at(to)}`);
  const path = `M${at(start)}${line(level)} C${at(bends[0])} ${at(bends[1])} ${at(end)}${line(levelEnd)}`;
  // The tip points where the line arrives, and is drawn by hand: markers do not take the colour of their line everywhere.
  const [x, y] = levelEnd ?? end;
  const [beforeX, beforeY] = levelEnd === undefined ? bends[1] : end;
  const angle = Math.atan2(y - beforeY, x - beforeX);
  const corner = (turn: number): Point => [x - 9 * Math.cos(angle + turn), y - 9 * Math.sin(angle + turn)];
  const tip = `M${at([x, y])} L${at(corner(0.4))} L${at(corner(-0.4))} Z`;
  return `<path class="link ${kind}" d="${path}"/><path class="tip ${kind}" d="${tip}"/>`;
}

/** Labels of a link to the centre, above and below the end at the member. */
function labels(
  link: FamilyLink,
  places: ReadonlyMap<string, Place>,
  centre: string,
  lower: number,
): string[] {
  const place = places.get(link.dataset);
  if (link.base !== centre || place === undefined) return [];
  const { differenceRawBytes, differenceBytes, sharedBytes, sharedRawBytes } = link;
  const part = formatPercent(differenceBytes, differenceRawBytes);
  const difference = `differences: ${formatBytes(differenceBytes)} for ${formatBytes(differenceRawBytes)} (${part})`;
  return [
    ...(differenceRawBytes > 0 ? [text(LABEL_END_X, place.y - 8, difference, "difference", "end")] : []),
    ...(sharedRawBytes > 0
      ? [text(LABEL_END_X, place.y + 18 + lower, `shared: ${formatBytes(sharedBytes)}`, "shared", "end")]
      : []),
  ];
}

/** A circle, and in it slices for differences and for what is kept. */
function disc(member: FamilyMember, { x, y, radius }: Place): string {
  const total = storedBytes(member);
  const round = `cx="${x}" cy="${y.toFixed(1)}" r="${radius.toFixed(1)}"`;
  const tooltip = `<title>${escapeHtml(
    `${member.dataset}: ${formatBytes(member.plainBytes)} plain, ${formatBytes(member.differenceBytes)} differences, ${formatBytes(
      member.keptBytes,
    )} kept, ${formatBytes(member.sharedBytes)} shared`,
  )}</title>`;
  if (total === 0) return `<g>${tooltip}<circle class="empty" ${round}/></g>`;
  const differences = member.differenceBytes / total;
  const kept = member.keptBytes / total;
  return [
    `<g>${tooltip}<circle class="plain" ${round}/>`,
    slice("difference", x, y, radius, 0, differences),
    slice("kept", x, y, radius, differences, differences + kept),
    "</g>",
  ].join("");
}

/** A slice of a circle from one part of its turn to another, clockwise from the top. */
function slice(kind: string, x: number, y: number, radius: number, from: number, to: number): string {
  if (to - from < 0.001) return "";
  if (to - from > 0.999)
    return `<circle class="${kind}" cx="${x}" cy="${y.toFixed(1)}" r="${radius.toFixed(1)}"/>`;
  const at = (turn: number): string =>
    `${(x + radius * Math.sin(2 * Math.PI * turn)).toFixed(2)} ${(y - radius * Math.cos(2 * Math.PI * turn)).toFixed(2)}`;
  const arc = `A${radius.toFixed(2)} ${radius.toFixed(2)} 0 ${to - from > 0.5 ? 1 : 0} 1 ${at(to)}`;
  return `<path class="${kind}" d="M${x} ${y.toFixed(2)} L${at(from)} ${arc} Z"/>`;
}

function centreText({ dataset }: FamilyMember, lines: readonly string[], { x, y, radius }: Place): string[] {
  const top = y + radius + LINE_HEIGHT + 4;
  return [
    text(x, top, shortened(dataset, 28), "name", "middle"),
    ...lines.map((line, index) => text(x, top + LINE_HEIGHT * (index + 1), line, "muted", "middle")),
  ];
}

function rowText({ dataset }: FamilyMember, lines: readonly string[], { x, y, radius }: Place): string[] {
  const left = x + radius + 12;
  const top = y - (LINE_HEIGHT * lines.length) / 2 + 4;
  return [
    text(left, top, shortened(dataset, NAME_WIDTH), "name"),
    ...lines.map((line, index) => text(left, top + LINE_HEIGHT * (index + 1), line, "muted")),
  ];
}

function text(x: number, y: number, content: string, kind: string, anchor = "start"): string {
  return `<text class="${kind}" x="${x.toFixed(1)}" y="${y.toFixed(1)}" text-anchor="${anchor}">${escapeHtml(content)}</text>`;
}

/** A name cut in the middle, so that its namespace and its end both show. */
function shortened(name: string, width: number): string {
  if (displayWidth(name) <= width) return name;
  const characters = [...name];
  for (let kept = width - 1; ; kept -= 1) {
    const head = characters.slice(0, Math.ceil(kept / 2)).join("");
    const tail = characters.slice(characters.length - Math.floor(kept / 2)).join("");
    if (displayWidth(head) + displayWidth(tail) < width) return `${head}…${tail}`;
  }
}
