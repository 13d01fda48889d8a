//! One engine under test: something durable on which stores are opened one after the other.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use stompbox_store::memory::{MemoryDisk, MemoryStore};
use stompbox_store::sqlite::{SqliteOptions, SqliteStore};
use stompbox_store::{
    DestinationId, LogTally, Medium, MessageNumber, Rank, Sequence, StoreError, Tally,
};
use tempfile::TempDir;

use crate::session::{Session, events};
use crate::small_disk;

pub(crate) trait Harness {
    /// Opens a store on what earlier ones left.
    fn open(&mut self) -> Session;

    /// The counts that a look at every durable entry gives, in order of destination and rank.
    fn recount(&self) -> Vec<Tally>;

    /// The counts that a look at every row of the logs gives, in order of topic.
    fn recount_logs(&self) -> Vec<LogTally>;

    /// Makes the stored body of a message fail its checksum.
    fn corrupt(&self, number: MessageNumber);

    /// From now on there is no room for `medium`.
    fn fill(&mut self, medium: Medium);

    /// From now on there is room for so many bytes only.
    fn leave(&mut self, bytes: u64);

    /// From now on a full disk has no room either for what departs from a subscription's floor.
    fn tighten(&mut self);

    /// There is room again.
    fn free(&mut self, medium: Medium);

    /// Bodies and entries must belong together, as far as one can see from outside.
    fn check_bodies(&self) {}

    /// Waits until no subscription departs from its floor, as far as one can see that from outside.
    fn wait_for_no_exceptions(&self) {}
}

pub(crate) struct SqliteHarness {
    folder: TempDir,
    limits: BTreeMap<&'static str, u64>,
}

impl SqliteHarness {
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a folder"),
            limits: BTreeMap::new(),
        }
    }

    pub(crate) fn options(&self) -> SqliteOptions {
        SqliteOptions {
            look_every: Duration::from_millis(20),
            ..SqliteOptions::new(self.folder.path())
        }
    }

    pub(crate) fn open_with(&self, options: SqliteOptions) -> Session {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let (sink, receiver) = events();
            match SqliteStore::open(options.clone(), 1_000, sink) {
                // A process that another test has begun has this one's handles for a moment, and the folder's lock.
                Err(StoreError::InUse { .. }) if Instant::now() < deadline => {
                    std::thread::yield_now();
                }
                opened => {
                    let (store, recovered) = opened.expect("an open store");
                    return Session::new((Box::new(store), recovered), receiver);
                }
            }
        }
    }

    /// Only under [`small_disk::on_small_disk`].
    fn apply_limits(&self) {
        let limits: Vec<_> = self
            .limits
            .iter()
            .map(|(name, bytes)| (*name, *bytes))
            .collect();
        small_disk::limit(self.folder.path(), &limits);
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("stompbox.db")
    }

    pub(crate) fn database(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.file()).expect("a database")
    }

    /// One number out of the database.
    pub(crate) fn number(&self, query: &str) -> i64 {
        self.database()
            .query_row(query, [], |row| row.get(0))
            .expect("a number")
    }
}

/// The files that a medium's limit concerns.
fn limited(medium: Medium) -> &'static str {
    match medium {
        Medium::Database => "*",
        Medium::Scratch => "scratch.db",
    }
}

impl Harness for SqliteHarness {
    fn open(&mut self) -> Session {
        self.open_with(self.options())
    }

    fn recount(&self) -> Vec<Tally> {
        let database = self.database();
        let mut query = database
            .prepare(
                "SELECT destination, rank, count(*), sum(bytes), min(sequence), max(sequence)
                 FROM entry GROUP BY destination, rank ORDER BY destination, rank",
            )
            .expect("a query");
        let rows = query.query_map([], |row| {
            Ok(Tally {
                destination: DestinationId(row.get(0)?),
                rank: Rank(row.get(1)?),
                count: row.get::<_, i64>(2)?.unsigned_abs(),
                bytes: row.get::<_, i64>(3)?.unsigned_abs(),
                first: Sequence(row.get(4)?),
                last: Sequence(row.get(5)?),
            })
        });
        rows.and_then(Iterator::collect).expect("counts")
    }

    fn recount_logs(&self) -> Vec<LogTally> {
        let database = self.database();
        let mut query = database
            .prepare(
                "SELECT topic, count(*), sum(bytes), min(sequence), max(sequence)
                 FROM log GROUP BY topic ORDER BY topic",
            )
            .expect("a query");
        let rows = query.query_map([], |row| {
            Ok(LogTally {
                topic: DestinationId(row.get(0)?),
                count: row.get::<_, i64>(1)?.unsigned_abs(),
                bytes: row.get::<_, i64>(2)?.unsigned_abs(),
                first: Sequence(row.get(3)?),
                last: Sequence(row.get(4)?),
            })
        });
        rows.and_then(Iterator::collect).expect("counts")
    }

    fn corrupt(&self, number: MessageNumber) {
        let damage = "UPDATE body SET body = x'00' WHERE id = ?";
        self.database().execute(damage, [number.0]).expect("damage");
    }

