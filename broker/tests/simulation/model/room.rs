//! Queues that refuse, and those that hold back: who met which of them full.
//!
//! What consumers can take at once does not fill a queue, and when in its turn the dispatcher hands out is not foretold. So that a queue was full
//! is held against what waited in any case, and that it had room against what may have waited.

use std::collections::{BTreeMap, BTreeSet};

use stompbox_broker::core::message::Publication;
use stompbox_broker::core::port::{ConnectionId, ReceiptId, Reply, Request};

use super::entry::{Entry, EntryId, Facts, Whereabouts};
use super::{Model, QueueIndex, Seat};
use crate::policy::{Amount, WhenFull, may_refuse};
use crate::trace;

/// What was put into a queue with a limit.
#[derive(Debug)]
struct Put {
    publisher: ConnectionId,
    queue: QueueIndex,
    /// What waited there.
    waiting: Vec<EntryId>,
    more: Amount,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Room {
    /// Receipts of what the dispatcher has refused in this turn because a queue was full.
    refused: BTreeSet<(ConnectionId, Vec<u8>)>,
    /// What it has taken.
    taken: Vec<Put>,
    /// After which SENDs to a queue that holds back.
    filled: Vec<Put>,
    /// Queues whose consumers may have been served before the turn ended, to make room.
    served: BTreeSet<QueueIndex>,
    /// Whether something that was handed out in this turn may have come back unseen.
    pub(super) is_disturbed: bool,
}

impl Room {
    pub(super) fn begin_turn(&mut self) {
        self.refused.clear();
        self.served.clear();
        self.is_disturbed = false;
    }
}

pub(super) fn amount_of<'e>(entries: impl Iterator<Item = &'e Entry>) -> Amount {
    entries.fold(Amount::default(), |sum, entry| {
        sum.plus(Amount::of_one(entry.facts.bytes))
    })
}

impl Model {
    /// The dispatcher has said which SEND or COMMIT a queue was too full for.
    pub(crate) fn learn_of_refusals(&mut self, replies: &[(ConnectionId, Vec<Reply>)]) {
        for (connection, replies) in replies {
            for reply in replies {
                if let Reply::Refused(refusal) = reply
                    && refusal.summary == "queue is full"
                {
                    let receipt = refusal.receipt.clone();
                    let receipt = receipt.expect("every such SEND asks for a receipt");
                    self.room.refused.insert((*connection, receipt.0.to_vec()));
                }
            }
        }
    }

    /// Whether that was refused because a queue was full, and rightly.
    pub(super) fn is_refused(
        &mut self,
        publisher: ConnectionId,
        sends: &[Publication],
        receipt: Option<&ReceiptId>,
    ) -> bool {
        let demands = self.demands(sends);
        let refused = receipt.is_some_and(|receipt| {
            let key = (publisher, receipt.0.to_vec());
            self.room.refused.contains(&key)
        });
        let of = |queue: &QueueIndex| self.queues[*queue].rules.bound;
        let strict = demands.into_iter().filter_map(|(queue, more)| {
            let bound = of(&queue)?;
            (bound.when_full == WhenFull::Reject).then_some((queue, more, bound.max))
        });
        let strict: Vec<_> = strict.collect();
        for (queue, more, max) in &strict {
            let waiting = self.all_waiting_in(*queue);
            let most = self.with_fading(*queue, &waiting);
            if !most.plus(*more).fits(*max) {
                self.room.served.insert(*queue);
            }
        }
        if refused {
            trace::count("queue: refuses");
            for send in sends {
                self.make_named_queues(send);
            }
            let is_full = |(queue, more, max): &(QueueIndex, Amount, Amount)| {
                !self.may_wait_in(*queue).plus(*more).fits(*max)
            };
            assert!(
                strict.iter().any(is_full),
                "{publisher:?} was refused although there is room: {strict:?}"
            );
            return true;
        }
        for (queue, more, _) in strict {
            let waiting = self.all_waiting_in(queue);
            self.room.taken.push(Put {
                publisher,
                queue,
                waiting,
                more,
            });
        }
        false
    }

    /// A SEND was taken: its connection may have to wait before the next one.
    pub(super) fn note_filled(&mut self, publisher: ConnectionId, publication: &Publication) {
        if publication.later.is_some() {
            return;
        }
        let facts = Facts::of(publication, publisher);
        for name in self.forward(&self.places(publication), &facts) {
            for queue in self.queues_behind(&name) {
                let bound = self.queues[queue].rules.bound;
                if bound.is_some_and(|bound| bound.when_full == WhenFull::Block) {
                    let waiting = self.all_waiting_in(queue);
                    self.room.filled.push(Put {
                        publisher,
                        queue,
                        waiting,
                        more: Amount::default(),
                    });
                }
            }
        }
    }

    /// What these put into each queue now: neither what comes later nor what is known already.
    fn demands(&self, sends: &[Publication]) -> BTreeMap<QueueIndex, Amount> {
        let mut demands: BTreeMap<QueueIndex, Amount> = BTreeMap::new();
        let mut met = BTreeSet::new();
        for send in sends.iter().filter(|send| send.later.is_none()) {
            let mut fresh = self.fresh_places(send);
            if let Some(id) = &send.duplicate_id {
                fresh.retain(|place| met.insert((place.clone(), id.as_bytes().to_vec())));
            }
            for place in self.forward(&fresh, &Facts::of(send, ConnectionId(0))) {
                for queue in self.queues_behind(&place) {
                    let demand = demands.entry(queue).or_default();
                    *demand = demand.plus(Amount::of_one(send.message.bytes()));
                }
            }
        }
        demands
    }

