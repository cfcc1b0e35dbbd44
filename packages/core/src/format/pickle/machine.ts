/**
 * Reads a pickle without executing anything. A pickle is a program for a machine with a stack and a memo; Python
 * runs it by importing and calling whatever it names. Here the names are looked up in a table of functions that make
 * plain data (`globals`), and any other name is an error.
 *
 * The stack is an array, not recursion, so nesting costs memory only, and memory is bounded by three limits: bytes
 * taken (`MAX_PICKLE_BYTES`), opcodes, values made.
 */
import { type InvalidFileError, LimitError } from "@tensorcask/codec";
import { quote } from "../strict-json.ts";
import type { PickleInput } from "./input.ts";
import { HIGHEST_PROTOCOL, PICKLE_OPCODES as OP } from "./opcodes.ts";
import { readScalar } from "./scalars.ts";
import {
  PickleBytes,
  PickleDict,
  PickleFunction,
  PickleInstance,
  PickleSequence,
  type PickleValue,
} from "./values.ts";

/** Most opcodes of one pickle: about 25 make a tensor. Each may leave 8 bytes on the stack. */
const MAX_OPCODES = 8_000_000;

/** Most values of one pickle: about 10 make a tensor. Each takes up to 250 bytes. */
export const MAX_VALUES = 2_000_000;

/** Bytes that count as one value. */
const BYTES_PER_VALUE = 64;

/** What a pickle may refer to. */
export interface PickleNames {
  /** The value of a name such as `collections.OrderedDict`; undefined when it is not allowed. */
  global(name: string): PickleValue | undefined;
  /** What a persistent id stands for. Absent: there are none in this kind of file. */
  persistent?(id: PickleValue, refuse: (rule: string, message: string) => InvalidFileError): PickleValue;
}

/**
 * Reads the pickle at the input's place, up to its STOP. Throws `InvalidFileError` naming offset and rule
 * (`pickle-global`, `pickle-opcode`, `pickle-stack`, `pickle-memo`, `truncated`, ...) and `LimitError`.
 */
export async function readPickle(input: PickleInput, names: PickleNames): Promise<PickleValue> {
  const machine = new PickleMachine(input, names);
  for (;;) {
    if (input.isLow) await input.fill();
    if (!machine.step()) return machine.result();
  }
}

class PickleMachine {
  readonly #input: PickleInput;
  readonly #names: PickleNames;
  readonly #stack: PickleValue[] = [];
  /** Heights of the stack at the marks. */
  readonly #marks: number[] = [];
  readonly #memo: PickleValue[] = [];
  /** Entries of the memo: `MEMOIZE` writes at this index. */
  #memoized = 0;
  #opcodes = 0;
  #values = 0;
  /** Where the opcode at work begins. */
  #position = 0;
  readonly #refuse = (rule: string, message: string): InvalidFileError =>
    this.#input.invalid(rule, message, this.#position);

  constructor(input: PickleInput, names: PickleNames) {
    this.#input = input;
    this.#names = names;
  }

  result(): PickleValue {
    return this.#pop();
  }

