// What waits in a queue: a page of messages, one of them in full, and what is done to those that are marked.

import { button, element } from "/element.js";
import { bytes, count, moment, plural, visible } from "/format.js";
import { excerpt, messageView } from "/message.js";
import { ask, complaint, order } from "/request.js";

const PAGE = 50;
const HEADS = ["Message", "Sent", "Priority", "Came back", "Size", "Body"];

/** The messages of one queue, inside `host`. */
export class Messages {
  #host;
  #queue;
  #depth;
  #offset = 0;
  #page = { items: [], more: false };
  #marked = new Set();
  #note = element("p", { className: "note", role: "status" });

  /** `depth()` tells how many messages the queue holds. */
  constructor(host, queue, depth) {
    this.#host = host;
    this.#queue = queue;
    this.#depth = depth;
  }

  /** Asks for the page again and shows it. */
  async load() {
    try {
      this.#page = await ask("messages", { queue: this.#queue, offset: this.#offset, limit: PAGE });
    } catch (error) {
      this.#host.replaceChildren(element("p", { className: "note bad" }, complaint(error)),
        element("div", { className: "actions" }, button("Look again", () => this.load())));
      return;
    }
    const there = new Set(this.#page.items.map(({ id }) => id));
    this.#marked = new Set([...this.#marked].filter((id) => there.has(id)));
    this.#show();
  }

  #show() {
    const { items } = this.#page;
    const content = items.length > 0
      ? [this.#tools(), this.#note, this.#table(items), this.#pager()]
      : [this.#note, this.#empty(), this.#pager()];
    this.#host.replaceChildren(...content);
  }

  #empty() {
    return element("div", { className: "blank" },
      element("p", {}, "Nothing waits here."),
      element("p", { className: "quiet" }, "What is with a consumer, or waits out a redelivery delay, is not listed."),
      button("Look again", () => this.load()));
  }

