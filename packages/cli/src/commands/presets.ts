/**
 * `presets`: lists the presets, and defines, shows and removes a store's own ones.
 */
import { readFile } from "node:fs/promises";
import type { Preset } from "@tensorcask/codec";
import { printable, renderTable } from "@tensorcask/stats";
import type { Command } from "commander";
import { addExamples, type Define, type Open } from "../command.ts";
import type { CommandContext } from "../context.ts";
import { CommandUsageError } from "../failure.ts";

export const define: Define = (command, open) => {
  command
    .description(
      "Lists presets: what they do and whether they lose anything. A store may define presets of its own.",
    )
    .action(async (_options: object, self: Command) => {
      const context = open(self);
      const { presets, storePreset } = await knownPresets(context);
      await printPresets(presets, storePreset, context);
    });
  addExamples(command, [
    ["tensorcask presets", "list them"],
    ["tensorcask presets show lossless", "one as JSON"],
    ["tensorcask presets define mine mine.json", "define one from a JSON file"],
    ["tensorcask presets remove mine", "remove it"],
  ]);
  defineShow(command, open);
  defineDefine(command, open);
  defineRemove(command, open);
};

function defineShow(parent: Command, open: Open): void {
  const command = parent
    .command("show")
    .description("Prints a preset as the JSON that `presets define` takes.")
    .argument("<name>")
    .action(async (name: string, _options: object, self: Command) => {
      const context = open(self);
      const { NotFoundError, presetToJson } = await import("@tensorcask/codec");
      const { presets } = await knownPresets(context);
      const preset = presets.find((one) => one.name === name);
      if (preset === undefined) {
        throw new NotFoundError("preset", name, `known: ${presets.map((one) => one.name).join(", ")}`);
      }
      await context.print(presetToJson(preset), () => [JSON.stringify(presetToJson(preset), null, 2)]);
    });
  addExamples(command, [["tensorcask presets show balanced", "what it is made of"]]);
}

function defineDefine(parent: Command, open: Open): void {
  const command = parent
    .command("define")
    .description(
      "Defines a preset for this store from a JSON file: { codec, quantizer?, policy?, description? }. A codec is an id, { id, parameters }\n" +
        "or a list of them; a quantizer is an id or { id, parameters } and loses precision; a policy chooses it by tensor: by name,\n" +
        "dtype and size, or the cheapest within an error budget.",
    )
    .argument("<name>")
    .argument("<file.json>")
    .action(async (name: string, file: string, _options: object, self: Command) => {
      const context = open(self);
      const json = parsePresetFile(file, await readFile(file, "utf8"));
      await context.withStore("create", async (store) => {
        const { bitsPerWeightOf } = await import("@tensorcask/codec");
        const preset = await store.definePreset(name, json);
        await context.print(presetFacts(preset, bitsPerWeightOf(preset)), () => [
          `Defined ${printable(preset.name)}: ${preset.lossless ? "lossless" : "lossy"}`,
        ]);
      });
    });
  addExamples(command, [
    [`echo '{"codec":["planes",{"id":"zstd","level":19}]}' > small.json`, "a codec chain"],
    ["tensorcask presets define small small.json", "under a name"],
    ["tensorcask import model/ --dataset llm --preset small", "in use"],
  ]);
}

function defineRemove(parent: Command, open: Open): void {
  const command = parent
    .command("remove")
    .description("Removes a preset that this store defined. What was stored with it stays readable.")
    .argument("<name>")
    .action(async (name: string, _options: object, self: Command) => {
      const context = open(self);
      await context.withStore("write", (store) => store.removePreset(name));
      await context.print({ removed: name }, () => [`Removed ${printable(name)}`]);
    });
  addExamples(command, [["tensorcask presets remove small", "forget a preset"]]);
}

function parsePresetFile(file: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new CommandUsageError(
      "file",
      `${file} is not valid JSON: ${error instanceof Error ? error.message : error}`,
    );
  }
}

/** A preset as `--json` prints it. `bits`: per weight of large float32 tensors. */
function presetFacts(preset: Preset, bits: number | undefined): object {
  const { name, lossless, quantizer, policy, codec, description } = preset;
  return {
    name,
    lossless,
    quantizer: quantizer ?? null,
    policy: policy ?? null,
    bitsPerWeight: bits ?? null,
    codec,
    description,
  };
}

interface KnownPresets {
  readonly presets: readonly Preset[];
  /** Name of the store's preset; undefined without a store. */
  readonly storePreset: string | undefined;
}

/** The presets of the store; the built-in ones when none is named, or the one that is named is not there yet. */
async function knownPresets(context: CommandContext): Promise<KnownPresets> {
  const { builtinPresets } = await import("@tensorcask/codec");
  const builtin = { presets: builtinPresets, storePreset: undefined };
  if (context.storeDirectory === undefined) {
    return builtin;
  }
  try {
    return await context.withStore("read", async (store) => ({
      presets: await store.presets(),
      storePreset: (await store.preset()).name,
    }));
  } catch (error) {
    if ((error as { readonly reason?: unknown }).reason === "missing") {
      return builtin;
    }
    throw error;
  }
}

async function printPresets(
  presets: readonly Preset[],
  storePreset: string | undefined,
  context: CommandContext,
): Promise<void> {
  const { bitsPerWeightOf } = await import("@tensorcask/codec");
  const facts = presets.map((preset) => presetFacts(preset, bitsPerWeightOf(preset)));
  await context.print({ storePreset: storePreset ?? null, presets: facts }, () =>
    renderTable(
      [
        { title: "preset" },
        { title: "" },
        { title: "quantizer" },
        { title: "bits", align: "right" },
        { title: "does" },
      ],
      presets.map((preset) => [
        preset.name === storePreset ? `${preset.name} *` : preset.name,
        preset.lossless ? "lossless" : "lossy",
        preset.policy === undefined ? (preset.quantizer?.id ?? "none") : "by policy",
        bitsPerWeightOf(preset)?.toFixed(2) ?? "",
        preset.description,
      ]),
    ).concat(
      "bits: per weight of large float32 tensors, scales included",
      storePreset === undefined ? [] : ["* the store's"],
    ),
  );
}
