//! Recounts: what the console shows, and what is left when everything has come to rest.

use stompbox_broker::core::dispatcher::Dispatcher;
use stompbox_console::ListQuery;

use super::Model;
use super::entry::{Entry, Holds, Whereabouts};

#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Recount {
    pub(super) waiting: u64,
    stored: u64,
    pub(super) delayed: u64,
    /// Waits out a delay within its group.
    grouped: u64,
    pub(super) held: u64,
    pub(super) fading: u64,
    bytes: u64,
}

impl Model {
    fn recount(&self) -> Vec<Recount> {
        let mut recounts = vec![Recount::default(); self.queues.len()];
        for (_, entry) in self.all() {
            let recount = &mut recounts[entry.queue];
            let bytes = entry.facts.bytes as u64;
            let may_have_gone = !entry.is_stored && entry.is_expired(self.now);
            match entry.whereabouts {
                Whereabouts::Waiting if may_have_gone => {
                    recount.fading += 1;
                    continue;
                }
                Whereabouts::Waiting => {
                    recount.waiting += 1;
                    recount.grouped += u64::from(self.waits_for_its_group(entry));
                    recount.stored += u64::from(entry.is_stored);
                }
                Whereabouts::Delayed(_) => recount.delayed += 1,
                Whereabouts::Held => recount.held += 1,
                Whereabouts::Fading => recount.fading += 1,
                Whereabouts::Gone | Whereabouts::Burying(_) => continue,
            }
            if entry.whereabouts != Whereabouts::Fading {
                recount.bytes += bytes;
            }
        }
        recounts
    }

    /// Between two turns: the console's figures are right.
    pub(crate) fn check_views(&self, dispatcher: &Dispatcher) {
        let recounts = self.recount();
        let all = ListQuery {
            limit: Some(1_000),
            ..ListQuery::default()
        };
        for view in dispatcher.list_queues(&all).items {
            let names =
                ["/queue/", "/remote-temp-queue/"].map(|prefix| format!("{prefix}{}", view.name));
            let queue = names.iter().find_map(|name| self.by_name.get(&**name));
            let queue = *queue.expect("a queue that was named");
            assert!(self.queues[queue].exists, "{view:?}");
            let recount = recounts[queue];
            let certain = recount.waiting + recount.delayed + recount.held;
            let depth = certain..=certain + recount.fading;
            assert!(depth.contains(&view.depth), "{view:?} {recount:?}");
            if recount.fading == 0 {
                assert_eq!(view.depth_bytes, recount.bytes, "{view:?} {recount:?}");
            }
            assert_eq!(view.in_flight, recount.held, "{view:?} {recount:?}");
            let delayed = recount.delayed..=recount.delayed + recount.grouped;
            assert!(delayed.contains(&view.delayed), "{view:?} {recount:?}");
            assert!(view.paged <= recount.stored, "{view:?} {recount:?}");
            let consumers = self.queues[queue].members.len();
            assert_eq!(view.consumers, consumers as u64, "{view:?}");
        }
        for view in dispatcher.list_topics(&all).items {
            let seats = self.seats();
            let mut live = seats.iter().filter_map(|seat| self.subscription(*seat));
            let temporary = format!("/remote-temp-topic/{}", view.name);
            let is_temporary = self.topics.contains_key(&*temporary);
            let lasting = format!("/topic/{}", view.name);
            let name = if is_temporary { temporary } else { lasting };
            let hears = |live: &&super::Subscription| live.hears(&name);
            let hearers = live.by_ref().filter(hears).count();
            assert_eq!(view.consumers, hearers as u64, "{view:?}");
            let durable = self.durables_of(&name);
            assert_eq!(view.durable, durable as u64, "{view:?}");
            self.check_topic_view(&name, view.pending, view.dropped_total);
        }
        self.check_lasting(dispatcher, &recounts);
        let overview = dispatcher.overview();
        self.check_schedule(overview.scheduled, false);
        let subscriptions: usize = self
            .peers
            .values()
            .map(|peer| peer.subscriptions.len())
            .sum();
        assert_eq!(overview.connections, self.peers.len() as u64);
        assert_eq!(overview.subscriptions, subscriptions as u64);
        for view in dispatcher.list_connections(&all).items {
            assert!(view.subscriptions <= subscriptions as u64);
        }
    }

    fn waits_for_its_group(&self, entry: &Entry) -> bool {
        entry.holds == Holds::Group && entry.not_before > self.now.uptime
    }

    /// Everything that was asked for has been done: nobody waits without reason.
    pub(crate) fn check_rest(&self, dispatcher: &Dispatcher) {
        assert!(
            self.owed.is_empty(),
            "receipts that never came: {:?}",
            self.owed
        );
        self.check_inquiries();
        self.check_bounds();
        for (id, entry) in self.all() {
            let is_hidden = entry.visible_after > self.watermark;
            let is_waiting = entry.whereabouts == Whereabouts::Waiting;
            assert!(
                !(is_waiting && is_hidden),
                "{id:?} waits for a commit that never comes"
            );
        }
        self.check_last_values();
        self.check_nobody_waits();
        self.check_schedule(dispatcher.overview().scheduled, true);
        self.check_views(dispatcher);
    }

    /// Messages that are somewhere.
    pub(crate) fn left(&self) -> usize {
        let is_left = |whereabouts| !matches!(whereabouts, Whereabouts::Gone | Whereabouts::Fading);
        self.all()
            .filter(|(_, entry)| is_left(entry.whereabouts))
            .count()
    }

    /// Messages that are somewhere, for the reader of a failure.
    pub(crate) fn leftovers(&self) -> Vec<String> {
        let is_left = |whereabouts| !matches!(whereabouts, Whereabouts::Gone | Whereabouts::Fading);
        self.all()
            .filter(|(_, entry)| is_left(entry.whereabouts))
            .map(|(id, entry)| format!("{id:?} {entry:?}"))
            .collect()
    }
}
