// What both Node clients need: arguments, a patient queue, and the lines that a step prints.
import { randomUUID } from 'node:crypto';

export const [host, port] = [process.argv[2], Number(process.argv[3])];
export const dialect = process.env.STOMPBOX_DIALECT === '1';
export const run = process.env.STOMPBOX_RUN || randomUUID().slice(0, 8);
export const restarted = process.env.STOMPBOX_PHASE === 'restarted';
export const text = 'grüße, 你好, 🐝';
export const binary = Uint8Array.from([0, 111, 110, 101, 0, 255, 254, 10, 10, 0]);
const PATIENCE_MS = 10_000;

export const ok = (name) => console.log(`ok ${name}`);

export const fail = (what) => {
  console.error(`failed: ${what instanceof Error ? what.stack : what}`);
  process.exit(1);
};

export const expect = (condition, what) => {
  if (!condition) throw new Error(what);
};

export const patiently = (promise, what) =>
  Promise.race([
    promise,
    new Promise((_, reject) => setTimeout(() => reject(new Error(`waited in vain for ${what}`)), PATIENCE_MS).unref()),
  ]);

// Values that arrive by callback, awaited one by one.
export class Inbox {
  values = [];
  waiting = [];
  push(value) {
    const waiter = this.waiting.shift();
    if (waiter) waiter(value);
    else this.values.push(value);
  }
  next(what) {
    if (this.values.length) return Promise.resolve(this.values.shift());
    return patiently(new Promise((resolve) => this.waiting.push(resolve)), what);
  }
}