  /** Does one opcode; false behind the last. */
  step(): boolean {
    const input = this.#input;
    this.#position = input.position;
    if (++this.#opcodes > MAX_OPCODES)
      throw new LimitError("opcodes of a pickle", this.#opcodes, MAX_OPCODES);
    const opcode = input.u8();
    switch (opcode) {
      case OP.STOP:
        return false;
      case OP.PROTO:
        this.#protocol(input.u8());
        break;
      case OP.FRAME:
        input.expect(input.u64());
        break;
      case OP.MARK:
        this.#marks.push(this.#stack.length);
        break;
      case OP.POP:
        if (this.#stack.length === (this.#marks.at(-1) ?? -1)) this.#marks.pop();
        else this.#pop();
        break;
      case OP.POP_MARK:
        this.#popMark();
        break;
      case OP.DUP:
        this.#push(this.#top());
        break;
      case OP.EMPTY_TUPLE:
        this.#make(new PickleSequence("a tuple"));
        break;
      case OP.TUPLE1:
      case OP.TUPLE2:
      case OP.TUPLE3:
        this.#make(new PickleSequence("a tuple", this.#popCount(opcode - OP.TUPLE1 + 1)));
        break;
      case OP.TUPLE:
        this.#make(new PickleSequence("a tuple", this.#popMark()));
        break;
      case OP.EMPTY_LIST:
        this.#make(new PickleSequence("a list"));
        break;
      case OP.LIST:
        this.#make(new PickleSequence("a list", this.#popMark()));
        break;
      case OP.EMPTY_SET:
        this.#make(new PickleSequence("a set"));
        break;
      case OP.FROZENSET:
        this.#make(new PickleSequence("a set", this.#popMark()));
        break;
      case OP.APPEND:
        this.#append("a list", [this.#pop()]);
        break;
      case OP.APPENDS:
        this.#append("a list", this.#popMark());
        break;
      case OP.ADDITEMS:
        this.#append("a set", this.#popMark());
        break;
      case OP.EMPTY_DICT:
        this.#make(new PickleDict());
        break;
      case OP.DICT: {
        const items = this.#popMark();
        this.#make(new PickleDict());
        this.#setItems(items);
        break;
      }
      case OP.SETITEM:
        this.#setItems(this.#popCount(2));
        break;
      case OP.SETITEMS:
        this.#setItems(this.#popMark());
        break;
      case OP.GET:
        this.#push(this.#recall(this.#index(input.line())));
        break;
      case OP.BINGET:
        this.#push(this.#recall(input.u8()));
        break;
      case OP.LONG_BINGET:
        this.#push(this.#recall(input.u32()));
        break;
      case OP.PUT:
        this.#memoize(this.#index(input.line()));
        break;
      case OP.BINPUT:
        this.#memoize(input.u8());
        break;
      case OP.LONG_BINPUT:
        this.#memoize(input.u32());
        break;
      case OP.MEMOIZE:
        this.#memoize(this.#memoized);
        break;
      case OP.GLOBAL:
        this.#make(this.#global(input.line(), input.line()));
        break;
      case OP.STACK_GLOBAL: {
        const [module, name] = this.#popCount(2);
        if (typeof module !== "string" || typeof name !== "string") {
          throw this.#refuse("pickle-global", "a global is named by something else than two texts");
        }
        this.#make(this.#global(module, name));
        break;
      }
      case OP.INST: {
        const callee = this.#global(input.line(), input.line());
        this.#make(this.#call(callee, this.#popMark()));
        break;
      }
      case OP.OBJ: {
        const [callee, ...args] = this.#popMark();
        this.#make(this.#call(callee, args));
        break;
      }
      case OP.REDUCE:
      case OP.NEWOBJ: {
        const [callee, args] = this.#popCount(2);
        this.#make(this.#call(callee, this.#arguments(args)));
        break;
      }
      case OP.NEWOBJ_EX: {
        const [callee, args, named] = this.#popCount(3);
        if (!(named instanceof PickleDict) || named.keys.length > 0) {
          throw this.#refuse("pickle-call", "an object is made with named arguments");
        }
        this.#make(this.#call(callee, this.#arguments(args)));
        break;
      }
      case OP.BUILD: {
        const state = this.#pop();
        const object = this.#top();
        if (!(object instanceof PickleInstance)) {
          throw this.#refuse("pickle-build", "a plain value is given a state");
        }
        object.build(state, this.#refuse);
        break;
      }
      case OP.PERSID:
        this.#make(this.#persistent(input.line()));
        break;
      case OP.BINPERSID:
        this.#make(this.#persistent(this.#pop()));
        break;
      case OP.EXT1:
      case OP.EXT2:
      case OP.EXT4:
        throw this.#refuse(
          "pickle-opcode",
          "an extension is named by number, whose meaning is not in the file",
        );
      case OP.NEXT_BUFFER:
      case OP.READONLY_BUFFER:
        throw this.#refuse("pickle-opcode", "a buffer is kept outside of the pickle");
      default: {
        const scalar = readScalar(opcode, input, this.#refuse);
        if (scalar === undefined) {
          throw this.#refuse("pickle-opcode", `0x${opcode.toString(16).padStart(2, "0")} is no opcode`);
        }
        this.#make(scalar);
      }
    }
    return true;
  }

  #protocol(version: number): void {
    if (version > HIGHEST_PROTOCOL) {
      throw this.#refuse(
        "pickle-protocol",
        `protocol ${version} is not known, ${HIGHEST_PROTOCOL} is the highest`,
      );
    }
  }

  #push(value: PickleValue): void {
    this.#stack.push(value);
  }

  /** Pushes a new value. */
  #make(value: PickleValue): void {
    this.#spend(1);
    this.#stack.push(value);
  }

