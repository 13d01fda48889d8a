//! One engine under test: something durable on which stores are opened one after the other.

use stompbox_store::Tally;
use stompbox_store::sqlite::{SqliteOptions, SqliteStore};
use tempfile::TempDir;

use crate::session::{Session, events};

pub(crate) trait Harness {
    /// Opens a store on what earlier ones left.
    fn open(&mut self) -> Session;

    /// The counts that a look at every durable entry gives, in order of destination and rank. Only while no store
    /// is open.
    fn recount(&self) -> Vec<Tally>;
}

pub(crate) struct SqliteHarness {
    folder: TempDir,
}

impl SqliteHarness {
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a folder"),
        }
    }

    pub(crate) fn options(&self) -> SqliteOptions {
        SqliteOptions::new(self.folder.path())
    }

    pub(crate) fn open_with(&self, options: SqliteOptions) -> Session {
        let (sink, receiver) = events();
        let (store, recovered) = SqliteStore::open(options, 1_000, sink).expect("an open store");
        Session::new((Box::new(store), recovered), receiver)
    }

    pub(crate) fn database(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.folder.path().join("stompbox.db")).expect("a database")
    }
}

impl Harness for SqliteHarness {
    fn open(&mut self) -> Session {
        self.open_with(self.options())
    }

    fn recount(&self) -> Vec<Tally> {
        use stompbox_store::{DestinationId, Rank, Sequence};
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
}
