// A line chart of rates over the last minutes, drawn as SVG so that the style sheet colours it.

const SVG = "http://www.w3.org/2000/svg";
const SPAN_MS = 300_000;
const GAP_MS = 4_000;
const MARGIN = { top: 10, right: 8, bottom: 22, left: 48 };

/** Draws `series` (`{ id, label }`, where `id` is a counter) from samples of counters. */
export class Chart {
  #series;
  #format;
  #samples = [];
  #rates = [];
  #svg = element("svg", { role: "img", "aria-label": "Message rates over the last five minutes" });
  #grid = element("g", { class: "grid" });
  #lines = new Map();
  #cursor = element("line", { class: "cursor", visibility: "hidden" });
  #legend = new Map();
  #width = 600;
  #height = 208;
  #pointer = null;

  constructor(host, legend, series, format) {
    this.#series = series;
    this.#format = format;
    this.#svg.append(this.#grid);
    for (const { id, label } of series) {
      const line = element("path", { class: `line series-${id}` });
      this.#lines.set(id, line);
      // The first series lies on top: the later ones often coincide with it.
      this.#grid.after(line);
      this.#legend.set(id, legendEntry(legend, id, label));
    }
    this.#svg.append(this.#cursor);
    host.append(this.#svg);
    new ResizeObserver(([entry]) => {
      this.#width = Math.max(240, Math.floor(entry.contentRect.width));
      this.#height = Math.max(120, Math.floor(entry.contentRect.height));
      this.#draw();
    }).observe(host);
    this.#svg.addEventListener("pointermove", (event) => this.#point(event.offsetX));
    this.#svg.addEventListener("pointerleave", () => this.#point(null));
  }

  /** Starts anew from the columns of a `history` event. */
  reset(history) {
    this.#samples = history.at_ms.map((at_ms, index) => {
      const sample = { at_ms };
      for (const { id } of this.#series) sample[id] = history[id][index];
      return sample;
    });
    this.#update();
  }

  /** Adds the counters of one snapshot. */
  add(at_ms, counters) {
    const newest = this.#samples.at(-1);
    // The stream's first snapshot can fall between two of the history's samples.
    if (newest && at_ms - newest.at_ms < 500) return;
    const sample = { at_ms };
    for (const { id } of this.#series) sample[id] = counters[id];
    this.#samples.push(sample);
    while (this.#samples.length > 0 && this.#samples[0].at_ms < at_ms - SPAN_MS - GAP_MS) this.#samples.shift();
    this.#update();
  }

  #update() {
    this.#rates = this.#samples.slice(1).map((sample, index) => this.#between(this.#samples[index], sample));
    this.#draw();
  }

  /** The rates between two samples; none over a gap or a restart, where the line breaks. */
  #between(before, after) {
    const elapsed = after.at_ms - before.at_ms;
    const broken = elapsed > GAP_MS || elapsed <= 0 || this.#series.some(({ id }) => after[id] < before[id]);
    const point = { at_ms: after.at_ms, broken };
    if (!broken) for (const { id } of this.#series) point[id] = ((after[id] - before[id]) * 1000) / elapsed;
    return point;
  }

  #draw() {
    const now = this.#samples.at(-1)?.at_ms ?? 0;
    const known = this.#rates.filter((point) => !point.broken && point.at_ms >= now - SPAN_MS);
    const top = ceiling(Math.max(1, ...known.flatMap((point) => this.#series.map(({ id }) => point[id]))));
    const right = this.#width - MARGIN.right;
    const bottom = this.#height - MARGIN.bottom;
    const x = (at) => right - ((now - at) / SPAN_MS) * (right - MARGIN.left);
    const y = (value) => bottom - (value / top) * (bottom - MARGIN.top);
    set(this.#svg, { viewBox: `0 0 ${this.#width} ${this.#height}`, width: this.#width, height: this.#height });
    this.#drawGrid(top, x, y, now, right);
    for (const { id } of this.#series) this.#lines.get(id).setAttribute("d", this.#path(id, x, y, now));
    this.#drawCursor(known, x, bottom);
  }

  #path(id, x, y, now) {
    let path = "";
    let pen = "M";
    for (const point of this.#rates) {
      if (point.broken || point.at_ms < now - SPAN_MS) {
        pen = "M";
        continue;
      }
      path += `${pen}${x(point.at_ms).toFixed(1)},${y(point[id]).toFixed(1)}`;
      pen = "L";
    }
    return path;
  }

  #drawGrid(top, x, y, now, right) {
    const parts = [];
    for (const value of [0, top / 2, top]) {
      parts.push(element("line", { x1: MARGIN.left, x2: right, y1: y(value), y2: y(value) }));
      parts.push(text(MARGIN.left - 8, y(value) + 4, "end", this.#format(value)));
    }
    const step = this.#width < 480 ? 2 : 1;
    for (let minutes = 0; minutes <= 5; minutes += step) {
      const label = minutes === 0 ? "now" : `−${minutes} min`;
      const anchor = minutes === 0 ? "end" : minutes === 5 ? "start" : "middle";
      parts.push(text(x(now - minutes * 60_000), this.#height - 4, anchor, label));
    }
    this.#grid.replaceChildren(...parts);
  }

  #point(offset) {
    this.#pointer = offset;
    this.#draw();
  }

  /** The legend shows the newest rates, or those under the pointer. */
  #drawCursor(known, x, bottom) {
    let shown = known.at(-1);
    if (this.#pointer !== null && known.length > 0) {
      const distance = (point) => Math.abs(x(point.at_ms) - this.#pointer);
      shown = known.reduce((best, point) => (distance(point) < distance(best) ? point : best));
      const at = x(shown.at_ms);
      set(this.#cursor, { x1: at, x2: at, y1: MARGIN.top, y2: bottom, visibility: "visible" });
    } else {
      this.#cursor.setAttribute("visibility", "hidden");
    }
    for (const { id } of this.#series) this.#legend.get(id).textContent = this.#format(shown ? shown[id] : null);
  }
}

/** The next of 1, 2, 3, 4, 5, 6, 8, 10, 20, 30.. */
function ceiling(value) {
  const scale = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 3, 4, 5, 6, 8, 10].find((step) => value <= step * scale) * scale;
}

function legendEntry(legend, id, label) {
  const entry = document.createElement("li");
  entry.className = `series-${id}`;
  const value = document.createElement("b");
  entry.append(label, " ", value);
  legend.append(entry);
  return value;
}

function element(name, attributes) {
  return set(document.createElementNS(SVG, name), attributes);
}

function set(node, attributes) {
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}

function text(x, y, anchor, content) {
  const node = element("text", { x, y, "text-anchor": anchor });
  node.textContent = content;
  return node;
}
