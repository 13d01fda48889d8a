//! A full disk: what the store refused is taken back as if it had not been asked for, and its senders are told.
//!
//! Owns whether the disk is full and what would have to be undone. *Invariant*: what makes room (ACKs, expiry without a
//! dead letter) goes on; nothing that was refused is promised; what is with a consumer stays there and is forgotten
//! when it is settled.

use std::collections::BTreeSet;
use std::time::Duration;

use rustc_hash::FxHashSet;
use stompbox_store::{
    EntryKey, LogAppend, Medium, MessageNumber, Operation, Rank, Sender, Sequence, SubscriptionId,
    Ticket,
};

use super::Dispatcher;
use super::delivery::{Delivered, Origin};
use super::effect::Promise;
use super::entry::{Durability, Entry};
use super::key::{PeerKey, QueueKey, SubscriptionKey, TopicKey};
use super::publish::AllPlaced;
use super::redelivery::Reason;
use super::timer::Timer;
use super::topic_log::LOG_RANK;
use super::withheld::is_spare;
use crate::core::clock::Now;
use crate::core::message::DeliveryMode;
use crate::core::port::{ConnectionId, ReceiptId, Refusal, Reply, SubscriptionHandle};

/// The sender of what the broker appends by itself: there is nobody to be told.
pub(super) const NOBODY: Sender = Sender(0);

/// How long a dead letter that cannot be written stays where it is.
const STAYS: Duration = Duration::from_secs(60);

/// Where a dead letter came from.
#[derive(Debug)]
pub(super) enum Home {
    /// From a queue, which may have gone.
    Queue(EntryKey, Reason),
    /// From a queue, unread: it was on disk only. Its bytes.
    Paged(EntryKey, u64),
    /// From a subscription of a topic.
    Copy {
        connection: ConnectionId,
        subscription: SubscriptionKey,
        handle: SubscriptionHandle,
        topic: TopicKey,
        sequence: Sequence,
    },
}

/// Where something was put that a COMMIT sent.
#[derive(Debug, Clone, Copy)]
pub(super) enum Placed {
    Queue(EntryKey),
    Topic(TopicKey, MessageNumber),
}

/// What was acknowledged in a transaction.
#[derive(Debug)]
pub(super) struct Acknowledged {
    key: EntryKey,
    entry: Entry,
}

impl Acknowledged {
    /// An entry that is about to be settled.
    pub(super) fn new(key: EntryKey, entry: Entry) -> Self {
        Self { key, entry }
    }
}

/// What has to be done if an operation is refused.
#[derive(Debug)]
pub(super) enum Undo {
    /// A message became a dead letter.
    Burial { home: Home, entry: Option<Entry> },
    /// A transaction was committed.
    Commit {
        connection: ConnectionId,
        placed: AllPlaced,
        acknowledged: Vec<Acknowledged>,
    },
}

/// Kept until the batch is durable.
#[derive(Debug)]
pub(super) struct Revocable {
    pub(super) ticket: Ticket,
    /// The key that one of its operations makes: what the refusal is recognised by.
    made: EntryKey,
    undo: Undo,
}

/// The key that an operation makes an entry with.
fn made_by(operation: &Operation) -> Option<EntryKey> {
    match operation {
        Operation::Append(append) => Some(append.key),
        Operation::Move(change) => Some(change.to),
        Operation::Log(append) => Some(place_of(append)),
        Operation::Schedule(record) => Some(EntryKey {
            destination: record.destination,
            rank: SCHEDULE_RANK,
            sequence: Sequence(record.id.0),
        }),
        Operation::Create(_)
        | Operation::Remove(_)
        | Operation::Settle { .. }
        | Operation::Count { .. }
        | Operation::Subscribe(_)
        | Operation::Unsubscribe(_)
        | Operation::Pass { .. }
        | Operation::Floor { .. }
        | Operation::LogCount { .. }
        | Operation::Trim { .. }
        | Operation::Reschedule { .. }
        | Operation::Unschedule(_)
        | Operation::Remember(_) => None,
    }
}

