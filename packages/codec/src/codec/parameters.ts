/** Checks of codec parameters beyond those that quantizers have too; every refusal names the parameter. */
import type { JsonObject } from "../bytes/json.ts";
import { UsageError } from "../errors/errors.ts";

/**
 * The integer parameter `name`, or `fallback` where it is absent. Throws `UsageError` outside [minimum,
 * maximum].
 */
export function integerParameter(
  parameters: JsonObject,
  name: string,
  what: string,
  range: { minimum: number; maximum: number; fallback: number },
): number {
  const value = parameters[name] === undefined ? range.fallback : parameters[name];
  if (
    typeof value === "number" &&
    Number.isInteger(value) &&
    value >= range.minimum &&
    value <= range.maximum
  ) {
    return value;
  }
  throw new UsageError(
    name,
    `${what}: ${name} is ${JSON.stringify(value)}; it must be an integer from ${range.minimum} to ${range.maximum}`,
  );
}
