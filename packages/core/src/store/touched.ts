/** What write sets touch: those that touch the same thing do not share a journal entry. */
import { recordIdText } from "./record-id.ts";
import type { DatasetRef, WriteSet } from "./write-set.ts";

/**
 * What a write set touches. Two write sets that touch the same thing do not share an entry, since the second must see what the first did.
 */
export interface Touched {
  /** Single records and names. */
  readonly keys: readonly string[];
  /** Datasets in which it only adds or changes single records. */
  readonly shared: readonly string[];
  /** Datasets that it reads or changes as a whole. */
  readonly exclusive: readonly string[];
}

export function touches(writeSet: WriteSet): Touched {
  const keys: string[] = [];
  const shared: string[] = [];
  const exclusive: string[] = [];
  for (const expectation of writeSet.expectations ?? []) {
    const dataset = datasetKey(expectation.dataset);
    (expectation.kind === "version" ? exclusive : shared).push(dataset);
    if (expectation.kind === "record") keys.push(recordKey(expectation.dataset, expectation.id));
    if (expectation.kind === "name") keys.push(nameKey(expectation.dataset, expectation.name));
  }
  for (const intent of writeSet.intents) {
    switch (intent.kind) {
      case "insert":
        shared.push(datasetKey(intent.dataset));
        if (intent.record.name !== undefined) keys.push(nameKey(intent.dataset, intent.record.name));
        break;
      case "update":
        shared.push(datasetKey(intent.dataset));
        keys.push(recordKey(intent.dataset, intent.id));
        if (intent.name !== undefined) keys.push(nameKey(intent.dataset, intent.name));
        break;
      case "delete":
        shared.push(datasetKey(intent.dataset));
        keys.push(recordKey(intent.dataset, intent.id));
        break;
      case "stage":
      case "unstage":
        break;
      case "settings":
      case "set-preset":
      case "drop-preset":
        exclusive.push("settings");
        break;
      case "create-dataset":
        exclusive.push(`name ${intent.dataset.name}`, datasetKey(intent.dataset));
        // Whoever refers to a preset does not share an entry with whoever removes one.
        if (intent.preset !== null) shared.push("settings");
        break;
      case "set-dataset":
        exclusive.push(datasetKey(intent.dataset));
        if ((intent.preset ?? null) !== null) shared.push("settings");
        break;
      default:
        // Files bring and remove many records; they, and everything about a dataset as a whole, do not share an entry with its other changes.
        exclusive.push(datasetKey(intent.dataset));
    }
  }
  return { keys, shared, exclusive };
}

function datasetKey(dataset: DatasetRef): string {
  return dataset.id === 0 ? `new ${dataset.name}` : `dataset ${dataset.id}`;
}

function recordKey(dataset: DatasetRef, id: Uint8Array): string {
  return `${datasetKey(dataset)}\0record ${recordIdText(id)}`;
}

function nameKey(dataset: DatasetRef, name: string): string {
  return `${datasetKey(dataset)}\0name ${name}`;
}