/// What no queue has: names scheduled messages among entries.
const SCHEDULE_RANK: Rank = Rank(u8::MAX);

/// The key of a message of a log, whose topic no queue has the id of.
fn place_of(append: &LogAppend) -> EntryKey {
    EntryKey {
        destination: append.topic,
        rank: LOG_RANK,
        sequence: append.sequence,
    }
}

fn is_for_database(operation: &Operation) -> bool {
    match operation {
        Operation::Append(append) => append.medium == Medium::Database,
        Operation::Move(_)
        | Operation::Log(_)
        | Operation::Schedule(_)
        | Operation::Remember(_)
        | Operation::Pass { .. }
        | Operation::LogCount { .. } => true,
        Operation::Create(_)
        | Operation::Remove(_)
        | Operation::Settle { .. }
        | Operation::Count { .. }
        | Operation::Subscribe(_)
        | Operation::Unsubscribe(_)
        | Operation::Floor { .. }
        | Operation::Trim { .. }
        | Operation::Reschedule { .. }
        | Operation::Unschedule(_) => false,
    }
}

impl Dispatcher {
    /// A copy of a delivery that is about to be settled, where it came from a queue.
    pub(super) fn acknowledged(&self, delivered: &Delivered) -> Option<Acknowledged> {
        let Origin::Queue(key, rank) = delivered.origin else {
            return None;
        };
        Some(Acknowledged {
            key: self.queues[key.0].key(rank, delivered.sequence),
            entry: delivered.entry.clone(),
        })
    }

    /// Remembers what to do if the operation that makes this key in this turn's batch is refused.
    pub(super) fn remember(&mut self, made: EntryKey, undo: Undo) {
        self.revocable.push_back(Revocable {
            ticket: self.next_ticket,
            made,
            undo,
        });
    }

    /// The operations of this turn's batch from `start` on are refused together or not at all.
    pub(super) fn as_one(&mut self, start: usize, undo: Undo) {
        let operations = &self.batch.operations;
        if let Some(made) = operations.iter().skip(start).find_map(made_by) {
            self.batch.units.push(start..operations.len());
            self.remember(made, undo);
        }
    }

    /// What a SEND meets that the disk has no room for.
    pub(super) fn refuse_for_disk(&mut self, peer: PeerKey, receipt: Option<ReceiptId>) {
        let refusal = Refusal::new(
            "disk is full",
            "the disk that holds the data folder is full, and a persistent message could not be kept: \
             consumers go on; send again when store.disk_resume bytes are free",
        );
        self.refuse(peer, refusal, receipt);
    }

    /// The disk has room again.
    pub(super) fn disk_resumed(&mut self, now: Now) {
        tracing::info!("the disk has room again: persistent messages are accepted");
        self.is_disk_full = false;
        self.tell_withheld();
        self.agenda_resumes(now);
    }

