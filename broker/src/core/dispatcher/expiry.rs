//! Messages whose time has passed: found at dispatch, on return, and by a sweep of what nobody asks for.

use std::sync::Arc;
use std::time::Duration;

use rustc_hash::FxHashMap;
use stompbox_store::{EntryKey, Expired, Medium, Move, Operation, Rank, Sequence, Ticket};

use super::Dispatcher;
use super::effect::Read;
use super::entry::Entry;
use super::full::{Home, Undo};
use super::key::QueueKey;
use super::redelivery::{Reason, annotate};
use crate::core::clock::Now;
use crate::core::destination::DestinationName;
use crate::core::message::DeliveryMode;

/// How often idle queues are swept.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// Entries on disk that a sweep asks for. A full answer may be nothing but what consumers hold: the next asks for
/// twice as many, up to the maximum.
const EXPIRED_ROWS: usize = 1_000;
const EXPIRED_ROWS_MAX: usize = 1_024_000;

/// Where the sweep stands.
#[derive(Debug, Default)]
pub(super) struct ExpiredRead {
    next_sweep: Duration,
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
        let queue = &mut self.queues[key.0];
        queue.counters.expired += 1;
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
        self.has_to_sweep().then_some(self.expired_read.next_sweep)
    }

    /// Takes what has expired out of queues that nobody consumes from.
    pub(super) fn sweep(&mut self, now: Now) {
        if now.uptime < self.expired_read.next_sweep || !self.has_to_sweep() {
            return;
        }
        self.expired_read.next_sweep = now.uptime + SWEEP_EVERY;
        if !self.expired_read.is_reading {
            self.expired_read.begin(self.watermark);
        }
        let mut is_paged = false;
        for key in self.expiring_queues.iter().copied().collect::<Vec<_>>() {
            self.sweep_resident(key, now);
            let queue = &mut self.queues[key.0];
            queue.paged_may_expire &= queue.paged_count() > 0;
            is_paged |= queue.paged_may_expire;
            if queue.first_expiring().is_none() && !queue.paged_may_expire {
                self.expiring_queues.remove(&key);
            }
        }
        if is_paged && !self.expired_read.is_reading {
            self.expired_read.is_reading = true;
            self.expired_read.rows_max = self.expired_read.rows_max.max(EXPIRED_ROWS);
            self.reads.push(Read::Expired {
                now_ms: now.wall_ms,
                rows_max: self.expired_read.rows_max,
            });
        }
    }

    fn sweep_resident(&mut self, key: QueueKey, now: Now) {
        while let Some((expires_ms, rank, sequence)) = self.queues[key.0].first_expiring()
            && expires_ms <= now.wall_ms
        {
            let Some(entry) = self.queues[key.0].take_at(rank, sequence) else {
                return;
            };
            self.expire(key, rank, sequence, entry, now);
            // It may have held back what is behind it.
            self.mark(key);
        }
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
        if expired.rows.len() < self.expired_read.rows_max {
            self.expired_read.rows_max = EXPIRED_ROWS;
        } else {
            self.expired_read.rows_max = (self.expired_read.rows_max * 2).min(EXPIRED_ROWS_MAX);
            self.expired_read.next_sweep = now.uptime;
        }
        if self.is_disk_full {
            // What has to become a dead letter stays, and would be found again at once.
            self.expired_read.rows_max = EXPIRED_ROWS;
            self.expired_read.next_sweep = now.uptime + SWEEP_EVERY;
        }
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
            self.leaves(row.key, row.expires_ms);
            self.counters.expired += 1;
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
                    self.queues[target.0].append_paged(rank, to, row.bytes, ticket);
                    self.mark(target);
                }
            }
        }
    }
}
