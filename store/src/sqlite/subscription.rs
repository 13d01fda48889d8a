//! Durable subscriptions as the writer changes them: floors, and exceptions above them.
//!
//! Floors stand in memory as well, topic by topic, so that the lowest one is known without asking the database.
//! Exceptions that have lost their meaning, because a floor has passed them or their subscription has gone, are removed
//! in slices: there may be as many as a subscription has ever acknowledged out of order.
//!
//! *Invariant.* Memory knows of every subscription that may have exceptions, so one that has none costs one UPDATE.

use std::collections::VecDeque;
use std::ops::Bound::{Excluded, Unbounded};

use rusqlite::{Connection, Statement};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::sqlite::ledger::{Counts, Ledger, Progress, Registration};
use crate::sqlite::takeover;
use crate::{DestinationId, Sequence, SubscriptionId, SubscriptionRecord};

/// So many exceptions go in one slice.
const SLICE_ROWS: usize = 1_000;

/// A subscription as memory knows it.
#[derive(Debug)]
struct Known {
    topic: DestinationId,
    /// Its place among the floors of its topic.
    slot: usize,
    /// No exception stands behind this; `None`: there is none.
    last_exception: Option<Sequence>,
    /// It waits for its slice.
    is_stale: bool,
}

/// See the module.
pub(super) struct Subscriptions<'c> {
    upsert: Statement<'c>,
    delete: Statement<'c>,
    raise: Statement<'c>,
    pass: Statement<'c>,
    count: Statement<'c>,
    purge: Statement<'c>,
    last_exception: Statement<'c>,
    known: FxHashMap<SubscriptionId, Known>,
    floors: FxHashMap<DestinationId, Vec<(SubscriptionId, Sequence)>>,
    /// Those that have exceptions at or below their floor, and those that have gone.
    stale: VecDeque<SubscriptionId>,
}

