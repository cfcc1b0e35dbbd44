/** Checks of quantizer parameters; every refusal names the parameter. */
import type { JsonObject } from "../bytes/json.ts";
import { UsageError } from "../errors/errors.ts";

/** Refuses keys that are not in `known`. `what` is the quantizer, for the message. */
export function refuseUnknownParameters(
  parameters: JsonObject,
  known: readonly string[],
  what: string,
): void {
  for (const key of Object.keys(parameters)) {
    if (known.includes(key)) continue;
    const advice = known.length === 0 ? "it takes none" : `known: ${known.join(", ")}`;
    throw new UsageError(key, `${what} has no parameter ${JSON.stringify(key)}; ${advice}`);
  }
}

/** The parameter `name` as one of `choices`, or the first choice where it is absent. */
export function choiceParameter<Choice extends string>(
  parameters: JsonObject,
  name: string,
  what: string,
  choices: readonly [Choice, ...Choice[]],
): Choice {
  const value = parameters[name];
  if (value === undefined) return choices[0];
  const found = choices.find((choice) => choice === value);
  if (found !== undefined) return found;
  throw new UsageError(
    name,
    `${what}: ${name} is ${JSON.stringify(value)}; it must be one of ${choices.join(", ")}`,
  );
}
