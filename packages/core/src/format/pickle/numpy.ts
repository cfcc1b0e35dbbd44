/**
 * numpy's arrays in pickles: inside object arrays (`.npy` files with the descr `|O`) and PyTorch checkpoints. An
 * array is made empty and then given its state; its elements are one byte string of the pickle.
 *
 *   _reconstruct(ndarray, (0,), b"b"), BUILD (1, shape, dtype, isFortran, bytes)      protocols 0 to 4
 *   _frombuffer(bytes, dtype, shape, "C" or "F")                                      protocol 5
 */
import { type DType, dtypeOf, type Json } from "@tensorcask/codec";
import { DTYPES, isObjectDescr } from "../npy/descr.ts";
import { type Extent, latin1Extent } from "./extent.ts";
import { MAX_RANK, type StridedTensor } from "./strided.ts";
import {
  itemsOf,
  named,
  narrowed,
  numberJson,
  numbersOf,
  PickleBytes,
  PickleFact,
  type PickleFunction,
  PickleInstance,
  PickleLatin1,
  PickleSequence,
  PickleTensor,
  type PickleValue,
  type Refuse,
  textOf,
} from "./values.ts";

/** A `numpy.dtype`. */
class NumpyDType extends PickleInstance {
  readonly kind = "a numpy dtype";
  readonly code: string;
  bigEndian = false;
  /** Whether an element is made of several. */
  isStructured = false;

  constructor(code: string) {
    super();
    this.code = code;
  }

  /** `(version, order, subdtype, names, fields, bytes, alignment, flags)` */
  override build(state: PickleValue, refuse: Refuse): void {
    const items = itemsOf(state);
    const order = textOf(items?.[1]);
    if (items === undefined || order === undefined || items.length < 5) {
      throw refuse("numpy-dtype", "the state of a numpy dtype is not a tuple of at least 5");
    }
    this.bigEndian = order === ">";
    this.isStructured = items.slice(2, 5).some((item) => item !== null);
  }

  get isObject(): boolean {
    return isObjectDescr(this.code);
  }

  /** The element type; undefined for texts, times and records. */
  get dtype(): DType | undefined {
    const name = this.isStructured ? undefined : DTYPES.get(this.code);
    return name === undefined ? undefined : dtypeOf(name);
  }
}

/** A numpy array: a wrapper around a tensor, the objects that it holds, or the description of what is neither. */
export class NumpyArray extends PickleInstance {
  readonly kind = "a numpy array";
  content: PickleValue = null;

  override build(state: PickleValue, refuse: Refuse): void {
    const items = itemsOf(state);
    // The version at the front came with numpy 1.0.
    const [shape, dtype, isFortran, data] = (items?.length === 5 ? items.slice(1) : items) ?? [];
    this.content = arrayContent(shape, dtype, isFortran === true || isFortran === 1, data, refuse);
  }
}

function arrayContent(
  shape: PickleValue | undefined,
  dtype: PickleValue | undefined,
  isFortran: boolean,
  data: PickleValue | undefined,
  refuse: Refuse,
): PickleValue {
  const lengths = numbersOf(shape);
  if (lengths === undefined || !(dtype instanceof NumpyDType)) {
    throw refuse("numpy-array", `a numpy array has no dtype, or no shape of at most ${MAX_RANK} numbers`);
  }
  const elements = lengths.reduce((product, length) => product * length, 1);
  if (dtype.isObject) {
    if (!(data instanceof PickleSequence) || data.items.length !== elements) {
      throw refuse("numpy-array", `a numpy array of ${elements} objects does not hold them`);
    }
    return lengths.length === 0 ? data.items[0]! : data;
  }
  if (dtype.dtype === undefined) {
    return new PickleFact({
      numpy: { dtype: dtype.isStructured ? "structured" : dtype.code, shape: lengths },
    });
  }
  const storage = bytesOf(data, (elements * dtype.dtype.bits) / 8, refuse);
  return new NumpyTensor(dtype.dtype, dtype.bigEndian, lengths, isFortran, storage);
}