    /// The store has not carried these out.
    pub(super) fn refused(&mut self, operations: &[Operation], now: Now) {
        if operations.iter().all(is_spare) {
            return self.withhold(operations);
        }
        let made: FxHashSet<EntryKey> = operations.iter().filter_map(made_by).collect();
        if operations.iter().any(is_for_database) {
            self.is_disk_full = true;
            tracing::error!(
                refused = made.len(),
                "the disk is full: persistent messages are refused until store.disk_resume bytes are free"
            );
        } else {
            self.spill_refused(now);
        }
        let mut told = BTreeSet::new();
        let returned = self.undo(&made, &mut told, now);
        let counted = self.counted_with_consumers(operations);
        let mut strays = FxHashSet::default();
        for operation in operations {
            match operation {
                Operation::Append(append) => {
                    if append.sender != NOBODY {
                        told.insert(ConnectionId(append.sender.0));
                    }
                    let is_out = self.take_out(append.key, append.medium);
                    if !is_out && !self.drop_burial_of(append.key) {
                        strays.insert(append.key);
                    }
                }
                Operation::Settle { key, .. } if returned.contains(key) => {}
                Operation::Pass {
                    subscription,
                    sequence,
                } if self.is_back(*subscription, *sequence, &returned) => {}
                // They stood beside what was refused, and hold all the same.
                Operation::Settle { .. }
                | Operation::Pass { .. }
                | Operation::Floor { .. }
                | Operation::Trim { .. } => {
                    self.batch.operations.push(operation.clone());
                }
                Operation::Count { .. } | Operation::LogCount { .. } => {
                    let count = self.current_count(operation, &counted);
                    self.batch.operations.push(count);
                }
                Operation::Log(append) => {
                    if append.sender != NOBODY {
                        told.insert(ConnectionId(append.sender.0));
                    }
                    self.take_out_of_log(append, &mut strays);
                }
                Operation::Schedule(record) => {
                    self.count_out_scheduled(record.destination);
                    if record.sender != NOBODY {
                        told.insert(ConnectionId(record.sender.0));
                    }
                }
                Operation::Remember(record) => {
                    told.extend(self.forget_id(record));
                    if record.sender != NOBODY {
                        told.insert(ConnectionId(record.sender.0));
                    }
                }
                // What was refused with its firing stays scheduled.
                Operation::Unschedule(id) => self.is_scheduled_again(*id),
                Operation::Reschedule { .. } => {}
                Operation::Move(_)
                | Operation::Create(_)
                | Operation::Remove(_)
                | Operation::Subscribe(_)
                | Operation::Unsubscribe(_) => {}
            }
        }
        self.disown(&strays);
        for connection in told {
            self.tell(connection);
        }
    }

    /// Undoes what went with refused operations; answers which entries are with their queues again.
    fn undo(
        &mut self,
        made: &FxHashSet<EntryKey>,
        told: &mut BTreeSet<ConnectionId>,
        now: Now,
    ) -> FxHashSet<EntryKey> {
        let mut back = FxHashSet::default();
        let all = std::mem::take(&mut self.revocable);
        let (refused, others) = all
            .into_iter()
            .partition(|revocable| made.contains(&revocable.made));
        self.revocable = others;
        for Revocable { made, undo, .. } in refused {
            match undo {
                Undo::Burial { home, entry } => {
                    if let Home::Queue(home, _) = home {
                        back.insert(home);
                    }
                    self.exhume(made, home, entry, now);
                }
                Undo::Commit {
                    connection,
                    placed,
                    acknowledged,
                } => {
                    told.insert(connection);
                    for place in placed {
                        self.unplace(place);
                    }
                    for Acknowledged { key: stored, entry } in acknowledged {
                        let Some(&key) = self.queue_ids.get(&stored.destination) else {
                            continue;
                        };
                        back.insert(stored);
                        let (rank, sequence) = (stored.rank, stored.sequence);
                        self.queues[key.0].recall(rank, sequence, &entry);
                        self.put_back(key, rank, sequence, entry);
                    }
                }
            }
        }
        back
    }

    fn is_back(
        &self,
        subscription: SubscriptionId,
        sequence: Sequence,
        returned: &FxHashSet<EntryKey>,
    ) -> bool {
        let key = self.durables.get(&subscription);
        key.is_some_and(|key| returned.contains(&self.queues[key.0].key(LOG_RANK, sequence)))
    }

    /// A message is not in its topic's log after all. One that is not persistent stays with the subscriptions that have
    /// taken notice of it.
    fn take_out_of_log(&mut self, append: &LogAppend, strays: &mut FxHashSet<EntryKey>) {
        let sequence = append.sequence;
        let queues: Vec<QueueKey> = self.durables.values().copied().collect();
        for key in queues {
            let queue = &mut self.queues[key.0];
            if queue
                .cursor()
                .is_none_or(|cursor| cursor.log != append.topic)
            {
                continue;
            }
            if let Some(entry) = queue.delayed.get_mut(&(LOG_RANK, sequence)) {
                entry.durability = Durability::Volatile;
                queue.disown(LOG_RANK, sequence);
            } else if let Some(entry) = queue.resident_mut(LOG_RANK, sequence) {
                if entry.mode == DeliveryMode::NonPersistent {
                    entry.durability = Durability::Volatile;
                } else if let Some(entry) = queue.take_at(LOG_RANK, sequence) {
                    queue.forget(LOG_RANK, sequence, &entry);
                    self.settle_later(key);
                    self.mark(key);
                }
            } else {
                strays.insert(queue.key(LOG_RANK, sequence));
            }
        }
    }