  #spend(values: number): void {
    this.#values += values;
    if (this.#values > MAX_VALUES) throw new LimitError("values of a pickle", this.#values, MAX_VALUES);
  }

  #checkHeight(count: number): void {
    if (this.#stack.length - (this.#marks.at(-1) ?? 0) < count) {
      throw this.#refuse("pickle-stack", "the stack has too few values");
    }
  }

  #top(): PickleValue {
    this.#checkHeight(1);
    return this.#stack.at(-1)!;
  }

  #pop(): PickleValue {
    this.#checkHeight(1);
    return this.#stack.pop()!;
  }

  #popCount(count: number): PickleValue[] {
    this.#checkHeight(count);
    return this.#stack.splice(-count);
  }

  #popMark(): PickleValue[] {
    const mark = this.#marks.pop();
    if (mark === undefined) throw this.#refuse("pickle-stack", "the stack has no mark");
    return this.#stack.splice(mark);
  }

  #append(kind: PickleSequence["kind"], items: readonly PickleValue[]): void {
    const sequence = this.#top();
    if (!(sequence instanceof PickleSequence) || sequence.kind !== kind) {
      throw this.#refuse("pickle-stack", `items are put into something else than ${kind}`);
    }
    for (const item of items) sequence.items.push(item);
  }

  #setItems(items: readonly PickleValue[]): void {
    const dict = this.#top();
    if (!(dict instanceof PickleDict)) {
      throw this.#refuse("pickle-stack", "items are set in something else than a dict");
    }
    if (items.length % 2 !== 0) throw this.#refuse("pickle-stack", "a dict is given a key without a value");
    for (let at = 0; at < items.length; at += 2) dict.set(items[at]!, items[at + 1]!);
  }

  #index(line: string): number {
    if (!/^\d{1,10}$/.test(line)) throw this.#refuse("pickle-memo", `${quote(line)} is no index of the memo`);
    return Number(line);
  }

  #recall(index: number): PickleValue {
    const value = this.#memo[index];
    if (value === undefined) throw this.#refuse("pickle-memo", `nothing was put into the memo at ${index}`);
    return value;
  }

  #memoize(index: number): void {
    if (index >= MAX_VALUES) throw new LimitError("index of a pickle's memo", index, MAX_VALUES - 1);
    if (this.#memo[index] === undefined) this.#memoized++;
    this.#memo[index] = this.#top();
  }

  #global(module: string, name: string): PickleValue {
    const found = this.#names.global(`${module}.${name}`);
    if (found !== undefined) return found;
    throw this.#refuse(
      "pickle-global",
      `it names ${quote(`${module}.${name}`)}, which does not rebuild a tensor; nothing was executed. Save the weights alone (a state_dict), or keep the file as bytes`,
    );
  }

  #persistent(id: PickleValue): PickleValue {
    if (this.#names.persistent === undefined) {
      throw this.#refuse("pickle-persistent-id", "it refers to something outside of the pickle");
    }
    return this.#names.persistent(id, this.#refuse);
  }

  #arguments(args: PickleValue | undefined): readonly PickleValue[] {
    if (args instanceof PickleSequence && args.kind === "a tuple") return args.items;
    throw this.#refuse("pickle-call", "a call has no tuple of arguments");
  }

  #call(callee: PickleValue | undefined, args: readonly PickleValue[]): PickleValue {
    if (!(callee instanceof PickleFunction)) {
      throw this.#refuse("pickle-call", "something is called that is no function");
    }
    const made = callee.call(args, this.#refuse);
    // What one call copied counts: the same arguments may be handed to many.
    if (made instanceof PickleDict) this.#spend(made.keys.length);
    else if (made instanceof PickleSequence) this.#spend(made.items.length);
    else if (made instanceof PickleBytes) this.#spend(Math.ceil(made.extent.bytes / BYTES_PER_VALUE));
    return made;
  }
}
