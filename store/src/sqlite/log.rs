//! The logs of topics as the writer changes them: a row a message, removed from the front once nobody needs it.
//!
//! A row goes when it was asked to ([`Ledger::trims`]) and no floor holds it. That takes slices, in the commits that come
//! and, when none comes, in commits of their own.
//!
//! *Invariants.* No row above the floor of any of its topic's subscriptions is removed. After [`Logs::write`] the
//! stored counts, the counts in memory and a recount agree, bounds included.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OptionalExtension, Statement};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::sqlite::body::Bodies;
use crate::sqlite::entry::{Held, held};
use crate::sqlite::ledger::{Ledger, Registration};
use crate::sqlite::subscription::Subscriptions;
use crate::sqlite::takeover;
use crate::{DestinationId, LogAppend, LogTally, Sequence};

/// A slice ends with the row with which it has so many rows, or so many bytes of heads and bodies.
const SLICE_ROWS: usize = 256;
const SLICE_BYTES: u64 = 1 << 20;

/// One topic's log.
#[derive(Debug, Clone, Copy)]
struct Log {
    count: u64,
    bytes: u64,
    first: i64,
    last: i64,
    is_changed: bool,
    /// The row at the bound has gone: the next one must be looked up.
    is_first_gone: bool,
    is_last_gone: bool,
    /// Nobody will ask for rows up to here...
    trimmed: i64,
    /// ...and these are not held by a floor either.
    free: i64,
    /// It waits for its slice.
    is_due: bool,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            count: 0,
            bytes: 0,
            first: 0,
            last: 0,
            is_changed: false,
            is_first_gone: false,
            is_last_gone: false,
            trimmed: i64::MIN,
            free: i64::MIN,
            is_due: false,
        }
    }
}

impl Log {
    fn add(&mut self, sequence: i64, bytes: u64) {
        if self.count == 0 {
            (self.first, self.last) = (sequence, sequence);
            (self.is_first_gone, self.is_last_gone) = (false, false);
        } else {
            // A bound whose row has gone stays a bound; what lies beyond it is exact again.
            if sequence <= self.first {
                (self.first, self.is_first_gone) = (sequence, false);
            }
            if sequence >= self.last {
                (self.last, self.is_last_gone) = (sequence, false);
            }
        }
        self.count += 1;
        self.bytes += bytes;
    }

    fn subtract(&mut self, through: i64, rows: u64, bytes: u64) {
        self.is_first_gone |= self.first <= through;
        self.is_last_gone |= self.last <= through;
        self.count = self.count.saturating_sub(rows);
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    /// Whether there may be rows to be removed.
    fn has_free_rows(&self) -> bool {
        self.count > 0 && self.first <= self.free
    }
}

/// See the module.
pub(super) struct Logs<'c> {
    insert: Statement<'c>,
    take: Statement<'c>,
    select_slice: Statement<'c>,
    delete_slice: Statement<'c>,
    first: Statement<'c>,
    last: Statement<'c>,
    upsert_tally: Statement<'c>,
    delete_tally: Statement<'c>,
    subscriptions: Subscriptions<'c>,
    logs: FxHashMap<DestinationId, Log>,
    changed: Vec<DestinationId>,
    /// Those that have free rows.
    due: VecDeque<DestinationId>,
    /// Reused from slice to slice.
    taken: Vec<Held>,
    touched: FxHashSet<DestinationId>,
}

