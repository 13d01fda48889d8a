// A message as elements: what the broker says of it, its headers, its body.

import { element } from "/element.js";
import { NONE, bytes, count, moment, visible } from "/format.js";

const HEX_ROW_BYTES = 16;

/** The whole of a message. */
export function messageView(message) {
  return element("div", { className: "message" },
    element("h3", {}, "Message"), pairs(facts(message)),
    element("h3", {}, "Headers"),
    message.headers.length > 0 ? pairs(message.headers.map(({ name, value }) => [name, value])) : element("p", { className: "quiet" }, "None of its own."),
    element("h3", {}, bodyTitle(message.body)), bodyView(message.body));
}

/** A line of a body. */
export function excerpt(body) {
  if (body.bytes === 0) return NONE;
  return body.encoding === "text" ? visible(body.content.replace(/\s+/g, " ").trim()) : `${bytes(body.bytes)} of binary data`;
}

function facts(message) {
  return [
    ["message-id", message.id],
    ["Sent", moment(message.timestamp_ms)],
    ["Expires", message.expires_ms === 0 ? "never" : moment(message.expires_ms)],
    ["Priority", String(message.priority)],
    ["Persistent", message.persistent ? "yes" : "no"],
    ["Delivered before", message.deliveries === 0 ? "never" : `${count(message.deliveries)} ×`],
    ["Size", bytes(message.bytes)],
  ];
}

function pairs(entries) {
  const rows = entries.map(([name, value]) => element("div", {},
    element("dt", {}, element("bdi", {}, visible(name))), element("dd", {}, element("bdi", {}, visible(value)))));
  return element("dl", { className: "pairs" }, ...rows);
}

function bodyTitle({ bytes: whole, shown_bytes: shown }) {
  if (whole === 0) return "Body";
  return shown < whole ? `Body, the first ${bytes(shown)} of ${bytes(whole)}` : `Body, ${bytes(whole)}`;
}

function bodyView(body) {
  if (body.bytes === 0) return element("p", { className: "quiet" }, "Empty.");
  const text = body.encoding === "text" ? indented(body) : dump(body.content);
  return element("pre", { className: "body", dir: "auto", tabIndex: 0 }, text);
}

/** JSON with its structure shown, other text with what cannot be seen made visible, line by line. */
function indented({ content, shown_bytes: shown, bytes: whole }) {
  let text = content;
  if (shown === whole && /^\s*[[{]/.test(content)) {
    try {
      text = JSON.stringify(JSON.parse(content), null, 2);
    } catch {
      // It only looked like JSON.
    }
  }
  return text.split(/\r?\n/).map((line) => visible(line.replaceAll("\t", "    "))).join("\n");
}

/** Bytes in rows: their place, their digits, and what is ASCII of them. */
function dump(digits) {
  const rows = [];
  for (let at = 0; at * 2 < digits.length; at += HEX_ROW_BYTES) {
    const row = digits.slice(at * 2, (at + HEX_ROW_BYTES) * 2).match(/../g);
    const ascii = row.map((pair) => parseInt(pair, 16)).map((byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : "."));
    rows.push(`${at.toString(16).padStart(6, "0")}  ${row.join(" ").padEnd(HEX_ROW_BYTES * 3 - 1)}  ${ascii.join("")}`);
  }
  return rows.join("\n");
}
