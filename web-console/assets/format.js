// Figures and names as text. Pure functions: nothing here touches the page.

const whole = new Intl.NumberFormat("en");
const short = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 4 });
const tenths = new Intl.NumberFormat("en", { minimumFractionDigits: 1, maximumFractionDigits: 1 });

/** What stands where there is no figure. */
export const NONE = "–";

/** A count in full: tables are read digit by digit. */
export function count(value) {
  return whole.format(value);
}

/** A count for a headline: in full as long as that is readable. */
export function headline(value) {
  return value < 10_000_000 ? whole.format(value) : short.format(value);
}

/** Events a second; `null` means that it is not known yet. */
export function rate(value) {
  if (value === null) return NONE;
  if (value === 0) return "0";
  if (value < 0.05) return "<0.1";
  return value < 9.95 ? tenths.format(value) : whole.format(Math.round(value));
}

/** A size in binary units. */
export function bytes(value) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  let scaled = value;
  while (scaled >= 1023.5 && unit < units.length - 1) {
    scaled /= 1024;
    unit += 1;
  }
  return `${unit > 0 && scaled < 9.95 ? tenths.format(scaled) : whole.format(Math.round(scaled))} ${units[unit]}`;
}

/** A duration in its two largest units. */
export function duration(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const minutes = Math.floor(seconds / 60);
  const hours = Math.floor(minutes / 60);
  const days = Math.floor(hours / 24);
  if (days > 0) return `${days} d ${hours % 24} h`;
  if (hours > 0) return `${hours} h ${minutes % 60} min`;
  if (minutes > 0) return `${minutes} min ${seconds % 60} s`;
  return `${seconds} s`;
}

/** A moment: the time of day, and the date if that is another. */
export function moment(ms) {
  const date = new Date(ms);
  if (Number.isNaN(date.getTime())) return String(ms);
  const time = date.toLocaleTimeString("en-GB");
  const day = [date.getFullYear(), date.getMonth() + 1, date.getDate()].map((part) => String(part).padStart(2, "0")).join("-");
  return date.toDateString() === new Date().toDateString() ? time : `${day} ${time}`;
}

/** A short duration given in microseconds. */
export function micros(us) {
  if (us < 1_000) return `${us} µs`;
  return us < 1_000_000 ? `${tenths.format(us / 1_000)} ms` : `${tenths.format(us / 1_000_000)} s`;
}

/** `one` or `many` of something, with the figure before it. */
export function plural(value, one, many) {
  return `${headline(value)} ${value === 1 ? one : many}`;
}

// Controls, and characters that are invisible or reorder their surroundings: a name must not be able to look like
// another one. ZWJ, ZWNJ and variation selectors stay: scripts and emoji need them.
const UNSEEN = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u115f\u1160\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\ufff9-\ufffb]/gu;

/** A name from a client, with what could not be seen made visible. Still only ever written as text. */
export function visible(name) {
  return name.replace(UNSEEN, (character) => {
    const code = character.codePointAt(0);
    if (code < 0x20) return String.fromCodePoint(0x2400 + code);
    if (code === 0x7f) return "\u2421";
    return `⟨U+${code.toString(16).toUpperCase().padStart(4, "0")}⟩`;
  });
}

/** Whether a queue is a dead-letter queue by its name: the shared one, or one that a policy makes. */
export function isDeadLetter(name) {
  return name === "ActiveMQ.DLQ" || name.startsWith("DLQ.") || name.startsWith("ActiveMQ.DLQ.");
}
