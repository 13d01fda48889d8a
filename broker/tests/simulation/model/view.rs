//! Recounts: what the console shows, and what is left when everything has come to rest.

use stompbox_broker::core::dispatcher::Dispatcher;
use stompbox_console::ListQuery;

use super::{Model, QueueIndex, Whereabouts};

#[derive(Debug, Default, Clone, Copy)]
struct Recount {
    waiting: u64,
    stored: u64,
    delayed: u64,
    held: u64,
    fading: u64,
    bytes: u64,
}

impl Model {
    fn recount(&self) -> Vec<Recount> {
        let mut recounts = vec![Recount::default(); self.queues.len()];
        for (_, message) in self.all() {
            let recount = &mut recounts[message.queue];
            let bytes = message.bytes as u64;
            let may_have_gone = !message.is_persistent && message.is_expired(self.now);
            match message.whereabouts {
                Whereabouts::Waiting if may_have_gone => {
                    recount.fading += 1;
                    continue;
                }
                Whereabouts::Waiting => {
                    recount.waiting += 1;
                    recount.stored += u64::from(message.is_persistent);
                }
                Whereabouts::Delayed(_) => recount.delayed += 1,
                Whereabouts::Held => recount.held += 1,
                Whereabouts::Fading => recount.fading += 1,
                Whereabouts::Gone | Whereabouts::Burying(_) => continue,
            }
            if message.whereabouts != Whereabouts::Fading {
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
            let queue = self.by_name[&view.name];
            let recount = recounts[queue];
            let certain = recount.waiting + recount.delayed + recount.held;
            let depth = certain..=certain + recount.fading;
            assert!(depth.contains(&view.depth), "{view:?} {recount:?}");
            if recount.fading == 0 {
                assert_eq!(view.depth_bytes, recount.bytes, "{view:?} {recount:?}");
            }
            assert_eq!(view.in_flight, recount.held, "{view:?} {recount:?}");
            assert_eq!(view.delayed, recount.delayed, "{view:?} {recount:?}");
            assert!(view.paged <= recount.stored, "{view:?} {recount:?}");
            assert_eq!(view.consumers, self.consumers(queue), "{view:?}");
        }
        let overview = dispatcher.overview();
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

    fn consumers(&self, queue: QueueIndex) -> u64 {
        let all = self
            .peers
            .values()
            .flat_map(|peer| peer.subscriptions.values());
        all.filter(|live| live.queue == queue).count() as u64
    }

    /// Everything that was asked for has been done: nobody waits without reason.
    pub(crate) fn check_rest(&self, dispatcher: &Dispatcher) {
        assert!(
            self.owed.is_empty(),
            "receipts that never came: {:?}",
            self.owed
        );
        for (id, message) in self.all() {
            let is_hidden = message.visible_after > self.watermark;
            let is_waiting = message.whereabouts == Whereabouts::Waiting;
            assert!(
                !(is_waiting && is_hidden),
                "{id:?} waits for a commit that never comes"
            );
        }
        for peer in self.peers.values() {
            for live in peer.subscriptions.values() {
                assert!(
                    live.open.len() >= live.prefetch || self.first_ready(live.queue).is_none(),
                    "{:?} of {} waits although a consumer has credit",
                    self.first_ready(live.queue),
                    self.queues[live.queue].name
                );
            }
        }
        self.check_views(dispatcher);
    }

    fn first_ready(&self, queue: QueueIndex) -> Option<crate::wire::MessageId> {
        self.queues[queue].lanes.iter().find_map(|lane| {
            let is_seen = |id: &&crate::wire::MessageId| self.is_in_sight(self.message(**id));
            let first = lane
                .values()
                .take_while(is_seen)
                .find(|id| !self.message(**id).is_expired(self.now))?;
            Some(*first)
        })
    }

    /// Messages that are somewhere.
    pub(crate) fn left(&self) -> usize {
        let is_left = |whereabouts| !matches!(whereabouts, Whereabouts::Gone | Whereabouts::Fading);
        self.all()
            .filter(|(_, message)| is_left(message.whereabouts))
            .count()
    }

    /// Messages that are somewhere, for the reader of a failure.
    pub(crate) fn leftovers(&self) -> Vec<String> {
        let is_left = |whereabouts| !matches!(whereabouts, Whereabouts::Gone | Whereabouts::Fading);
        self.all()
            .filter(|(_, message)| is_left(message.whereabouts))
            .map(|(id, message)| format!("{id:?} {message:?}"))
            .collect()
    }
}
