/** The page's script: what the tests call, under one global name. */
import * as suite from "./suite.ts";

Object.assign(globalThis, { suite });
