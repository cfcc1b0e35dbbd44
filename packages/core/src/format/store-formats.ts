/** What a store needs of the formats. */
import type { Formats } from "../store/context.ts";
import { exportRecords } from "./export-records.ts";
import { planInputs } from "./inputs.ts";

export const storeFormats: Formats = { planInputs, exportRecords };
