// The page: takes the events of the feed and writes them where they belong. Everything that came from a client is
// written as text, never as markup.

import { Chart } from "/chart.js";
import { Feed } from "/feed.js";
import { bytes, count, duration, headline, micros, moment, plural, rate, visible } from "/format.js";
import { makeLists } from "/lists.js";
import { Rates } from "/rates.js";
import { complaint, order } from "/request.js";
import { Scheduled } from "/scheduled.js";
import { Sheet } from "/sheet.js";

const LIMIT_FIRST = 100;
const LIMIT_MAX = 1_000;
const FILTER_PAUSE_MS = 200;

const byId = (id) => document.getElementById(id);
const write = (id, text) => {
  const node = byId(id);
  if (node.textContent !== text) node.textContent = text;
};

const state = { tab: "queues", name: "", limit: LIMIT_FIRST, snapshot: null, scheduled: [], trouble: "", lost: null };

const rates = {
  broker: new Rates(() => "", ["enqueued_total", "dispatched_total"]),
  queues: new Rates((queue) => queue.name, ["enqueued_total", "dispatched_total", "acknowledged_total"]),
  topics: new Rates((topic) => topic.name, ["enqueued_total", "dispatched_total"]),
};

const place = { head: byId("table").tHead, body: byId("table").tBodies[0] };
const depthOf = (name) => state.snapshot.queues.items.find((queue) => queue.name === name)?.depth ?? 0;
const lists = makeLists(place, rates, {
  openQueue: ({ name }) => sheet.open("queue", name, () => depthOf(name)),
  openTopic: ({ name }) => sheet.open("topic", name, () => 0),
  forget,
  cancel,
  now: () => state.snapshot.at_ms,
});

const chart = new Chart(byId("chart"), byId("legend"), [
  { id: "enqueued_total", label: "In" },
  { id: "dispatched_total", label: "Out" },
  { id: "acknowledged_total", label: "Acknowledged" },
], rate);

const sheet = new Sheet();
const scheduled = new Scheduled(showScheduled, showTrouble);

const feed = new Feed(receive, (reason) => {
  state.lost = reason;
  showBanner();
});

function receive(event, data) {
  if (event === "history") return chart.reset(data);
  state.lost = null;
  if (event === "unavailable") {
    state.lost = data.health.status === "ok" ? `${sentence(data.message)}.` : trouble(data.health);
    showHealth(data.health);
  } else if (event === "snapshot") {
    showSnapshot(data);
  }
  showBanner();
}

function showSnapshot(snapshot) {
  state.snapshot = { ...snapshot, scheduled: { total: snapshot.overview.scheduled, items: state.scheduled } };
  const { at_ms, overview } = snapshot;
  rates.broker.observe(at_ms, [overview]);
  rates.queues.observe(at_ms, snapshot.queues.items);
  rates.topics.observe(at_ms, snapshot.topics.items);
  chart.add(at_ms, overview);
  showHealth(snapshot.health);
  showBroker(overview, at_ms);
  showTiles(overview);
  showFigures(overview);
  showLists();
}

function showScheduled(page) {
  const items = page.items.map((message) => ({ ...message, in: message.due_ms - Date.now() }));
  state.scheduled = items;
  if (state.snapshot) state.snapshot.scheduled = { total: page.total, items };
  if (state.tab === "scheduled") showLists();
}

function showTrouble(text) {
  state.trouble = text;
  showBanner();
}

function cancel(message) {
  const question = `Cancel what is to be sent to ${visible(message.destination)}?`;
  if (window.confirm(question)) scheduled.cancel(message.id);
}

async function forget(subscription) {
  const question = `Delete ${visible(subscription.identity)} and the ${plural(subscription.pending, "message", "messages")} that wait for it?`;
  if (!window.confirm(question)) return;
  try {
    await order("POST", "subscriptions/delete", { identity: subscription.identity });
    showTrouble("");
  } catch (error) {
    showTrouble(complaint(error));
  }
}

function showHealth(health) {
  const words = { ok: "Running", stopping: "Stopping", failed: "Failed" };
  const pill = byId("health");
  pill.dataset.state = health.status;
  pill.title = health.reason ?? "";
  write("health", words[health.status] ?? health.status);
}

function showBroker(overview, atMs) {
  write("version", overview.version);
  write("uptime", `up ${duration(atMs - overview.started_ms)}`);
  write("addresses", overview.stomp.join("  "));
  write("instance", `Instance ${overview.instance}`);
}

