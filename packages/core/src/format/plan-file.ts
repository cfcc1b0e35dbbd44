/** One file whose name is not where it lies: what came through a pipe. */
import type { FileSystem } from "../files/file-system.ts";
import { nodeFileSystem } from "../files/node.ts";
import { type FilePlan, fileSource } from "../model/plan.ts";
import { planSource } from "./inputs.ts";

/**
 * Plans the file at `path` as if it were called `name`, whose extension may claim it for a format. Throws `InvalidFileError` naming tensor and rule,
 * also for a file that only looks like a format and breaks its rules.
 */
export async function planFile(
  path: string,
  name: string,
  files: FileSystem = nodeFileSystem,
): Promise<FilePlan> {
  const open = () => fileSource(files, path, name);
  const source = await open();
  try {
    const { format, plan, broken } = await planSource(source, name);
    if (broken !== undefined) throw broken;
    const { parts, derived, metadata } = plan;
    return {
      path: name,
      format,
      bytes: source.bytes,
      parts,
      ...(derived !== undefined && { derived }),
      ...(metadata !== undefined && { metadata }),
      source: open,
    };
  } finally {
    await source.close();
  }
}
