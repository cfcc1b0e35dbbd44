/** Source code of a seeded program: functions of declarations, calls, conditions and loops over names made of a seeded vocabulary. */
import { randomBelow, randomWords, weighted } from "./random.ts";
import { type Kind, opaque } from "./sample.ts";
import { vocabulary } from "./vocabulary.ts";
import { TextRoom } from "./writing.ts";

const WORDS = 500;
/** Names of the program's functions, and of one function's variables. */
const FUNCTIONS = 300;
const LOCALS = 8;
const MAX_DEPTH = 4;

/** Writes a program until its room is full. */
class Programmer {
  readonly #room: TextRoom;
  readonly #below: (count: number) => number;
  readonly #random: () => number;
  readonly #words: readonly string[];
  readonly #functions: readonly string[];
  readonly #anyFunction: () => number;
  #locals: readonly string[] = [];

  constructor(seed: number, room: TextRoom) {
    this.#room = room;
    this.#random = randomWords(seed);
    this.#below = randomBelow(this.#random);
    this.#words = vocabulary(this.#random, WORDS);
    this.#functions = Array.from({ length: FUNCTIONS }, () => this.#name(1 + this.#below(3)));
    this.#anyFunction = weighted(
      this.#random,
      this.#functions.map((_, rank) => 1 / (rank + 3)),
    );
  }

  write(): void {
    while (!this.#room.isFull) this.#function();
  }

  #name(parts: number): string {
    let name = this.#words[this.#below(WORDS)]!;
    for (let part = 1; part < parts; part++) {
      const word = this.#words[this.#below(WORDS)]!;
      name += word[0]!.toUpperCase() + word.slice(1);
    }
    return name;
  }

  #function(): void {
    this.#locals = Array.from({ length: LOCALS }, () => this.#name(1 + (this.#random() >>> 31)));
    const [first, second] = this.#locals;
    const name = this.#functions[this.#below(FUNCTIONS)]!;
    const about = Array.from({ length: 4 + this.#below(8) }, () => this.#words[this.#below(WORDS)]).join(" ");
    this.#room.ascii(
      `/** ${about}. */\nexport function ${name}(${first}: number, ${second}: Uint8Array): number {\n`,
    );
    this.#statements(1, 4 + this.#below(8));
    this.#room.ascii(`  return ${this.#expression(1)};\n}\n\n`);
  }

  #statements(depth: number, count: number): void {
    for (let left = count; left > 0 && !this.#room.isFull; left--) this.#statement(depth);
  }

  #statement(depth: number): void {
    const indent = "  ".repeat(depth);
    const kind = depth < MAX_DEPTH ? this.#below(8) : this.#below(4);
    if (kind < 2) {
      this.#room.ascii(`${indent}const ${this.#local()} = ${this.#expression(0)};\n`);
    } else if (kind < 4) {
      this.#room.ascii(`${indent}${this.#local()} ${kind === 2 ? "=" : "+="} ${this.#expression(0)};\n`);
    } else if (kind < 5) {
      this.#room.ascii(`${indent}for (let index = 0; index < ${this.#local()}.length; index++) {\n`);
      this.#block(depth);
    } else if (kind < 7) {
      this.#room.ascii(`${indent}if (${this.#expression(1)} === ${this.#atom()}) {\n`);
      this.#block(depth);
    } else {
      this.#room.ascii(
        `${indent}if (${this.#atom()} < ${this.#atom()}) throw new RangeError("${this.#name(1)} ${this.#name(1)}");\n`,
      );
    }
  }

  #block(depth: number): void {
    this.#statements(depth + 1, 1 + this.#below(3));
    this.#room.ascii(`${"  ".repeat(depth)}}\n`);
  }

  #expression(depth: number): string {
    const kind = this.#below(depth < 2 ? 6 : 2);
    if (kind < 2) return this.#atom();
    if (kind < 4) return `${this.#atom()} ${"+-*&"[this.#below(4)]} ${this.#expression(depth + 1)}`;
    return `${this.#functions[this.#anyFunction()]}(${this.#expression(depth + 1)}, ${this.#local()})`;
  }

  #atom(): string {
    const kind = this.#below(6);
    if (kind === 0) return String(this.#below(10));
    if (kind === 1) return String(2 ** this.#below(17));
    return kind === 2 ? `${this.#local()}[index]` : this.#local();
  }

  #local(): string {
    return this.#locals[this.#below(LOCALS)]!;
  }
}

export const codeKind: Kind = {
  name: "code",
  description: "source code of a seeded program",
  origin: "seeded",
  generate(seed, bytes) {
    const room = new TextRoom(bytes);
    new Programmer(seed, room).write();
    return opaque(room.bytes);
  },
};