function showTiles(overview) {
  write("tile-in", rate(rates.broker.of(overview, "enqueued_total")));
  write("tile-in-note", `${headline(overview.enqueued_total)} since start`);
  write("tile-out", rate(rates.broker.of(overview, "dispatched_total")));
  write("tile-out-note", `${headline(overview.dispatched_total)} since start`);
  write("tile-depth", headline(overview.depth));
  write("tile-depth-note", `${headline(overview.in_flight)} in flight`);
  write("tile-queues", headline(overview.queues));
  write("tile-queues-note", plural(overview.topics, "topic", "topics"));
  write("tile-consumers", headline(overview.subscriptions));
  write("tile-consumers-note", `${headline(overview.acknowledged_total)} acknowledged`);
  write("tile-connections", headline(overview.connections));
  write("tile-connections-note", `${headline(overview.connections_total)} since start`);
}

function showFigures(overview) {
  const { store } = overview;
  const limit = overview.memory_limit_bytes;
  const meter = { value: overview.memory_bytes, max: limit };
  const alarming = (value) => (value > 0 ? "bad" : "");
  const figures = [
    ["Messages in memory", `${bytes(overview.memory_bytes)} of ${bytes(limit)}`, "", meter],
    ["Database", `${bytes(store.database_bytes)}, ${bytes(store.database_free_bytes)} unused`],
    ["Disk", store.full ? "full" : "has room", alarming(store.full)],
    ["Scratch file", bytes(store.scratch_bytes)],
    ["Write-ahead log", bytes(store.wal_bytes)],
    ["Last commit", micros(store.last_commit_us)],
    ["Redelivered", count(overview.redelivered_total)],
    ["Dead-lettered", count(overview.dead_lettered_total)],
    ["Expired", count(overview.expired_total)],
    ["Dropped", count(overview.dropped_total)],
    ["Duplicates", count(overview.duplicates_total)],
    ["Quarantined", count(store.quarantined_total), alarming(store.quarantined_total)],
  ];
  const host = byId("figures");
  if (host.children.length === 0) host.append(...figures.map(([label]) => figureRow(label)));
  figures.forEach(([, value, mark, gauge], index) => fillFigure(host.children[index], value, mark ?? "", gauge));
}

function figureRow(label) {
  const row = document.createElement("div");
  const term = document.createElement("dt");
  const value = document.createElement("dd");
  term.textContent = label;
  row.append(term, value);
  return row;
}

function fillFigure(row, value, mark, gauge) {
  const cell = row.children[1];
  if (cell.textContent !== value) cell.textContent = value;
  if (cell.className !== mark) cell.className = mark;
  if (!gauge) return;
  let meter = row.querySelector("meter");
  if (!meter) {
    meter = document.createElement("meter");
    meter.setAttribute("aria-label", row.children[0].textContent);
    row.append(meter);
  }
  // In this order: a value above the maximum of the moment would be cut to it.
  meter.max = Math.max(1, gauge.max);
  meter.high = meter.max * 0.8;
  meter.optimum = 0;
  meter.value = gauge.value;
}

function showLists() {
  const { snapshot, tab } = state;
  if (!snapshot) return;
  for (const [id, list] of Object.entries(lists)) {
    list.table.update(snapshot[id].items, id === tab);
    byId(`tab-${id}`).querySelector("span").textContent = count(snapshot[id].total);
  }
  const { total, items } = snapshot[tab];
  const untouched = snapshot.overview.queues + snapshot.overview.topics === 0;
  const first = tab !== "connections" && tab !== "scheduled" && untouched && state.name === "";
  byId("first").hidden = !first;
  byId("main").classList.toggle("untouched", untouched);
  byId("nothing").hidden = first || total > 0;
  byId("table").hidden = total === 0;
  if (first) write("first-address", firstAddress(snapshot.overview.stomp));
  if (total === 0) write("nothing-text", nothingText());
  byId("nothing-clear").hidden = state.name === "" || tab === "scheduled";
  showMore(total, items.length);
}

function firstAddress(addresses) {
  return addresses.length > 0 ? `Any STOMP client will do: connect it to ${addresses.join(" or ")}.` : "";
}

function nothingText() {
  const { many } = lists[state.tab];
  if (state.tab === "scheduled") return "Nothing is scheduled.";
  if (state.name !== "") return `No ${many} with “${visible(state.name)}” in their name.`;
  return state.tab === "connections" ? "No client is connected." : `No ${many} yet.`;
}

