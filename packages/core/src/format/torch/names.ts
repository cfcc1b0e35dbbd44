/**
 * The names that a PyTorch pickle may refer to: what `torch.load(weights_only=True)` allows, numpy's arrays, and the
 * classes of a TorchScript archive, of which nothing but the name is taken.
 */
import { NumpyArray, numpyNames } from "../pickle/numpy.ts";
import { pythonNames } from "../pickle/python.ts";
import {
  itemsOf,
  named,
  PickleDict,
  PickleFact,
  PickleFunction,
  PickleObject,
  PickleSequence,
  PickleTensor,
  type PickleValue,
  type Refuse,
  textOf,
} from "../pickle/values.ts";
import { torchStorages, torchTypes } from "./dtypes.ts";
import { TorchStorage, TorchStorageType, TorchTensor, TorchType } from "./tensor.ts";

/** Compiled classes of TorchScript live in this package. */
const TORCHSCRIPT_PREFIX = "__torch__.";

/** The value of a name in a PyTorch pickle; undefined when it is not allowed. */
export function torchName(name: string): PickleValue | undefined {
  const found = torchNames.get(name) ?? pythonNames.get(name) ?? numpyNames.get(name);
  if (found !== undefined || !name.startsWith(TORCHSCRIPT_PREFIX)) return found;
  return new PickleFunction(name, () => new PickleObject(name));
}

/** `_rebuild_tensor(storage, first, shape, strides)`; `_v2` has `requires_grad, hooks, metadata` behind them. */
function rebuildTensor(args: readonly PickleValue[], refuse: Refuse): TorchTensor {
  const [storage, first, shape, strides, , , metadata] = args;
  checkBits(metadata, refuse);
  return new TorchTensor(checkStorage(storage, refuse), first, shape, strides);
}

/** `_rebuild_tensor_v3(storage, first, shape, strides, requires_grad, hooks, dtype, metadata)`: types without a storage class. */
function rebuildTensorV3(args: readonly PickleValue[], refuse: Refuse): TorchTensor {
  const [storage, first, shape, strides, , , type, metadata] = args;
  checkBits(metadata, refuse);
  if (!(type instanceof TorchType)) throw refuse("pickle-call", "a tensor is rebuilt without a dtype");
  return new TorchTensor(checkStorage(storage, refuse), first, shape, strides, type);
}

/** A tensor may be a view whose values are not those of its storage, but their conjugates or negatives. */
function checkBits(metadata: PickleValue | undefined, refuse: Refuse): void {
  if (!(metadata instanceof PickleDict)) return;
  for (const bit of ["conj", "neg"]) {
    if (metadata.get(bit) !== true) continue;
    throw refuse(
      "lazy-view",
      `it holds a tensor whose ${bit} bit is set, so that its values are not those that are stored; save x.resolve_${bit}()`,
    );
  }
}

function checkStorage(value: PickleValue | undefined, refuse: Refuse): TorchStorage {
  if (value instanceof TorchStorage) return value;
  throw refuse("pickle-call", "a tensor is rebuilt from something else than a storage");
}

function refuseQuantized(_args: readonly PickleValue[], refuse: Refuse): never {
  throw refuse(
    "quantized",
    "it holds a quantized tensor of PyTorch, whose integers mean nothing without its scales; dequantize it before saving, or keep the file as bytes",
  );
}

/** `_rebuild_sparse_tensor(layout, (indices, values, shape, ...))`: its tensors are kept one by one. */
function rebuildSparse(args: readonly PickleValue[], refuse: Refuse): PickleDict {
  const [layout, data] = args;
  const fields = itemsOf(data);
  const names =
    layout instanceof PickleFact && layout.json === "torch.sparse_coo"
      ? ["indices", "values", "shape"]
      : ["compressed_indices", "plain_indices", "values", "shape"];
  if (fields === undefined || fields.length < names.length) {
    throw refuse("pickle-call", "a sparse tensor is rebuilt from too few arguments");
  }
  const dict = new PickleDict();
  for (const [index, name] of names.entries()) dict.set(name, fields[index]!);
  dict.set("layout", layout!);
  return dict;
}

/** `_rebuild_from_type_v2(function, class, args, state)`: a tensor of a subclass. */
function rebuildFromType(args: readonly PickleValue[], refuse: Refuse): PickleValue {
  const [rebuild, , inner] = args;
  const items = itemsOf(inner);
  // Its own name as the function would nest calls as deep as the file is long.
  if (!(rebuild instanceof PickleFunction) || rebuild.call === rebuildFromType || items === undefined) {
    throw refuse("pickle-call", "a tensor of a subclass is rebuilt without a function");
  }
  return rebuild.call(items, refuse);
}

