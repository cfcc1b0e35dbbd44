/**
 * Datasets, their versions and tags; the store's settings and presets.
 */
import type { JsonObject } from "../model/entry.ts";
import type { DatasetRow, TagRow, VersionRow, Where } from "./rows.ts";
import type { Sqlite } from "./sqlite.ts";
import { compileWhere } from "./where.ts";

interface DatasetColumns {
  readonly dataset: number;
  readonly name: string;
  readonly version: number;
  readonly timeMs: number;
  readonly preset: string | null;
  readonly metadata: string;
  readonly schema: string | null;
  readonly indexed: string;
}

interface VersionColumns {
  readonly version: number;
  readonly sequence: number;
  readonly timeMs: number;
  readonly note: string | null;
}

const selectDataset = `
  SELECT dataset, name, version, time_ms AS timeMs, preset, metadata, schema, indexed FROM dataset d`;

const selectTags = `
  SELECT t.tag, t.version FROM dataset d JOIN tag t ON t.dataset = d.dataset WHERE d.dataset = ? AND d.name IS NOT NULL`;

function datasetRow(columns: DatasetColumns): DatasetRow {
  return {
    ...columns,
    metadata: JSON.parse(columns.metadata) as JsonObject,
    schema: columns.schema === null ? null : (JSON.parse(columns.schema) as JsonObject),
    indexed: JSON.parse(columns.indexed) as string[],
  };
}

/** The current version of a dataset; undefined when there is none of this id, or it was dropped and its rows only wait to go. */
export function currentVersion(sqlite: Sqlite, dataset: number): number | undefined {
  return sqlite.value<number>("SELECT version FROM dataset WHERE dataset = ? AND name IS NOT NULL", dataset);
}

export class Datasets {
  readonly #sqlite: Sqlite;

  constructor(sqlite: Sqlite) {
    this.#sqlite = sqlite;
  }

  byName(name: string): DatasetRow | undefined {
    const columns = this.#sqlite.row<DatasetColumns>(`${selectDataset} WHERE name = ?`, name);
    return columns === undefined ? undefined : datasetRow(columns);
  }

  byId(dataset: number): DatasetRow | undefined {
    const columns = this.#sqlite.row<DatasetColumns>(
      `${selectDataset} WHERE dataset = ? AND name IS NOT NULL`,
      dataset,
    );
    return columns === undefined ? undefined : datasetRow(columns);
  }

  /** All datasets whose metadata fits `where`, by name. */
  all(where?: Where): DatasetRow[] {
    const conditions = where === undefined ? [] : compileWhere(where, "d.metadata");
    const filter = conditions.map((condition) => ` AND ${condition.sql}`).join("");
    return this.#sqlite
      .rows<DatasetColumns>(
        `${selectDataset} WHERE name IS NOT NULL${filter} ORDER BY name`,
        ...conditions.flatMap((condition) => condition.parameters),
      )
      .map(datasetRow);
  }

  /** Kept versions, oldest first, with the tags that name them. */
  versions(dataset: number): VersionRow[] {
    return this.#sqlite.read(() => {
      if (currentVersion(this.#sqlite, dataset) === undefined) {
        return [];
      }
      const tags = this.tags(dataset);
      return this.#sqlite
        .rows<VersionColumns>(
          "SELECT version, sequence, time_ms AS timeMs, note FROM version WHERE dataset = ? ORDER BY version",
          dataset,
        )
        .map(({ version, sequence, timeMs, note }) => ({
          version,
          sequence,
          timeMs,
          ...(note === null ? {} : { note }),
          tags: tags.filter((tag) => tag.version === version).map((tag) => tag.tag),
        }));
    });
  }

  /** Whether a version can be read: it is kept, or it is the current one (a new dataset's is 0). */
  hasVersion(dataset: number, version: number): boolean {
    const found = this.#sqlite.value<number>(
      `SELECT 1 FROM dataset d WHERE dataset = ? AND name IS NOT NULL
       AND (version = ? OR EXISTS (SELECT 1 FROM version v WHERE v.dataset = d.dataset AND v.version = ?))`,
      dataset,
      version,
      version,
    );
    return found === 1;
  }

  tag(dataset: number, tag: string): number | undefined {
    return this.#sqlite.row<TagRow>(`${selectTags} AND tag = ?`, dataset, tag)?.version;
  }

  tags(dataset: number): TagRow[] {
    return this.#sqlite.rows<TagRow>(`${selectTags} ORDER BY tag`, dataset);
  }

  settings(): JsonObject {
    const text = this.#sqlite.value<string>("SELECT value FROM meta WHERE key = 'settings'");
    return text === undefined ? {} : (JSON.parse(text) as JsonObject);
  }

  preset(name: string): JsonObject | undefined {
    const text = this.#sqlite.value<string>("SELECT preset FROM preset WHERE name = ?", name);
    return text === undefined ? undefined : (JSON.parse(text) as JsonObject);
  }

  presets(): { readonly name: string; readonly preset: JsonObject }[] {
    return this.#sqlite
      .rows<{ name: string; preset: string }>("SELECT name, preset FROM preset ORDER BY name")
      .map(({ name, preset }) => ({ name, preset: JSON.parse(preset) as JsonObject }));
  }
}