  #tools() {
    const dead = this.#page.items.some((message) => message.original_destination !== null);
    const none = this.#marked.size === 0;
    const tools = [
      element("span", { className: "quiet" }, none ? "Mark messages to move or delete them." : `${count(this.#marked.size)} marked`),
      element("span", { className: "spacer" }),
      button("Look again", () => this.load()),
    ];
    if (dead) tools.push(button("Retry", () => this.#carryOut("retry", "Back in the queue they come from"), { disabled: none }));
    tools.push(button("Empty…", () => this.#askPurge(), { className: "grave" }));
    tools.push(button("Move…", () => this.#askWhere(), { disabled: none }));
    tools.push(button("Delete…", () => this.#askWhether(), { disabled: none, className: "grave" }));
    return element("div", { className: "actions" }, ...tools);
  }

  #table(items) {
    const all = element("input", { type: "checkbox", checked: this.#marked.size === items.length, ariaLabel: "Mark all on this page" });
    all.addEventListener("change", () => {
      this.#marked = new Set(all.checked ? items.map(({ id }) => id) : []);
      this.#show();
    });
    const heads = HEADS.map((label) => element("th", { scope: "col" }, label));
    return element("div", { className: "scroll" }, element("table", { className: "plain messages" },
      element("thead", {}, element("tr", {}, element("th", {}, all), ...heads)),
      element("tbody", {}, ...items.map((message) => this.#row(message)))));
  }

  #row(message) {
    const mark = element("input", { type: "checkbox", checked: this.#marked.has(message.id), ariaLabel: `Mark ${message.id}` });
    mark.addEventListener("change", () => {
      if (mark.checked) this.#marked.add(message.id);
      else this.#marked.delete(message.id);
      this.#show();
    });
    const from = message.original_destination === null ? [] : [element("small", {}, `from ${visible(message.original_destination)}`)];
    return element("tr", {},
      element("td", {}, mark),
      element("th", { scope: "row" }, button(message.id, () => this.#open(message.id), { className: "link mono" }), ...from),
      element("td", {}, moment(message.timestamp_ms)),
      element("td", {}, String(message.priority)),
      element("td", {}, `${count(message.deliveries)} ×`),
      element("td", {}, bytes(message.bytes)),
      element("td", {}, element("bdi", {}, excerpt(message.body))));
  }

  #pager() {
    const { items, more } = this.#page;
    const row = element("div", { className: "more" });
    if (this.#offset > 0) row.append(button("Before", () => this.#turn(-PAGE)));
    if (items.length > 0) row.append(element("span", { className: "quiet" }, `${count(this.#offset + 1)} to ${count(this.#offset + items.length)}`));
    if (more) row.append(button("Next", () => this.#turn(PAGE)));
    return row;
  }

  #turn(by) {
    this.#offset = Math.max(0, this.#offset + by);
    this.#marked.clear();
    return this.load();
  }

  async #open(id) {
    this.#note.textContent = "";
    try {
      const message = await ask("message", { queue: this.#queue, id });
      this.#host.replaceChildren(
        element("div", { className: "actions" }, button("← All messages", () => this.#show())),
        messageView(message));
    } catch (error) {
      this.#tell(complaint(error), "bad");
    }
  }

  #askWhether() {
    this.#ask(`Delete ${plural(this.#marked.size, "message", "messages")} for good?`, [],
      button("Delete", () => this.#carryOut("delete", "Deleted"), { className: "grave" }));
  }

  #askPurge() {
    const depth = this.#depth();
    this.#ask(`Delete all ${plural(depth, "message", "messages")} of this queue for good? What consumers hold stays.`, [],
      button("Delete all", () => this.#purge(depth), { className: "grave" }));
  }

  /** No more than there were: producers that go on would keep it going for ever. */
  async #purge(depth) {
    let done = 0;
    try {
      for (let more = true; more;) {
        this.#tell(`Deleting… ${count(done)} so far.`, "");
        const purged = await order("POST", "queues/purge", { queue: this.#queue, limit: depth - done });
        done += purged.done;
        ({ more } = purged);
        if (!this.#host.isConnected) return;
      }
      this.#offset = 0;
      await this.load();
      this.#tell(`Deleted: ${plural(done, "message", "messages")}.`, "good");
    } catch (error) {
      this.#tell(`${complaint(error)} ${plural(done, "message was", "messages were")} deleted before.`, "bad");
    }
  }

  #askWhere() {
    const to = element("input", { type: "text", placeholder: "/queue/NAME", maxLength: 300, ariaLabel: "Where to", spellcheck: false });
    const go = () => this.#carryOut("move", `Moved to ${visible(to.value)}`, { to: to.value });
    to.addEventListener("keydown", (event) => {
      if (event.key !== "Enter") return;
      event.preventDefault();
      go();
    });
    this.#ask(`Move ${plural(this.#marked.size, "message", "messages")} to`, [to], button("Move", go));
    to.focus();
  }

  #ask(question, fields, act) {
    const away = button("Cancel", () => this.#note.replaceChildren());
    this.#note.className = "note question";
    this.#note.replaceChildren(element("span", {}, question), ...fields, act, away);
    if (fields.length === 0) away.focus();
  }

  async #carryOut(action, done, more = {}) {
    const ids = [...this.#marked];
    this.#tell("Working…", "");
    try {
      const carried = await order("POST", `messages/${action}`, { queue: this.#queue, ids, ...more });
      const gone = carried.missing.length;
      const rest = gone === 0 ? "" : ` ${plural(gone, "other has", "others have")} gone, or cannot be had: a consumer holds them.`;
      await this.load();
      this.#tell(`${done}: ${plural(carried.done, "message", "messages")}.${rest}`, gone === 0 ? "good" : "attention");
    } catch (error) {
      this.#tell(complaint(error), "bad");
    }
  }

  #tell(text, mark) {
    this.#note.className = `note ${mark}`;
    this.#note.replaceChildren(text);
  }
}
