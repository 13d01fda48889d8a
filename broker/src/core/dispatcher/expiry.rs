//! Messages whose time has passed: found at dispatch, on return, and by a sweep of what nobody asks for.

use std::sync::Arc;
use std::time::Duration;

use rustc_hash::FxHashMap;
use stompbox_store::{EntryKey, Expired, Medium, Move, Operation, Rank, Sequence, Ticket};

use super::effect::Read;
use super::entry::Entry;
use super::full::{Home, Undo};
use super::key::QueueKey;
use super::redelivery::{Reason, annotate};
use super::{Dispatcher, Place};
use crate::core::clock::Now;
use crate::core::destination::DestinationName;
use crate::core::message::DeliveryMode;

/// How often idle queues are swept.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// Queues and expired messages that one turn looks at: however many there are, the others' requests come in between.
const STEPS_A_TURN: usize = 1_000;

/// Entries on disk that a sweep asks for. A full answer may be nothing but what consumers hold or what is leaving: the
/// next one asks for twice as many, up to the maximum.
const EXPIRED_ROWS: usize = 1_000;
const EXPIRED_ROWS_MAX: usize = 1_024_000;

/// Where the sweep stands.
#[derive(Debug, Default)]
pub(super) struct ExpiredRead {
    next_sweep: Duration,
    /// Queues that this sweep has not looked at yet.
    to_sweep: Vec<QueueKey>,
    /// Whether one that it has looked at has rows that may expire unseen.
    is_paged: bool,
    is_reading: bool,
    /// What the next one asks for; 0 before the first.
    rows_max: usize,
    /// Entries with an expiry that have left, and with which ticket: an answer from before that still names them,
    /// and the range that they stood in may still span them.
    gone: FxHashMap<EntryKey, Ticket>,
}

impl ExpiredRead {
    /// The next answer sees whatever is durable by now.
    fn begin(&mut self, watermark: Ticket) {
        self.gone.retain(|_, ticket| *ticket > watermark);
    }
}

impl Dispatcher {
    /// An entry that is in no lane has expired.
    pub(super) fn expire(
        &mut self,
        key: QueueKey,
        rank: Rank,
        sequence: Sequence,
        entry: Entry,
        now: Now,
    ) {
        self.counters.expired += 1;
        self.queues[key.0].counters.expired += 1;
        self.advise_expired(self.source_of(key, &entry), entry.number);
        let queue = &self.queues[key.0];
        let is_kept = entry.mode == DeliveryMode::Persistent
            && queue.policy.dead_letter_expired
            && queue.dead_letter.is_some();
        if is_kept {
            self.bury(key, rank, sequence, entry, Reason::Expired, now);
        } else {
            self.remove(key, rank, sequence, &entry);
        }
    }

    /// An entry leaves the store with this turn's batch.
    pub(super) fn leaves(&mut self, key: EntryKey, expires_ms: i64) {
        if expires_ms != 0 {
            self.expired_read.gone.insert(key, self.next_ticket);
        }
    }

    fn has_to_sweep(&self) -> bool {
        !self.expiring_queues.is_empty() || !self.expired_read.gone.is_empty()
    }

    pub(super) fn next_sweep(&self) -> Option<Duration> {
        if !self.expired_read.to_sweep.is_empty() {
            return Some(Duration::ZERO);
        }
        self.has_to_sweep().then_some(self.expired_read.next_sweep)
    }

    /// Takes what has expired out of queues that nobody consumes from, a part of it each turn.
    pub(super) fn sweep(&mut self, now: Now) {
        if self.expired_read.to_sweep.is_empty() {
            if now.uptime < self.expired_read.next_sweep || !self.has_to_sweep() {
                return;
            }
            self.expired_read.next_sweep = now.uptime + SWEEP_EVERY;
            self.expired_read.is_paged = false;
            self.expired_read.to_sweep = self.expiring_queues.iter().copied().collect();
        }
        let mut steps = STEPS_A_TURN;
        while let Some(&key) = self.expired_read.to_sweep.last() {
            if steps == 0 {
                return;
            }
            steps -= 1;
            if !self.queues.contains(key.0) {
                // A temporary one has gone since the round began.
                self.expired_read.to_sweep.pop();
                continue;
            }
            if !self.sweep_resident(key, &mut steps, now) {
                return;
            }
            self.expired_read.to_sweep.pop();
            let queue = &mut self.queues[key.0];
            queue.paged_may_expire &= queue.has_on_disk_only();
            self.expired_read.is_paged |= queue.paged_may_expire;
            if queue.first_expiring().is_none() && !queue.paged_may_expire {
                self.expiring_queues.remove(&key);
            }
        }
        if !self.expired_read.is_reading {
            self.expired_read.begin(self.watermark);
            if self.expired_read.is_paged {
                self.read_expired(now);
            }
        }
    }