    fn queues_behind(&self, name: &str) -> Vec<QueueIndex> {
        match name.contains("topic/") {
            true => self.consumer_queues_of(name),
            false => self.by_name.get(name).copied().into_iter().collect(),
        }
    }

    pub(super) fn all_waiting_in(&self, queue: QueueIndex) -> Vec<EntryId> {
        let lanes = self.queues[queue].lanes.iter();
        let aside = self.delayed.iter().map(|(_, id)| *id).filter(|id| {
            let entry = self.entry(*id);
            entry.queue == queue && matches!(entry.whereabouts, Whereabouts::Delayed(_))
        });
        lanes
            .flat_map(|lane| lane.values().copied())
            .chain(aside)
            .collect()
    }

    /// Whether consumers of a queue may have been served before the turn ended.
    pub(super) fn is_served_early(&self, queue: QueueIndex) -> bool {
        self.room.served.contains(&queue)
    }

    /// Whether one of these is refused only when the broker has looked, and it has not yet.
    pub(crate) fn may_yet_refuse(&self, connection: ConnectionId) -> bool {
        let is_strict = |send: &Publication| {
            let names = send.target.names();
            names.iter().any(|name| may_refuse(name.wire()))
        };
        let deferred = self.peers.get(&connection).map(|peer| &peer.deferred);
        deferred.into_iter().flatten().any(|request| match request {
            Request::Send { publication, .. } => is_strict(publication),
            Request::Commit { sends, .. } => sends.iter().any(is_strict),
            _ => false,
        })
    }

    /// As much as may wait in a queue: what has expired unseen may be there still, what consumers can take is not.
    fn may_wait_in(&self, queue: QueueIndex) -> Amount {
        let waiting = self.all_waiting_in(queue);
        let taken = self.taken_at_once(queue, &waiting);
        self.with_fading(queue, &waiting[taken..])
    }

    /// These, and what has expired unseen.
    fn with_fading(&self, queue: QueueIndex, waiting: &[EntryId]) -> Amount {
        let left = amount_of(waiting.iter().map(|id| self.entry(*id)));
        let is_fading =
            |entry: &&Entry| entry.queue == queue && entry.whereabouts == Whereabouts::Fading;
        left.plus(amount_of(
            self.all().map(|(_, entry)| entry).filter(is_fading),
        ))
    }

    /// How much of what waits there is certainly taken at once: where all of it has come in this turn, anybody may have it,
    /// and nobody chooses.
    fn taken_at_once(&self, queue: QueueIndex, waiting: &[EntryId]) -> usize {
        let is_plain = |id: &EntryId| {
            let entry = self.entry(*id);
            entry.arrived == self.turn
                && entry.dead.is_none()
                && entry.facts.group.is_none()
                && entry.whereabouts == Whereabouts::Waiting
                && self.is_in_sight(entry)
                && !entry.is_expired(self.now)
        };
        let members = &self.queues[queue].members;
        let chooses = |seat: &Seat| {
            let live = self.subscription(*seat);
            live.is_none_or(|live| live.choice.is_some())
        };
        let is_special = self.exclusive(queue).is_some() || members.iter().any(chooses);
        if is_special || !waiting.iter().all(is_plain) {
            return 0;
        }
        let free = members.iter().filter_map(|seat| {
            let live = self.subscription(*seat)?;
            let is_plain = live.choice.is_none() && live.only_origin().is_some();
            (is_plain && self.has_credit(*seat)).then(|| live.surely_takes())
        });
        free.sum::<usize>().min(waiting.len())
    }

    /// What of that waits still, and did so all the time.
    fn has_waited(&self, put: &Put) -> Amount {
        let waits = |entry: &&Entry| {
            let is_there = entry.is_stored || !entry.is_expired(self.now);
            entry.queue == put.queue && is_there && entry.whereabouts.may_expire()
        };
        amount_of(put.waiting.iter().map(|id| self.entry(*id)).filter(waits))
    }

    /// At the end of a turn: what was taken had room, and who filled a queue is held back.
    pub(super) fn check_room(&mut self) {
        let (taken, filled) = (
            std::mem::take(&mut self.room.taken),
            std::mem::take(&mut self.room.filled),
        );
        if self.room.is_disturbed {
            return;
        }
        for put in taken {
            let own = &self.queues[put.queue];
            let max = own.rules.bound.expect("a queue that refuses").max;
            let waited = self.has_waited(&put);
            assert!(
                waited.plus(put.more).fits(max),
                "{} took {:?} beside {waited:?}",
                own.name,
                put.more
            );
        }
        for put in filled {
            let own = &self.queues[put.queue];
            let max = own.rules.bound.expect("a queue that holds back").max;
            let peer = self.peers.get(&put.publisher);
            let may_go_on = peer.is_some_and(|peer| peer.is_open && !peer.is_blocked);
            assert!(
                !may_go_on || !self.has_waited(&put).reaches(max),
                "{:?} is not held back although {} is full",
                put.publisher,
                own.name
            );
        }
    }
}