impl<'c> Subscriptions<'c> {
    pub(super) fn prepare(connection: &'c Connection) -> rusqlite::Result<Self> {
        let prepare = |sql| connection.prepare(sql);
        let mut subscriptions = Self {
            upsert: prepare(
                "INSERT INTO subscription VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE
                 SET selector = excluded.selector, floor = max(floor, excluded.floor)",
            )?,
            delete: prepare("DELETE FROM subscription WHERE id = ?")?,
            raise: prepare("UPDATE subscription SET floor = ?2 WHERE id = ?1")?,
            pass: prepare(
                "INSERT INTO subscription_exception VALUES (?, ?, 1, 0, 0)
                 ON CONFLICT DO UPDATE SET acknowledged = 1",
            )?,
            count: prepare(
                "INSERT INTO subscription_exception VALUES (?1, ?2, 0, ?3, ?4)
                 ON CONFLICT DO UPDATE SET deliveries = ?3, failures = ?4",
            )?,
            purge: prepare(
                "DELETE FROM subscription_exception WHERE subscription = ?1 AND sequence <= coalesce(
                     (SELECT sequence FROM subscription_exception WHERE subscription = ?1 AND sequence <= ?2
                      ORDER BY sequence LIMIT 1 OFFSET ?3), ?2)",
            )?,
            last_exception: prepare(
                "SELECT max(sequence) FROM subscription_exception WHERE subscription = ?",
            )?,
            known: FxHashMap::default(),
            floors: FxHashMap::default(),
            stale: VecDeque::new(),
        };
        subscriptions.load(connection)?;
        Ok(subscriptions)
    }

    /// Learns from the database what it has, at a start and after a rollback.
    pub(super) fn load(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        self.known.clear();
        self.floors.clear();
        for record in takeover::subscriptions(connection)? {
            self.know(&record);
        }
        // A slice that was outstanding may be forgotten: one for each is soon done.
        self.stale = takeover::excepted(connection)?.into();
        for id in &self.stale {
            if let Some(known) = self.known.get_mut(id) {
                (known.last_exception, known.is_stale) = (Some(Sequence::MAX), true);
            }
        }
        Ok(())
    }

    /// Whether anybody subscribes to a topic.
    pub(super) fn has_any(&self, topic: DestinationId) -> bool {
        self.floors.contains_key(&topic)
    }

    /// The lowest floor of a topic; `None` when nobody subscribes to it.
    pub(super) fn lowest_floor(&self, topic: DestinationId) -> Option<Sequence> {
        let floors = self.floors.get(&topic)?;
        floors.iter().map(|(_, floor)| *floor).min()
    }

    /// Carries out what a commit does to subscriptions. Topics whose lowest floor may have changed go to
    /// `touched`.
    pub(super) fn keep(
        &mut self,
        ledger: &Ledger<'_>,
        touched: &mut FxHashSet<DestinationId>,
    ) -> rusqlite::Result<()> {
        for registration in &ledger.registrations {
            match registration {
                Registration::Subscribe(record) => {
                    self.subscribe(record)?;
                    touched.insert(record.topic);
                }
                Registration::Unsubscribe(id) => touched.extend(self.unsubscribe(*id)?),
                Registration::RemoveTopic(topic) => {
                    let floors = self.floors.get(topic).cloned().unwrap_or_default();
                    for (id, _) in floors {
                        touched.extend(self.unsubscribe(id)?);
                    }
                }
            }
        }
        for (id, progress) in &ledger.progress {
            touched.extend(self.advance(*id, progress)?);
        }
        Ok(())
    }

    /// Whether there is something for [`Subscriptions::purge`].
    pub(super) fn is_stale(&self) -> bool {
        !self.stale.is_empty()
    }

    /// Removes one slice of exceptions that mean nothing any more.
    pub(super) fn purge(&mut self) -> rusqlite::Result<()> {
        let Some(id) = self.stale.pop_front() else {
            return Ok(());
        };
        let known = self.known.get(&id);
        let floor = known.map_or(Sequence::MAX, |known| {
            self.floors[&known.topic][known.slot].1
        });
        let purged = self.purge.execute((id.0, floor.0, SLICE_ROWS as i64 - 1))?;
        if purged >= SLICE_ROWS {
            self.stale.push_back(id);
            return Ok(());
        }
        if let Some(known) = self.known.get_mut(&id) {
            known.is_stale = false;
            let last: Option<i64> = self.last_exception.query_row([id.0], |row| row.get(0))?;
            known.last_exception = last.map(Sequence);
        }
        Ok(())
    }

    fn know(&mut self, record: &SubscriptionRecord) {
        let floors = self.floors.entry(record.topic).or_default();
        floors.push((record.id, record.floor));
        let known = Known {
            topic: record.topic,
            slot: floors.len() - 1,
            last_exception: None,
            is_stale: false,
        };
        self.known.insert(record.id, known);
    }

    fn subscribe(&mut self, record: &SubscriptionRecord) -> rusqlite::Result<()> {
        self.upsert.execute((
            record.id.0,
            record.topic.0,
            &*record.identity,
            record.selector.as_deref(),
            record.floor.0,
            record.created_ms,
        ))?;
        if self.known.contains_key(&record.id) {
            self.raise(record.id, record.floor);
        } else {
            self.know(record);
        }
        Ok(())
    }

    fn unsubscribe(&mut self, id: SubscriptionId) -> rusqlite::Result<Option<DestinationId>> {
        let Some(known) = self.known.remove(&id) else {
            return Ok(None);
        };
        self.delete.execute([id.0])?;
        if known.last_exception.is_some() && !known.is_stale {
            self.stale.push_back(id);
        }
        if let Some(floors) = self.floors.get_mut(&known.topic) {
            floors.swap_remove(known.slot);
            if let Some((moved, _)) = floors.get(known.slot)
                && let Some(moved) = self.known.get_mut(moved)
            {
                moved.slot = known.slot;
            }
            if floors.is_empty() {
                self.floors.remove(&known.topic);
            }
        }
        Ok(Some(known.topic))
    }

    fn advance(
        &mut self,
        id: SubscriptionId,
        progress: &Progress,
    ) -> rusqlite::Result<Option<DestinationId>> {
        let Some(known) = self.known.get(&id) else {
            return Ok(None);
        };
        let stored = self.floors[&known.topic][known.slot].1;
        let floor = progress.floor.unwrap_or(stored).max(stored);
        let mut risen = None;
        if floor > stored {
            self.raise.execute((id.0, floor.0))?;
            risen = self.raise(id, floor);
        }
        let mut last = None;
        for (sequence, exception) in progress.exceptions.range((Excluded(floor), Unbounded)) {
            if let Some(Counts {
                deliveries,
                failures,
            }) = exception.counts
            {
                self.count
                    .execute((id.0, sequence.0, deliveries, failures))?;
            }
            if exception.acknowledged {
                self.pass.execute((id.0, sequence.0))?;
            }
            last = Some(*sequence);
        }
        if let Some(known) = self.known.get_mut(&id) {
            known.last_exception = known.last_exception.max(last);
        }
        Ok(risen)
    }

    /// Notes a floor that stands in the database. Its topic, if it has risen.
    fn raise(&mut self, id: SubscriptionId, floor: Sequence) -> Option<DestinationId> {
        let known = self.known.get_mut(&id)?;
        let (_, stored) = self.floors.get_mut(&known.topic)?.get_mut(known.slot)?;
        if floor <= *stored {
            return None;
        }
        *stored = floor;
        if known.last_exception.is_some() && !known.is_stale {
            known.is_stale = true;
            self.stale.push_back(id);
        }
        Some(known.topic)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::schema;

    const TOPIC: DestinationId = DestinationId(1);
    const ID: SubscriptionId = SubscriptionId(7);

    fn database() -> Connection {
        let connection = Connection::open_in_memory().expect("a database");
        schema::create(&connection).expect("a schema");
        connection
    }

    /// Carries out a commit's worth and says how many rows it changed.
    fn keep<'b>(
        connection: &Connection,
        subscriptions: &mut Subscriptions<'_>,
        fill: impl FnOnce(&mut Ledger<'b>),
    ) -> u64 {
        let mut ledger = Ledger::default();
        fill(&mut ledger);
        let before = connection.total_changes();
        let mut touched = FxHashSet::default();
        subscriptions
            .keep(&ledger, &mut touched)
            .expect("no failure");
        while subscriptions.is_stale() {
            subscriptions.purge().expect("no failure");
        }
        connection.total_changes() - before
    }

    fn record(floor: i64) -> SubscriptionRecord {
        SubscriptionRecord {
            id: ID,
            topic: TOPIC,
            identity: "someone".into(),
            selector: None,
            floor: Sequence(floor),
            created_ms: 0,
        }
    }

    #[test]
    fn acknowledgements_in_order_are_one_update_a_commit() {
        let connection = database();
        let mut subscriptions = Subscriptions::prepare(&connection).expect("statements");
        let record = record(0);
        keep(&connection, &mut subscriptions, |ledger| {
            ledger.subscribe(&record);
        });
        for commit in 0..3 {
            let changed = keep(&connection, &mut subscriptions, |ledger| {
                for n in 1..=1_000 {
                    // Some came before their turn.
                    let sequence = commit * 1_000 + n;
                    ledger.pass(ID, Sequence(sequence + sequence % 7));
                    ledger.floor(ID, Sequence(sequence));
                }
                ledger.floor(ID, Sequence(commit * 1_000 + 1_010));
            });
            assert_eq!(changed, 1);
        }
        assert_eq!(subscriptions.lowest_floor(TOPIC), Some(Sequence(3_010)));
    }

    #[test]
    fn exceptions_that_a_floor_has_passed_go_in_slices() {
        let connection = database();
        let mut subscriptions = Subscriptions::prepare(&connection).expect("statements");
        let record = record(0);
        let last = 3 * SLICE_ROWS as i64 + 5;
        keep(&connection, &mut subscriptions, |ledger| {
            ledger.subscribe(&record);
            (2..=last).for_each(|n| ledger.pass(ID, Sequence(n)));
        });
        let mut ledger = Ledger::default();
        ledger.floor(ID, Sequence(last - 2));
        let mut touched = FxHashSet::default();
        subscriptions
            .keep(&ledger, &mut touched)
            .expect("no failure");
        assert!(touched.contains(&TOPIC));
        let count = || -> i64 {
            let count = "SELECT count(*) FROM subscription_exception";
            connection
                .query_row(count, [], |row| row.get(0))
                .expect("a count")
        };
        let mut slices = 0;
        while subscriptions.is_stale() {
            let before = count();
            subscriptions.purge().expect("no failure");
            assert!(before - count() <= SLICE_ROWS as i64);
            slices += 1;
        }
        assert_eq!((slices, count()), (4, 2));
        // What is left is known, so that a floor behind it finds nothing to do.
        let changed = keep(&connection, &mut subscriptions, |ledger| {
            ledger.floor(ID, Sequence(last));
        });
        assert_eq!((changed, count()), (3, 0));
    }

    #[test]
    fn floors_are_known_again_after_a_reload() {
        let connection = database();
        let mut subscriptions = Subscriptions::prepare(&connection).expect("statements");
        let records = [record(5), record(9)];
        keep(&connection, &mut subscriptions, |ledger| {
            ledger.subscribe(&records[0]);
            ledger.subscribe(&records[1]);
            ledger.pass(ID, Sequence(12));
        });
        connection
            .execute_batch("INSERT INTO subscription_exception VALUES (99, 1, 1, 0, 0)")
            .expect("what an earlier life left");
        subscriptions.load(&connection).expect("a reload");
        assert_eq!(subscriptions.lowest_floor(TOPIC), Some(Sequence(9)));
        assert!(subscriptions.has_any(TOPIC) && !subscriptions.has_any(DestinationId(2)));
        // The exception of nobody goes, the other stays until the floor comes.
        assert_eq!(keep(&connection, &mut subscriptions, |_| {}), 1);
        let changed = keep(&connection, &mut subscriptions, |ledger| {
            ledger.floor(ID, Sequence(12));
        });
        assert_eq!(changed, 2);
    }
}
