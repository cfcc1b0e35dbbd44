/** Misspelt options are refused by name: one that is ignored does something else than its author thinks. */
import { UsageError } from "@tensorcask/codec";

/** Throws `UsageError` for the first key of `options` that is not among `names`. */
export function checkOptionNames(options: object, names: readonly string[], what: string): void {
  for (const name of Object.keys(options)) {
    if (names.includes(name)) continue;
    const close = names.find((known) => known.toLowerCase() === name.toLowerCase());
    const advice = close === undefined ? `there are ${names.join(", ")}` : `it is spelled ${close}`;
    throw new UsageError(name, `${what} has no option ${JSON.stringify(name)}: ${advice}`);
  }
}