impl<'c> Logs<'c> {
    pub(super) fn prepare(connection: &'c Connection) -> rusqlite::Result<Self> {
        let prepare = |sql| connection.prepare(sql);
        let mut logs = Self {
            insert: prepare("INSERT INTO log VALUES (?, ?, ?, ?, ?, ?)")?,
            take: prepare(
                "DELETE FROM log WHERE topic = ? AND sequence = ? RETURNING body, bytes",
            )?,
            select_slice: prepare(
                "SELECT body, bytes, sequence FROM log WHERE topic = ? AND sequence <= ?
                 ORDER BY sequence",
            )?,
            delete_slice: prepare("DELETE FROM log WHERE topic = ? AND sequence <= ?")?,
            first: prepare("SELECT min(sequence) FROM log WHERE topic = ?")?,
            last: prepare("SELECT max(sequence) FROM log WHERE topic = ?")?,
            upsert_tally: prepare("INSERT OR REPLACE INTO log_tally VALUES (?, ?, ?, ?, ?)")?,
            delete_tally: prepare("DELETE FROM log_tally WHERE topic = ?")?,
            subscriptions: Subscriptions::prepare(connection)?,
            logs: FxHashMap::default(),
            changed: Vec::new(),
            due: VecDeque::new(),
            taken: Vec::new(),
            touched: FxHashSet::default(),
        };
        logs.load(connection)?;
        // What a life before this one was asked to trim is not known any more: whatever no floor holds.
        let ends = logs.logs.iter().map(|(topic, log)| (*topic, log.last));
        for (topic, last) in ends.collect::<Vec<_>>() {
            logs.trim_to(topic, Sequence(last));
        }
        Ok(logs)
    }

    /// Learns from the database what it has, after a rollback. What is to be trimmed stays so.
    pub(super) fn reload(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        self.subscriptions.load(connection)?;
        self.load(connection)
    }

    /// Carries out what a commit does to subscriptions, and notes what they free.
    pub(super) fn keep(&mut self, ledger: &Ledger<'_>) -> rusqlite::Result<()> {
        if ledger.is_empty() {
            return Ok(());
        }
        let mut touched = std::mem::take(&mut self.touched);
        self.subscriptions.keep(ledger, &mut touched)?;
        for registration in &ledger.registrations {
            if let Registration::RemoveTopic(topic) = registration {
                self.trim_to(*topic, Sequence::MAX);
                // Forgotten at the end of the commit if it is empty.
                self.change(*topic);
            }
        }
        for (topic, through) in &ledger.trims {
            touched.remove(topic);
            self.trim_to(*topic, *through);
        }
        for topic in touched.drain() {
            self.free(topic);
        }
        self.touched = touched;
        Ok(())
    }

    /// Writes a message of a topic, unless nobody will ask for it.
    pub(super) fn append(
        &mut self,
        bodies: &mut Bodies<'_>,
        log: &LogAppend,
    ) -> rusqlite::Result<()> {
        let sequence = log.sequence.0;
        let is_free = |known: &Log| sequence <= known.free;
        if self.logs.get(&log.topic).is_some_and(is_free) {
            return Ok(());
        }
        let held = bodies.write(log)?;
        self.insert.execute((
            log.topic.0,
            sequence,
            held.number.0,
            held.bytes as i64,
            log.expires_ms,
            log.tag,
        ))?;
        self.change(log.topic).add(sequence, held.bytes);
        Ok(())
    }

    /// Deletes a row if it is there.
    pub(super) fn delete(
        &mut self,
        bodies: &mut Bodies<'_>,
        topic: DestinationId,
        sequence: Sequence,
    ) -> rusqlite::Result<()> {
        let taken = self
            .take
            .query_row((topic.0, sequence.0), held)
            .optional()?;
        if let Some(held) = taken {
            bodies.release(held)?;
            let log = self.change(topic);
            log.is_first_gone |= log.first == sequence.0;
            log.is_last_gone |= log.last == sequence.0;
            log.count = log.count.saturating_sub(1);
            log.bytes = log.bytes.saturating_sub(held.bytes);
        }
        Ok(())
    }

    /// Whether there is something for [`Logs::trim`].
    pub(super) fn are_due(&self) -> bool {
        !self.due.is_empty() || self.subscriptions.is_stale()
    }

    /// Removes what nobody needs, slice by slice, for about as long as `budget`.
    pub(super) fn trim(
        &mut self,
        bodies: &mut Bodies<'_>,
        budget: Duration,
    ) -> rusqlite::Result<()> {
        let begun = Instant::now();
        while self.are_due() && begun.elapsed() < budget {
            self.subscriptions.purge()?;
            let Some(topic) = self.due.pop_front() else {
                continue;
            };
            self.remove_slice(topic, bodies)?;
            bodies.sweep()?;
        }
        Ok(())
    }