    /// Takes what has expired out of one queue; whether that was all of it.
    fn sweep_resident(&mut self, key: QueueKey, steps: &mut usize, now: Now) -> bool {
        while let Some((expires_ms, rank, sequence)) = self.queues[key.0].first_expiring()
            && expires_ms <= now.wall_ms
        {
            if *steps == 0 {
                return false;
            }
            *steps -= 1;
            let Some(entry) = self.queues[key.0].take_waiting((rank, sequence)) else {
                return true;
            };
            self.expire(key, rank, sequence, entry, now);
            // It may have held back what is behind it.
            self.mark(key);
        }
        true
    }

    fn read_expired(&mut self, now: Now) {
        let read = &mut self.expired_read;
        read.is_reading = true;
        read.rows_max = read.rows_max.max(EXPIRED_ROWS);
        self.reads.push(Read::Expired {
            now_ms: now.wall_ms,
            rows_max: read.rows_max,
        });
    }

    /// Where an unread message goes that has expired.
    fn grave_of(&self, key: QueueKey, medium: Medium) -> Option<Arc<DestinationName>> {
        let queue = &self.queues[key.0];
        let is_kept = queue.policy.dead_letter_expired && medium == Medium::Database;
        queue.dead_letter.clone().filter(|_| is_kept)
    }

    /// The store has found expired entries. Those that are known by name are looked at when they are met.
    pub(super) fn expired_came(&mut self, expired: &Expired, now: Now) {
        self.expired_read.is_reading = false;
        let taken = self.take_expired(expired, now);
        if self.is_disk_full {
            // What has to become a dead letter stays, and would be found again at once.
            self.expired_read.rows_max = EXPIRED_ROWS;
            self.expired_read.next_sweep = now.uptime + SWEEP_EVERY;
            return;
        }
        let rows_max = self.expired_read.rows_max;
        let is_full = expired.rows.len() >= rows_max;
        self.expired_read.rows_max = match taken {
            0 if is_full => (rows_max * 2).min(EXPIRED_ROWS_MAX),
            _ => EXPIRED_ROWS,
        };
        if is_full && (taken > 0 || rows_max < EXPIRED_ROWS_MAX) {
            self.expired_read.begin(self.watermark);
            self.read_expired(now);
        }
    }

    /// Takes what is on disk only; how much that was.
    fn take_expired(&mut self, expired: &Expired, now: Now) -> usize {
        let mut taken = 0;
        for row in &expired.rows {
            let Some(&key) = self.queue_ids.get(&row.key.destination) else {
                continue;
            };
            let (rank, sequence) = (row.key.rank, row.key.sequence);
            let target = self.grave_of(key, row.medium);
            if target.is_some() && self.is_disk_full {
                continue;
            }
            if self.expired_read.gone.contains_key(&row.key)
                || !self.queues[key.0].take_paged(rank, sequence, row.bytes)
            {
                continue;
            }
            taken += 1;
            self.leaves(row.key, row.expires_ms);
            self.counters.expired += 1;
            self.mark(key);
            self.advise_expired(Place::Queue(key), row.number);
            let queue = &mut self.queues[key.0];
            queue.counters.expired += 1;
            match target {
                None => self.store(
                    key,
                    Operation::Settle {
                        key: row.key,
                        medium: row.medium,
                    },
                ),
                Some(target) => {
                    queue.counters.dead_lettered += 1;
                    let annotations = annotate(&queue.name, Reason::Expired, 0, now);
                    self.counters.dead_lettered += 1;
                    let reason = Reason::Expired.as_str();
                    self.advise_dead_letter(Place::Queue(key), row.number, reason, &target);
                    let target = self.ensure_queue(&target, now);
                    let to = self.next_sequence();
                    let to_key = self.queues[target.0].key(rank, to);
                    self.queues[key.0].last_ticket = self.next_ticket;
                    let moved = Move {
                        from: row.key,
                        to: to_key,
                        expires_ms: 0,
                        annotations,
                    };
                    self.store(target, Operation::Move(moved));
                    let undo = Undo::Burial {
                        home: Home::Paged(row.key, row.bytes),
                        entry: None,
                    };
                    self.remember(to_key, undo);
                    let ticket = self.next_ticket;
                    self.queues[target.0].counters.enqueued += 1;
                    self.queues[target.0].append_paged(rank, to, row.bytes, ticket);
                    self.mark(target);
                }
            }
        }
        taken
    }
}
