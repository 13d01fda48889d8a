// Rates from counters that are sampled: the difference over the last few seconds.

// Long enough to calm the figures, short enough to see a stop.
const WINDOW_MS = 5_000;

/** Keeps the last samples of many things, each with the same named counters. */
export class Rates {
  #samples = new Map();
  #counters;
  #key;

  /** `key` names an item, `counters` are the fields to follow. */
  constructor(key, counters) {
    this.#key = key;
    this.#counters = counters;
  }

  /** Takes the newest sample of every item and forgets items that are not among them. */
  observe(atMs, items) {
    const seen = new Map();
    for (const item of items) {
      const key = this.#key(item);
      const values = this.#counters.map((counter) => item[counter]);
      const samples = this.#samples.get(key) ?? [];
      const newest = samples.at(-1);
      // A counter that went down started anew, with its broker or its queue.
      if (newest && values.some((value, index) => value < newest.values[index])) samples.length = 0;
      if (!newest || atMs > newest.atMs || samples.length === 0) samples.push({ atMs, values });
      while (samples.length > 2 && samples[1].atMs <= atMs - WINDOW_MS) samples.shift();
      seen.set(key, samples);
    }
    this.#samples = seen;
  }

  /** Events a second of one counter, or `null` while there is only one sample. */
  of(item, counter) {
    const samples = this.#samples.get(this.#key(item));
    const index = this.#counters.indexOf(counter);
    if (!samples || samples.length < 2) return null;
    const oldest = samples[0];
    const newest = samples.at(-1);
    return ((newest.values[index] - oldest.values[index]) * 1000) / (newest.atMs - oldest.atMs);
  }
}