    fn unplace(&mut self, placed: Placed) {
        match placed {
            Placed::Queue(placed) => {
                let Some(&key) = self.queue_ids.get(&placed.destination) else {
                    return;
                };
                let queue = &mut self.queues[key.0];
                if let Some(entry) = queue.take_waiting((placed.rank, placed.sequence)) {
                    queue.forget(placed.rank, placed.sequence, &entry);
                    self.mark(key);
                }
            }
            Placed::Topic(key, number) => {
                if let Some(topic) = self.topics.get_mut(key.0) {
                    topic.held.retain(|(_, (_, held), ..)| *held != number);
                }
            }
        }
    }

    /// A dead letter is not in its queue after all. It stays where it was, and the way is tried again.
    fn exhume(&mut self, made: EntryKey, home: Home, entry: Option<Entry>, now: Now) {
        self.unplace(Placed::Queue(made));
        self.count_burial_out(made);
        match (home, entry) {
            (Home::Queue(home, reason), Some(entry)) => {
                let Some(&key) = self.queue_ids.get(&home.destination) else {
                    self.counters.dropped += 1;
                    return;
                };
                let (rank, sequence) = (home.rank, home.sequence);
                let counters = &mut self.queues[key.0].counters;
                counters.dead_lettered = counters.dead_lettered.saturating_sub(1);
                self.queues[key.0].recall(rank, sequence, &entry);
                if let Some(count) = self.queues[key.0].count_of(rank, sequence, &entry) {
                    self.store(key, count);
                }
                self.stay(key, rank, sequence, entry, reason, now);
            }
            (Home::Paged(home, bytes), _) => {
                if let Some(&target) = self.queue_ids.get(&made.destination) {
                    self.queues[target.0].unappend_paged(made.rank, bytes);
                }
                let Some(&key) = self.queue_ids.get(&home.destination) else {
                    return;
                };
                let queue = &mut self.queues[key.0];
                queue.counters.dead_lettered = queue.counters.dead_lettered.saturating_sub(1);
                queue.untake_paged(home.rank, home.sequence, bytes);
                self.expiring_queues.insert(key);
            }
            (
                Home::Copy {
                    connection,
                    subscription,
                    handle,
                    topic,
                    sequence,
                },
                Some(entry),
            ) => {
                if self.is_subscription(connection, subscription, handle) {
                    self.copy_stays(subscription, sequence, topic, entry, now);
                }
            }
            (Home::Queue(..) | Home::Copy { .. }, None) => {}
        }
    }

    fn is_subscription(
        &self,
        connection: ConnectionId,
        key: SubscriptionKey,
        handle: SubscriptionHandle,
    ) -> bool {
        self.connections
            .get(&connection)
            .is_some_and(|peer| self.peers[peer.0].subscriptions.get(&handle) == Some(&key))
    }

    /// A message that has to become a dead letter waits for room.
    pub(super) fn stay(
        &mut self,
        key: QueueKey,
        rank: Rank,
        sequence: Sequence,
        mut entry: Entry,
        reason: Reason,
        now: Now,
    ) {
        entry.not_before = now.uptime + STAYS;
        self.timers
            .set(entry.not_before, Timer::Bury(key, rank, sequence, reason));
        self.queues[key.0].delayed.insert((rank, sequence), entry);
    }

    /// The same for a subscription's copy, which is then delivered once more.
    pub(super) fn copy_stays(
        &mut self,
        key: SubscriptionKey,
        sequence: Sequence,
        topic: TopicKey,
        entry: Entry,
        now: Now,
    ) {
        let again = Timer::RedeliverCopy(key, sequence, topic);
        let timer = self.timers.set(now.uptime + STAYS, again);
        if let Some(subscription) = self.subscriptions.get_mut(key.0) {
            subscription.pending.delay(sequence, timer, topic, entry);
        }
    }

