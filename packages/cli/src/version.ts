/**
 * The version of the package, from its package.json, which lies one level above both `src` and `dist`.
 */
import { readFileSync } from "node:fs";

/** Version of this package, such as `1.2.3`. */
export function packageVersion(): string {
  const json: unknown = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"));
  return (json as { readonly version: string }).version;
}
