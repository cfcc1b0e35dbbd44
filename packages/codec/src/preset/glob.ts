/** Patterns of tensor names: `*` stands for any characters (dots and slashes too), `?` for one, everything else for itself. */

/** Whether a whole name fits a pattern. Takes time in proportion to the product of the lengths at most. */
export function matchesGlob(pattern: string, name: string): boolean {
  let at = 0;
  let from = 0;
  /** Behind the last star, and where in the name it is tried to end. */
  let afterStar = -1;
  let retry = 0;
  while (from < name.length) {
    const wanted = pattern[at];
    if (wanted === "*") {
      at += 1;
      afterStar = at;
      retry = from;
    } else if (at < pattern.length && (wanted === "?" || wanted === name[from])) {
      at += 1;
      from += 1;
    } else if (afterStar >= 0) {
      at = afterStar;
      retry += 1;
      from = retry;
    } else return false;
  }
  while (pattern[at] === "*") at += 1;
  return at === pattern.length;
}
