// The live stream of snapshots. Read with fetch rather than EventSource, so that a refusal's reason can be shown and
// the pauses between attempts are ours.

// Snapshots come every second; the broker itself is waited for 5 s.
const SILENCE_MS_MAX = 10_000;
const PAUSE_MS_MIN = 1_000;
const PAUSE_MS_MAX = 10_000;

/** One stream at a time, opened again whenever it ends. */
export class Feed {
  #onEvent;
  #onLost;
  #query = "";
  #abort = null;
  #retry = 0;
  #pauseMs = PAUSE_MS_MIN;

  /** `onEvent(name, data)` for each event, `onLost(reason)` each time the stream ends or cannot be opened. */
  constructor(onEvent, onLost) {
    this.#onEvent = onEvent;
    this.#onLost = onLost;
  }

  /** Watches with this filter from now on. */
  select(query) {
    this.#query = new URLSearchParams(query).toString();
    this.open();
  }

  /** Opens the stream now, instead of the one that is open. */
  open() {
    this.close();
    this.#abort = new AbortController();
    this.#follow(this.#abort);
  }

  /** Stops watching. */
  close() {
    clearTimeout(this.#retry);
    this.#abort?.abort();
    this.#abort = null;
  }

  async #follow(abort) {
    let reason = "The console closed the stream.";
    try {
      await this.#read(abort);
    } catch (error) {
      reason = error instanceof Refusal ? error.message : "";
    }
    if (this.#abort !== abort) return;
    this.close();
    this.#retry = setTimeout(() => this.open(), this.#pauseMs);
    this.#pauseMs = Math.min(this.#pauseMs * 2, PAUSE_MS_MAX);
    this.#onLost(reason);
  }

  async #read(abort) {
    let silence = setTimeout(() => abort.abort(), SILENCE_MS_MAX);
    try {
      const response = await fetch(`/api/v1/events?${this.#query}`, { signal: abort.signal, cache: "no-store" });
      if (!response.ok) throw new Refusal(await refusal(response));
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      let pending = "";
      for (;;) {
        const { value, done } = await reader.read();
        if (done || this.#abort !== abort) return;
        clearTimeout(silence);
        silence = setTimeout(() => abort.abort(), SILENCE_MS_MAX);
        const blocks = (pending + value).split("\n\n");
        pending = blocks.pop();
        for (const block of blocks) this.#dispatch(block);
      }
    } finally {
      clearTimeout(silence);
    }
  }

  #dispatch(block) {
    // Split at line feeds alone: to a regular expression the separators U+2028 and U+2029 end lines as well, and a
    // name may hold them.
    const lines = block.split("\n");
    const field = (name) => lines.find((line) => line.startsWith(name))?.slice(name.length);
    const event = field("event: ");
    const data = field("data: ");
    if (event === undefined || data === undefined) return;
    this.#pauseMs = PAUSE_MS_MIN;
    this.#onEvent(event, JSON.parse(data));
  }
}

class Refusal extends Error {}

async function refusal(response) {
  try {
    const { error } = await response.json();
    return `The console refused: ${error.message}.`;
  } catch {
    return `The console answered with status ${response.status}.`;
  }
}
