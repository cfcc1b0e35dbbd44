/**
 * Files that belong together: checks each against its companions, and gives companions the parts that only their owner can tell. Whose companion
 * a file is, the owner says; a file whose owner is not in the import stays what its own format found.
 */
import { InvalidFileError } from "@tensorcask/codec";
import { type FilePlan, OPAQUE_FORMAT, opaquePlan } from "../model/plan.ts";
import { checkPlan } from "./check-plan.ts";
import type { Skipped } from "./directory.ts";
import type { FormatPlan } from "./format.ts";
import { quote } from "./strict-json.ts";

/** A file of an import. */
export interface PlannedFile {
  /** Where it was found: the name in errors. */
  readonly name: string;
  readonly plan: FilePlan;
  readonly found: FormatPlan;
  /** Why its own format refuses it: an owner may know better. The plan keeps it as bytes. */
  readonly refused?: InvalidFileError;
}

/** The plans of an import, and the files that are opaque against what they look like. */
export interface JoinedPlans {
  readonly files: FilePlan[];
  readonly keptOpaque: Skipped[];
}

/**
 * Joins the files of an import, by path. With `keepInvalid`, an owner that does not fit its companions is kept as bytes. Throws
 * `InvalidFileError`: what refused a file that nobody claims, what the check of a format finds, the rules of `checkPlan`, and `companion` when
 * two files claim one.
 */
export function joinCompanions(
  planned: ReadonlyMap<string, PlannedFile>,
  keptOpaque: readonly Skipped[],
  keepInvalid: boolean,
): JoinedPlans {
  const claimable = new Set<string>();
  for (const [path, { found }] of planned)
    for (const companion of found.companionParts?.keys() ?? []) claimable.add(beside(path, companion));
  for (const [path, { refused }] of planned) if (refused !== undefined && !claimable.has(path)) throw refused;

  const plans = new Map([...planned].map(([path, { plan }]) => [path, plan]));
  const kept = new Map(keptOpaque.map((skipped) => [skipped.path, skipped]));
  const owners = new Map<string, string>();
  for (const [path, owner] of planned) {
    try {
      checkOwner(path, owner, plans);
      for (const plan of claimedPlans(path, owner, plans, owners)) {
        plans.set(plan.path, plan);
        owners.set(plan.path, owner.name);
        kept.delete(plan.path);
      }
    } catch (error) {
      if (!(error instanceof InvalidFileError) || !keepInvalid) throw error;
      kept.set(path, { path, reason: error.message });
      plans.set(path, opaquePlan(owner.plan));
    }
  }
  return { files: [...plans.values()], keptOpaque: [...kept.values()] };
}

/** The path of a file in the same folder. */
function beside(path: string, name: string): string {
  return path.slice(0, path.lastIndexOf("/") + 1) + name;
}

function checkOwner(path: string, { found }: PlannedFile, plans: ReadonlyMap<string, FilePlan>): void {
  if (found.check === undefined) return;
  const companions = (found.companions ?? []).flatMap((name) => {
    const plan = plans.get(beside(path, name));
    return plan === undefined ? [] : [[name, plan] as const];
  });
  found.check(new Map(companions));
}

/** The companions of one owner that are in the import, with the parts that it gives them. All of them, or it throws. */
function claimedPlans(
  path: string,
  owner: PlannedFile,
  plans: ReadonlyMap<string, FilePlan>,
  owners: ReadonlyMap<string, string>,
): FilePlan[] {
  const claimed: FilePlan[] = [];
  for (const [name, partsOf] of owner.found.companionParts ?? []) {
    const plan = plans.get(beside(path, name));
    if (plan === undefined) continue;
    const other = owners.get(plan.path);
    if (other !== undefined) {
      throw new InvalidFileError(
        owner.name,
        "companion",
        `${quote(name)} belongs to ${other} already, and one file's bytes have one owner; import the two into different datasets, or with --opaque`,
      );
    }
    const parts = partsOf(plan.bytes);
    checkPlan(`${owner.name}: ${name}`, plan.bytes, parts);
    const { path: companion, bytes, source } = plan;
    const format = plan.format === OPAQUE_FORMAT ? `${owner.plan.format}-data` : plan.format;
    claimed.push({ path: companion, format, bytes, parts, source });
  }
  return claimed;
}