    fn count_burial_out(&mut self, made: EntryKey) {
        self.counters.dead_lettered = self.counters.dead_lettered.saturating_sub(1);
        if let Some(target) = self.queue_ids.get(&made.destination) {
            let counters = &mut self.queues[target.0].counters;
            counters.enqueued = counters.enqueued.saturating_sub(1);
        }
    }

    /// Whether what was refused is on its way to the dead-letter queue, in a batch that is not committed yet: it does not
    /// come there, and nothing is left of it.
    fn drop_burial_of(&mut self, key: EntryKey) -> bool {
        let is_it = |one: &Revocable| match &one.undo {
            Undo::Burial {
                home: Home::Queue(from, _),
                ..
            } => *from == key,
            _ => false,
        };
        let at = self.revocable.iter().position(is_it);
        let Some(Revocable { made, .. }) = at.and_then(|at| self.revocable.remove(at)) else {
            return false;
        };
        self.unplace(Placed::Queue(made));
        self.count_burial_out(made);
        true
    }

    /// Whether an append that was refused is dealt with: it waits nowhere else than in a lane, with its
    /// group or for its time.
    fn take_out(&mut self, key: EntryKey, medium: Medium) -> bool {
        let Some(&queue_key) = self.queue_ids.get(&key.destination) else {
            return true;
        };
        let queue = &mut self.queues[queue_key.0];
        let place = (key.rank, key.sequence);
        let is_unseen = |entry: &mut Entry| entry.deliveries <= entry.message.deliveries_before();
        if queue.delayed.get_mut(&place).is_some_and(is_unseen)
            && let Some(entry) = queue.delayed.remove(&place)
        {
            // It had expired before anybody got it: nobody is to find it among the dead letters.
            queue.forget(key.rank, key.sequence, &entry);
            self.mark(queue_key);
            return true;
        }
        if let Some(entry) = queue.delayed.get_mut(&place) {
            entry.durability = Durability::Volatile;
            queue.disown(key.rank, key.sequence);
            return true;
        }
        match medium {
            Medium::Database => {
                let is_there = queue.waiting_mut((key.rank, key.sequence)).is_some();
                self.unplace(Placed::Queue(key));
                is_there
            }
            Medium::Scratch => match queue.waiting_mut((key.rank, key.sequence)) {
                Some(entry) => {
                    entry.durability = Durability::Volatile;
                    queue.disown(key.rank, key.sequence);
                    true
                }
                None => false,
            },
        }
    }

    /// What was refused and is with a consumer is not stored: settling it asks nothing of the store.
    fn disown(&mut self, strays: &FxHashSet<EntryKey>) {
        if strays.is_empty() {
            return;
        }
        for delivered in self.deliveries.iter_mut() {
            let Origin::Queue(key, rank) = delivered.origin else {
                continue;
            };
            let queue = &mut self.queues[key.0];
            if strays.contains(&queue.key(rank, delivered.sequence)) {
                delivered.entry.durability = Durability::Volatile;
                queue.disown(rank, delivered.sequence);
            }
        }
    }

    /// Tells a sender; the ERROR names the first receipt that cannot be given.
    fn tell(&mut self, connection: ConnectionId) {
        let Some(&peer) = self.connections.get(&connection) else {
            return;
        };
        // One that has disconnected meanwhile waits for its receipts all the same.
        let is_open = self.peers[peer.0].standing == super::peer::Standing::Open;
        let own = self.awaited.iter();
        let mut own = own.filter(|one| one.connection == connection);
        if !is_open && !own.any(|one| matches!(one.reply, Reply::Close)) {
            return;
        }
        let receipt = self
            .awaited
            .iter()
            .find_map(|awaited| match &awaited.reply {
                Reply::Receipt(receipt)
                    if awaited.connection == connection
                        && awaited.promise == Promise::WithAppend =>
                {
                    Some(receipt.clone())
                }
                _ => None,
            });
        if !is_open {
            // It is told once, however much of what it sent is refused.
            self.awaited.retain(|one| one.connection != connection);
        }
        self.refuse_for_disk(peer, receipt);
    }
}