/** Where the elements lie. */
function bytesOf(data: PickleValue | undefined, bytes: number, refuse: Refuse): Extent {
  if (data instanceof PickleBytes && data.extent.bytes === bytes) return data.extent;
  // A character of latin-1 takes one or two bytes.
  if (data instanceof PickleLatin1 && bytes <= data.text.bytes && data.text.bytes <= 2 * bytes) {
    return latin1Extent(data.text, bytes);
  }
  const held = data instanceof PickleBytes ? `${data.extent.bytes} bytes` : "something else";
  throw refuse("size-mismatch", `a numpy array of ${bytes} bytes holds ${held}`);
}

class NumpyTensor extends PickleTensor {
  readonly #tensor: StridedTensor;

  constructor(
    dtype: DType,
    bigEndian: boolean,
    shape: readonly number[],
    isFortran: boolean,
    storage: Extent,
  ) {
    super();
    let stride = 1;
    const strides = new Array<number>(shape.length);
    const axes = [...shape.keys()];
    for (const axis of isFortran ? axes : axes.reverse()) {
      strides[axis] = stride;
      stride *= shape[axis]!;
    }
    this.#tensor = { dtype, shape, strides, first: 0, storage, bigEndian };
  }

  override resolve(): StridedTensor {
    return this.#tensor;
  }
}

/** `numpy.dtype("f4", False, True)` */
function makeDType(args: readonly PickleValue[], refuse: Refuse): NumpyDType {
  const code = textOf(args[0]);
  if (code === undefined) throw refuse("numpy-dtype", "a numpy dtype has no code");
  return new NumpyDType(code);
}

/** One number of numpy (`float64(0.5)`): its value. */
function makeScalar(args: readonly PickleValue[], refuse: Refuse): PickleValue {
  const [dtype, data] = args;
  if (!(dtype instanceof NumpyDType)) throw refuse("numpy-dtype", "a numpy number has no dtype");
  if (dtype.isObject) return data ?? null;
  const json =
    data instanceof PickleBytes && data.text !== undefined ? scalarJson(dtype, data.text) : undefined;
  return new PickleFact(json ?? { numpy: { dtype: dtype.code, shape: [] } });
}

/** A number by its bytes (as characters); undefined when it is none. */
function scalarJson({ dtype, bigEndian }: NumpyDType, characters: string): Json | undefined {
  if (dtype === undefined || characters.length !== dtype.bits / 8) return undefined;
  const bytes = Buffer.from(characters, "latin1");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const little = !bigEndian;
  switch (dtype.name) {
    case "bool":
      return view.getUint8(0) !== 0;
    case "int8":
      return view.getInt8(0);
    case "uint8":
      return view.getUint8(0);
    case "int16":
      return view.getInt16(0, little);
    case "uint16":
      return view.getUint16(0, little);
    case "int32":
      return view.getInt32(0, little);
    case "uint32":
      return view.getUint32(0, little);
    case "int64":
      return numberJson(narrowed(view.getBigInt64(0, little)));
    case "uint64":
      return numberJson(narrowed(view.getBigUint64(0, little)));
    case "float32":
      return numberJson(view.getFloat32(0, little));
    case "float64":
      return numberJson(view.getFloat64(0, little));
    default:
      return undefined;
  }
}

/** `_frombuffer(bytes, dtype, shape, order)` */
function fromBuffer(args: readonly PickleValue[], refuse: Refuse): NumpyArray {
  const [data, dtype, shape, order] = args;
  const array = new NumpyArray();
  array.content = arrayContent(shape, dtype, textOf(order) === "F", data, refuse);
  return array;
}

/** numpy's functions; the module got an underscore with numpy 2. */
const core = (module: string): [string, PickleFunction][] => [
  named(`${module}.multiarray._reconstruct`, () => new NumpyArray()),
  named(`${module}.multiarray.scalar`, makeScalar),
  named(`${module}.numeric._frombuffer`, fromBuffer),
];

/** numpy's names, by module and name. */
export const numpyNames: ReadonlyMap<string, PickleValue> = new Map([
  ...core("numpy.core"),
  ...core("numpy._core"),
  named("numpy.ndarray", () => new NumpyArray()),
  named("numpy.dtype", makeDType),
]);