/** A tensor that was somewhere else than on the CPU, saved by way of there: `(data, dtype, device, ...)`. */
function rebuildDeviceTensor(args: readonly PickleValue[], refuse: Refuse): PickleValue {
  const [data, type] = args;
  const tensor = data instanceof NumpyArray ? data.content : data;
  if (!(tensor instanceof PickleTensor) || !(type instanceof TorchType)) {
    throw refuse("pickle-call", "a tensor is rebuilt from something else than an array and a dtype");
  }
  if (tensor.resolve(refuse).dtype !== torchTypes.get(type.name)) {
    throw refuse("dtype", `a tensor of ${type.name} is kept as elements of another type`);
  }
  return tensor;
}

/** Gives back the first argument: parameters are their tensors, annotations of TorchScript say nothing of bytes. */
function firstArgument(args: readonly PickleValue[], refuse: Refuse): PickleValue {
  if (args[0] === undefined) throw refuse("pickle-call", "an argument is missing");
  return args[0];
}

/** `torch.device("cuda", 0)` */
function device(args: readonly PickleValue[], refuse: Refuse): PickleFact {
  const [type, index] = args;
  const name = textOf(type);
  if (name === undefined) throw refuse("pickle-call", "a device has no name");
  return new PickleFact(typeof index === "number" ? `${name}:${index}` : name);
}

/** `torch.Size((2, 3))` */
function size(args: readonly PickleValue[], refuse: Refuse): PickleSequence {
  const items = itemsOf(args[0]);
  if (items === undefined) throw refuse("pickle-call", "a size is made of something else than a tuple");
  return new PickleSequence("a tuple", [...items]);
}

/** `_rebuild_meta_tensor_no_storage(dtype, shape, ...)`: a tensor without elements. */
function rebuildMeta(args: readonly PickleValue[]): PickleValue {
  const [type, shape] = args;
  const dict = new PickleDict();
  dict.set("meta", type instanceof TorchType ? type.name : null);
  dict.set("shape", shape ?? null);
  return dict;
}

/** `_get_layout("torch.sparse_coo")` */
function layout(args: readonly PickleValue[], refuse: Refuse): PickleFact {
  const name = textOf(args[0]);
  if (name === undefined) throw refuse("pickle-call", "a layout has no name");
  return new PickleFact(name);
}

/** A class that is handed around, never called. */
function notCalled(_args: readonly PickleValue[], refuse: Refuse): never {
  throw refuse("pickle-call", "a tensor is made by its class, not rebuilt from a storage");
}

/** Facts that are values of the module. */
const facts: readonly string[] = [
  "strided",
  "sparse_coo",
  "sparse_csr",
  "sparse_csc",
  "sparse_bsr",
  "sparse_bsc",
  "contiguous_format",
  "channels_last",
  "channels_last_3d",
  "preserve_format",
  "per_tensor_affine",
  "per_tensor_symmetric",
  "per_channel_affine",
  "per_channel_symmetric",
  "per_channel_affine_float_qparams",
];

const torchNames: ReadonlyMap<string, PickleValue> = new Map<string, PickleValue>([
  ...[...torchTypes.keys()].map((name) => [name, new TorchType(name)] as const),
  ...[...torchStorages].map(([name, element]) => [name, new TorchStorageType(element)] as const),
  ...facts.map((name) => [`torch.${name}`, new PickleFact(`torch.${name}`)] as const),
  named("torch._utils._rebuild_tensor", rebuildTensor),
  named("torch._utils._rebuild_tensor_v2", rebuildTensor),
  named("torch._utils._rebuild_tensor_v3", rebuildTensorV3),
  named("torch._utils._rebuild_qtensor", refuseQuantized),
  named("torch._utils._rebuild_sparse_tensor", rebuildSparse),
  named("torch._utils._rebuild_sparse_csr_tensor", rebuildSparse),
  named("torch._utils._rebuild_meta_tensor_no_storage", rebuildMeta),
  named("torch._utils._rebuild_device_tensor_from_numpy", rebuildDeviceTensor),
  named("torch._utils._rebuild_device_tensor_from_cpu_tensor", rebuildDeviceTensor),
  named("torch._utils._rebuild_xla_tensor", rebuildDeviceTensor),
  named("torch._utils._rebuild_parameter", firstArgument),
  named("torch._utils._rebuild_parameter_with_state", firstArgument),
  named("torch._tensor._rebuild_from_type_v2", rebuildFromType),
  named("torch.nn.parameter.Parameter", firstArgument),
  named("torch.nn.parameter.Buffer", firstArgument),
  named("torch.Tensor", notCalled),
  named("torch._tensor.Tensor", notCalled),
  named("torch.Size", size),
  named("torch.device", device),
  named("torch.serialization._get_layout", layout),
  named("torch.jit._pickle.build_intlist", firstArgument),
  named("torch.jit._pickle.build_doublelist", firstArgument),
  named("torch.jit._pickle.build_boollist", firstArgument),
  named("torch.jit._pickle.build_tensorlist", firstArgument),
  named("torch.jit._pickle.restore_type_tag", firstArgument),
]);
