// What is to be delivered later: not part of the live stream, so asked for while it is looked at.

import { ask, complaint, order } from "/request.js";

const EVERY_MS = 2_000;

/** Keeps a page of scheduled messages while it is watched. */
export class Scheduled {
  #onPage;
  #onTrouble;
  #timer = 0;
  #limit = 0;
  #watched = false;

  /** `onPage(page)` for each answer, `onTrouble(text)` when there is none. */
  constructor(onPage, onTrouble) {
    this.#onPage = onPage;
    this.#onTrouble = onTrouble;
  }

  /** Asks now and again and again, for so many. */
  watch(limit) {
    this.stop();
    this.#limit = limit;
    this.#watched = true;
    this.#look();
  }

  /** Asks no more. */
  stop() {
    clearTimeout(this.#timer);
    this.#watched = false;
  }

  /** Takes one off. */
  async cancel(id) {
    try {
      await order("DELETE", `scheduled/${encodeURIComponent(id)}`);
      if (this.#watched) this.watch(this.#limit);
    } catch (error) {
      this.#onTrouble(complaint(error));
    }
  }

  async #look() {
    const limit = this.#limit;
    try {
      const page = await ask("scheduled", { limit });
      if (this.#watched && limit === this.#limit) this.#onPage(page);
    } catch {
      // The live stream tells that the broker is away.
    }
    clearTimeout(this.#timer);
    if (this.#watched) this.#timer = setTimeout(() => this.#look(), EVERY_MS);
  }
}