    /// Writes the counts that changed, inside the commit that changed them.
    pub(super) fn write(&mut self) -> rusqlite::Result<()> {
        for topic in self.changed.drain(..) {
            let Some(log) = self.logs.get_mut(&topic) else {
                continue;
            };
            log.is_changed = false;
            if log.count == 0 {
                self.delete_tally.execute([topic.0])?;
                if !self.subscriptions.has_any(topic) {
                    self.logs.remove(&topic);
                }
                continue;
            }
            if log.is_first_gone {
                let first: Option<i64> = self.first.query_row([topic.0], |row| row.get(0))?;
                log.first = first.unwrap_or(log.first);
            }
            if log.is_last_gone {
                let last: Option<i64> = self.last.query_row([topic.0], |row| row.get(0))?;
                log.last = last.unwrap_or(log.last);
            }
            (log.is_first_gone, log.is_last_gone) = (false, false);
            let row = (
                topic.0,
                log.count as i64,
                log.bytes as i64,
                log.first,
                log.last,
            );
            self.upsert_tally.execute(row)?;
        }
        Ok(())
    }

    fn load(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        for log in self.logs.values_mut() {
            *log = Log {
                trimmed: log.trimmed,
                ..Log::default()
            };
        }
        self.changed.clear();
        self.due.clear();
        for LogTally {
            topic,
            count,
            bytes,
            first,
            last,
        } in takeover::log_tallies(connection)?
        {
            let log = self.logs.entry(topic).or_default();
            (log.count, log.bytes) = (count, bytes);
            (log.first, log.last) = (first.0, last.0);
        }
        let topics: Vec<DestinationId> = self.logs.keys().copied().collect();
        topics.into_iter().for_each(|topic| self.free(topic));
        Ok(())
    }

    /// Nobody will ask for rows up to `through`.
    fn trim_to(&mut self, topic: DestinationId, through: Sequence) {
        let log = self.logs.entry(topic).or_default();
        log.trimmed = log.trimmed.max(through.0);
        self.free(topic);
    }

    /// Finds out what a log has to remove.
    fn free(&mut self, topic: DestinationId) {
        let Some(log) = self.logs.get_mut(&topic) else {
            return;
        };
        let floor = self.subscriptions.lowest_floor(topic);
        log.free = log.trimmed.min(floor.map_or(i64::MAX, |floor| floor.0));
        if log.has_free_rows() && !log.is_due {
            log.is_due = true;
            self.due.push_back(topic);
        }
    }

    /// Removes the first rows of a log.
    fn remove_slice(
        &mut self,
        topic: DestinationId,
        bodies: &mut Bodies<'_>,
    ) -> rusqlite::Result<()> {
        let free = self.logs.get(&topic).map_or(i64::MIN, |log| log.free);
        self.taken.clear();
        let (mut last, mut bytes, mut is_full) = (free, 0, false);
        let mut rows = self.select_slice.query((topic.0, free))?;
        while let Some(row) = rows.next()? {
            if is_full {
                break;
            }
            let held = held(row)?;
            last = row.get(2)?;
            bytes += held.bytes;
            self.taken.push(held);
            is_full = self.taken.len() == SLICE_ROWS || bytes >= SLICE_BYTES;
        }
        drop(rows);
        self.delete_slice.execute((topic.0, last))?;
        for held in &self.taken {
            bodies.release(*held)?;
        }
        let rows = self.taken.len() as u64;
        let log = self.change(topic);
        log.is_due = false;
        if rows > 0 {
            log.subtract(last, rows, bytes);
        }
        // Where the next one is, is looked up once a commit.
        log.first = log.first.max(last.saturating_add(1));
        if is_full && log.has_free_rows() {
            log.is_due = true;
            self.due.push_back(topic);
        }
        Ok(())
    }

    fn change(&mut self, topic: DestinationId) -> &mut Log {
        let log = self.logs.entry(topic).or_default();
        if !log.is_changed {
            log.is_changed = true;
            self.changed.push(topic);
        }
        log
    }
}
