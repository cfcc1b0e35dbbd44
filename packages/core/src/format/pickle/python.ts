/** Names of Python's own modules that a pickle may refer to: containers, and the ways in which bytes are written. */
import { memoryExtent } from "./extent.ts";
import {
  itemsOf,
  MAX_SHORT_BYTES,
  named,
  PickleBytes,
  PickleDict,
  PickleFact,
  type PickleFunction,
  PickleLatin1,
  PickleSequence,
  PickleText,
  type PickleValue,
  type Refuse,
  textOf,
} from "./values.ts";

/** An `OrderedDict`, whose items come as pairs from Python 2. */
function orderedDict(args: readonly PickleValue[], refuse: Refuse): PickleDict {
  const dict = new PickleDict();
  if (args[0] === undefined) return dict;
  for (const pair of itemsOf(args[0]) ?? [null]) {
    const [key, value, ...more] = itemsOf(pair) ?? [];
    if (key === undefined || value === undefined || more.length > 0) {
      throw refuse("pickle-call", "a dict is made of something else than pairs");
    }
    dict.set(key, value);
  }
  return dict;
}

/** A `Counter`, which is made of a dict. */
function counter(args: readonly PickleValue[], refuse: Refuse): PickleDict {
  const [counts] = args;
  if (counts === undefined) return new PickleDict();
  if (!(counts instanceof PickleDict))
    throw refuse("pickle-call", "a Counter is made of something else than a dict");
  return counts;
}

/** A sequence of the items of another. */
function sequence(kind: PickleSequence["kind"]): PickleFunction["call"] {
  return (args, refuse) => {
    if (args[0] === undefined) return new PickleSequence(kind);
    const items = itemsOf(args[0]);
    if (items === undefined) throw refuse("pickle-call", `${kind} is made of something else than a list`);
    return new PickleSequence(kind, [...items]);
  };
}

/** `_codecs.encode(text, encoding)`: how byte strings are written below protocol 3. */
function encode(args: readonly PickleValue[], refuse: Refuse): PickleValue {
  const [text, encoding] = args;
  if (textOf(encoding)?.replace("-", "") !== "latin1") {
    throw refuse("pickle-call", "bytes are written in another encoding than latin1");
  }
  if (text instanceof PickleText) return new PickleLatin1(text.extent);
  if (typeof text !== "string" || /[\u0100-\uffff]/.test(text)) {
    throw refuse("pickle-text", "bytes are written as something else than a text of latin1");
  }
  return new PickleBytes(
    memoryExtent(Buffer.from(text, "latin1")),
    text.length > MAX_SHORT_BYTES ? undefined : text,
  );
}

/** `bytes()` and `bytearray(...)`. */
function bytes(args: readonly PickleValue[], refuse: Refuse): PickleValue {
  const [first] = args;
  if (first === undefined) return new PickleBytes(memoryExtent(new Uint8Array(0)), "");
  if (first instanceof PickleBytes || first instanceof PickleLatin1) return first;
  return encode(args, refuse);
}

function complex(args: readonly PickleValue[], refuse: Refuse): PickleFact {
  const [real, imaginary = 0] = args;
  if (typeof real !== "number" || typeof imaginary !== "number") {
    throw refuse("pickle-call", "a complex number is made of something else than two numbers");
  }
  return new PickleFact(`${real}${imaginary < 0 ? "" : "+"}${imaginary}j`);
}

/** Builtins, under their module's name in Python 3 and in Python 2. */
const builtins = (module: string): [string, PickleFunction][] => [
  named(`${module}.dict`, orderedDict),
  named(`${module}.list`, sequence("a list")),
  named(`${module}.set`, sequence("a set")),
  named(`${module}.frozenset`, sequence("a set")),
  named(`${module}.bytes`, bytes),
  named(`${module}.bytearray`, bytes),
  named(`${module}.complex`, complex),
];

/** Python's names, by module and name. */
export const pythonNames: ReadonlyMap<string, PickleValue> = new Map([
  ...builtins("builtins"),
  ...builtins("__builtin__"),
  named("collections.OrderedDict", orderedDict),
  // Its argument makes missing values, of which a file has none.
  named("collections.defaultdict", () => new PickleDict()),
  named("collections.Counter", counter),
  named("_codecs.encode", encode),
]);