function showMore(total, shown) {
  const more = byId("more");
  more.hidden = shown >= total;
  if (more.hidden) return;
  const [note, button] = more.children;
  note.textContent = `The first ${count(shown)} of ${count(total)} ${lists[state.tab].many}.`;
  button.hidden = state.limit >= LIMIT_MAX;
  button.textContent = `Show ${count(Math.min(total, LIMIT_MAX))}`;
  if (button.hidden) note.textContent += " Filter by name to see others.";
}

function showBanner() {
  const { lost, snapshot } = state;
  const health = snapshot?.health;
  const since = snapshot ? ` These figures are from ${moment(snapshot.at_ms)}.` : "";
  let message = "";
  if (lost !== null) message = `${lost || "Connection to the broker lost."} Trying again.${since}`;
  else if (health && health.status !== "ok") message = trouble(health);
  else message = state.trouble;
  byId("banner").classList.toggle("shown", message !== "");
  byId("banner").classList.toggle("grave", byId("health").dataset.state === "failed");
  byId("banner-retry").hidden = lost === null;
  byId("main").classList.toggle("stale", lost !== null);
  if (lost !== null && byId("health").dataset.state !== "failed") {
    byId("health").dataset.state = "waiting";
    write("health", "Offline");
  }
  write("banner-text", message);
}

function trouble(health) {
  return health.status === "failed" ? `The broker has failed: ${health.reason}.` : `${sentence(health.reason)}.`;
}

function sentence(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function selectTab(id, focus) {
  state.tab = id;
  for (const other of Object.keys(lists)) {
    const tab = byId(`tab-${other}`);
    tab.setAttribute("aria-selected", String(other === id));
    tab.tabIndex = other === id ? 0 : -1;
  }
  byId("panel").setAttribute("aria-labelledby", `tab-${id}`);
  byId("table").caption.textContent = lists[id].many;
  byId("table").dataset.list = id;
  if (focus) byId(`tab-${id}`).focus();
  byId("filter").disabled = id === "scheduled";
  state.trouble = "";
  watchScheduled();
  if (location.hash !== `#${id}`) history.replaceState(null, "", `#${id}`);
  lists[id].table.show();
  showLists();
}

function watchScheduled() {
  if (state.tab === "scheduled" && !document.hidden) scheduled.watch(state.limit);
  else scheduled.stop();
}

function watch() {
  watchScheduled();
  feed.select(state.name === "" ? { limit: state.limit } : { name: state.name, limit: state.limit });
}

function setFilter(name) {
  byId("filter").value = name;
  if (name === state.name) return;
  state.name = name;
  watch();
}

function bindTabs() {
  const ids = Object.keys(lists);
  ids.forEach((id, index) => {
    const tab = byId(`tab-${id}`);
    tab.addEventListener("click", () => selectTab(id, false));
    tab.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (step) selectTab(ids[(index + step + ids.length) % ids.length], true);
    });
  });
  const fromAddress = () => selectTab(ids.find((id) => `#${id}` === location.hash) ?? "queues", false);
  window.addEventListener("hashchange", fromAddress);
  fromAddress();
}

function isTyping() {
  return document.activeElement?.matches("input[type=text], input[type=search]") || document.querySelector("dialog[open]") !== null;
}

function bindFilter() {
  const input = byId("filter");
  let pause = 0;
  input.addEventListener("input", () => {
    clearTimeout(pause);
    pause = setTimeout(() => setFilter(input.value), FILTER_PAUSE_MS);
  });
  input.addEventListener("keydown", (event) => {
    if (event.key === "Escape") setFilter("");
  });
  byId("nothing-clear").addEventListener("click", () => setFilter(""));
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || isTyping() || input.disabled) return;
    event.preventDefault();
    input.focus();
  });
}

function bindFeed() {
  byId("banner-retry").addEventListener("click", () => feed.open());
  byId("more").querySelector("button").addEventListener("click", () => {
    state.limit = LIMIT_MAX;
    watch();
  });
  // Browsers allow six connections to a host: a tab that nobody looks at holds none. The history that a stream
  // begins with fills what was missed.
  document.addEventListener("visibilitychange", () => {
    watchScheduled();
    if (document.hidden) feed.close();
    else feed.open();
  });
  watch();
}

bindTabs();
bindFilter();
bindFeed();
