// The lists of the page: what each column shows, and what is marked.

import { NONE, bytes, count, duration, isDeadLetter, moment, rate, visible } from "/format.js";
import { Table } from "/table.js";

const text = (id, label, value, hint) => ({ id, label, hint, value, text: (item) => visible(value(item)) });
const number = (id, label, hint, format = count) => ({
  id, label, hint, numeric: true, value: (item) => item[id], text: (item) => format(item[id]),
});
const marked = (column, mark) => ({ ...column, mark });
const opening = (column, act) => ({ ...column, act });
const small = (id, label, act) => ({ ...opening(text(id, "", () => label), act), actClass: "small" });
const bad = (id) => (item) => (item[id] > 0 ? "bad" : "zero");
const dead = (queue) => isDeadLetter(queue.name) && queue.depth > 0;
const unread = (queue) => queue.consumers === 0 && queue.depth > 0 && !isDeadLetter(queue.name);
const byName = { column: "name", order: "ascending" };

/** One table for each tab, by its id, in the order of the tabs.
 *
 * `place` is the table on the page that they share, `rates` tells events a second, `acts` is what a click does
 * (`openQueue`, `openTopic`, `forget`, `cancel`, each with its item) and the broker's time (`now`).
 */
export function makeLists(place, rates, acts) {
  const perSecond = (list, id, label, hint) => ({
    id: `${id}-rate`, label, hint, numeric: true,
    value: (item) => rates[list].of(item, id), text: (item) => rate(rates[list].of(item, id)),
  });
  const age = (connection) => acts.now() - connection.connected_ms;

  return {
    queues: {
      one: "queue", many: "queues",
      table: new Table({
        ...place, sort: byName, key: (queue) => queue.name, rowMark: (queue) => (dead(queue) ? "alarm" : ""),
        columns: [
          opening(text("name", "Queue", (queue) => queue.name), acts.openQueue),
          marked(number("depth", "Depth", "Messages in the queue, in flight included"), (queue) => (dead(queue) ? "bad" : undefined)),
          number("in_flight", "In flight", "With a consumer, not acknowledged yet"),
          number("delayed", "Delayed", "Waiting out a redelivery delay"),
          marked(number("consumers", "Consumers", "Subscriptions"), (queue) => (unread(queue) ? "attention" : undefined)),
          perSecond("queues", "enqueued_total", "In/s", "Messages accepted a second"),
          perSecond("queues", "dispatched_total", "Out/s", "Deliveries a second, repeats included"),
          perSecond("queues", "acknowledged_total", "Acked/s", "Messages acknowledged a second"),
          number("depth_bytes", "Size", "Bytes of the messages in the queue", bytes),
          number("redelivered_total", "Redelivered", "Deliveries that came back since the start"),
          number("dead_lettered_total", "Dead", "Moved to a dead-letter queue since the start"),
          number("expired_total", "Expired", "Expired since the start"),
          marked(number("dropped_total", "Dropped", "Dropped since the start because the queue was full"), bad("dropped_total")),
        ],
      }),
    },
    topics: {
      one: "topic", many: "topics",
      table: new Table({
        ...place, sort: byName, key: (topic) => topic.name,
        columns: [
          opening(text("name", "Topic", (topic) => topic.name), acts.openTopic),
          number("consumers", "Consumers", "Subscriptions"),
          number("durable", "Durable", "Durable subscriptions, with or without a consumer"),
          number("pending", "Pending", "Waiting in subscriptions beyond what is in flight"),
          number("in_flight", "In flight", "Not yet written or not yet acknowledged"),
          perSecond("topics", "enqueued_total", "In/s", "Messages published a second"),
          perSecond("topics", "dispatched_total", "Out/s", "Deliveries a second"),
          number("enqueued_total", "Published", "Messages since the start"),
          number("dispatched_total", "Delivered", "Deliveries since the start"),
          marked(number("dropped_total", "Dropped", "Deliveries dropped since the start"), bad("dropped_total")),
        ],
      }),
    },
    subscriptions: {
      one: "subscription", many: "durable or shared subscriptions",
      table: new Table({
        ...place, sort: { column: "identity", order: "ascending" }, key: (subscription) => subscription.identity,
        columns: [
          text("identity", "Subscription", (subscription) => subscription.identity, "What it is called, with its client-id"),
          text("topic", "Topic", (subscription) => subscription.topic),
          text("kind", "Kind", (subscription) => [subscription.durable ? "durable" : "", subscription.shared ? "shared" : ""].filter(Boolean).join(", ")),
          text("selector", "Selector", (subscription) => subscription.selector ?? NONE),
          marked(number("consumers", "Consumers"), (subscription) => (subscription.consumers === 0 && subscription.pending > 0 ? "attention" : undefined)),
          number("pending", "Pending", "Waiting or with a consumer, at most"),
          number("in_flight", "In flight", "With a consumer, not acknowledged yet"),
          number("dispatched_total", "Delivered", "Deliveries since the start"),
          number("acknowledged_total", "Acked", "Acknowledged since the start"),
          number("dead_lettered_total", "Dead", "Moved to a dead-letter queue since the start"),
          small("delete", "Delete", acts.forget),
        ],
      }),
    },
    scheduled: {
      one: "scheduled message", many: "scheduled messages",
      table: new Table({
        ...place, sort: { column: "due_ms", order: "ascending" }, key: (message) => message.id,
        columns: [
          text("destination", "Destination", (message) => message.destination),
          { ...number("due_ms", "Due", "When it comes next", moment) },
          number("in", "In", "Time until then", duration),
          { ...number("repeats_left", "Repeats", "How often it comes again after that", (left) => (left < 0 ? "for ever" : count(left))) },
          text("schedule", "Schedule", (message) => message.schedule, "What its sender asked for"),
          number("priority", "Priority"),
          number("bytes", "Size", "Bytes of its headers and body", bytes),
          text("id", "Id", (message) => message.id),
          small("cancel", "Cancel", acts.cancel),
        ],
      }),
    },
    connections: {
      one: "connection", many: "connections",
      table: new Table({
        ...place, sort: { column: "connected_ms", order: "descending" }, key: (connection) => connection.session,
        columns: [
          text("client", "Client", (connection) => connection.client_id || connection.session, "client-id, or the session"),
          text("login", "Login", (connection) => connection.login ?? NONE),
          text("peer", "Peer", (connection) => connection.peer),
          text("version", "STOMP", (connection) => connection.version),
          number("subscriptions", "Subscriptions"),
          number("in_flight", "In flight", "Deliveries not acknowledged"),
          number("transactions", "Transactions", "Open transactions"),
          {
            id: "connected_ms", label: "Age", hint: "Time since it connected", numeric: true,
            value: (connection) => age(connection), text: (connection) => duration(age(connection)),
          },
          marked(
            text("blocked", "State", (connection) => (connection.blocked ? `blocked by ${connection.blocked_by.join(", ")}` : "open"), "Blocked: a topic with a slow subscriber, or a limit, holds its messages back"),
            (connection) => (connection.blocked ? "attention" : "quiet"),
          ),
        ],
      }),
    },
  };
}