    fn fill(&mut self, medium: Medium) {
        let bytes = match medium {
            Medium::Database => small_disk::used(self.folder.path()),
            Medium::Scratch => 0,
        };
        self.limits.insert(limited(medium), bytes);
        self.apply_limits();
    }

    fn leave(&mut self, bytes: u64) {
        let all = small_disk::used(self.folder.path()) + bytes;
        self.limits.insert(limited(Medium::Database), all);
        self.apply_limits();
    }

    fn tighten(&mut self) {
        // Less than what is kept for deletes, once the reserve is gone.
        let reserve = std::fs::metadata(self.folder.path().join("reserve"));
        let reserve = reserve.map_or(0, |reserve| reserve.len());
        let others = small_disk::used(self.folder.path()) - reserve;
        self.limits.insert("*", others + (2 << 20));
        self.apply_limits();
    }

    fn free(&mut self, medium: Medium) {
        self.limits.remove(limited(medium));
        self.apply_limits();
    }

    fn check_bodies(&self) {
        let owners = "(SELECT body FROM entry UNION ALL SELECT body FROM log UNION ALL SELECT body FROM schedule)";
        let count = |query: &str| self.number(&query.replace("OWNERS", owners));
        let lost = "SELECT count(*) FROM OWNERS WHERE body NOT IN (SELECT id FROM body)";
        assert_eq!(count(lost), 0, "owners without a body");
        let orphans = "SELECT count(*) FROM body WHERE id NOT IN OWNERS";
        assert_eq!(count(orphans), 0, "bodies without an owner");
        let parts =
            "SELECT count(*) FROM body_part WHERE id NOT IN (SELECT id FROM body WHERE parts > 0)";
        assert_eq!(count(parts), 0, "parts without a body");
        let shared = "SELECT count(*) FROM
            (SELECT body, count(*) AS n FROM OWNERS GROUP BY body HAVING n > 1) AS seen
            FULL JOIN shared USING (body) WHERE n IS NOT refs";
        assert_eq!(count(shared), 0, "owners miscounted");
        let stored = "SELECT count(*) FROM
            (SELECT destination, rank, count(*) AS count, sum(bytes) AS bytes, min(sequence) AS first,
                    max(sequence) AS last FROM entry GROUP BY destination, rank) AS seen
            FULL JOIN tally USING (destination, rank, count, bytes, first, last)
            WHERE seen.count IS NULL OR tally.count IS NULL";
        assert_eq!(count(stored), 0, "tallies that differ from a recount");
        let logged = "SELECT count(*) FROM
            (SELECT topic, count(*) AS count, sum(bytes) AS bytes, min(sequence) AS first,
                    max(sequence) AS last FROM log GROUP BY topic) AS seen
            FULL JOIN log_tally USING (topic, count, bytes, first, last)
            WHERE seen.count IS NULL OR log_tally.count IS NULL";
        assert_eq!(
            count(logged),
            0,
            "counts of logs that differ from a recount"
        );
        let scheduled = "SELECT count(*) FROM
            (SELECT destination, count(*) AS count, sum(bytes) AS bytes FROM schedule GROUP BY destination) AS seen
            FULL JOIN schedule_tally USING (destination, count, bytes)
            WHERE seen.count IS NULL OR schedule_tally.count IS NULL";
        assert_eq!(
            count(scheduled),
            0,
            "counts of the schedule that differ from a recount"
        );
    }

    fn wait_for_no_exceptions(&self) {
        let deadline = Instant::now() + Duration::from_secs(30);
        while self.number("SELECT count(*) FROM subscription_exception") > 0 {
            assert!(Instant::now() < deadline, "exceptions stay");
            std::thread::yield_now();
        }
    }
}

/// A memory disk that does everything at once.
pub(crate) struct MemoryHarness {
    disk: MemoryDisk,
}

impl MemoryHarness {
    pub(crate) fn new() -> Self {
        let disk = MemoryDisk::default();
        disk.run_immediately(true);
        Self { disk }
    }
}

impl Harness for MemoryHarness {
    fn open(&mut self) -> Session {
        let (sink, receiver) = events();
        let opened = MemoryStore::open(self.disk.clone(), 1_000, sink).expect("an open store");
        Session::new((Box::new(opened.0), opened.1), receiver)
    }

    fn recount(&self) -> Vec<Tally> {
        self.disk.tallies()
    }

    fn recount_logs(&self) -> Vec<LogTally> {
        self.disk.log_tallies()
    }

    fn corrupt(&self, number: MessageNumber) {
        self.disk.corrupt(number);
    }

    fn fill(&mut self, medium: Medium) {
        self.disk.fill(medium);
    }

    /// A memory disk is full or not.
    fn leave(&mut self, _bytes: u64) {
        self.disk.fill(Medium::Database);
    }

    fn tighten(&mut self) {
        self.disk.tighten();
    }

    fn free(&mut self, medium: Medium) {
        self.disk.free(medium);
    }
}
