//! A store that is killed, or shares its disk with others, while the disk is full: what was promised is there.

use std::collections::{BTreeSet, VecDeque};
use std::fs::File;
use std::io::{BufRead, BufReader, Write, stdout};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use stompbox_store::Operation;
use stompbox_store::sqlite::{SqliteOptions, SqliteStore};

use crate::message::*;
use crate::session::{Session, events};
use crate::small_disk::{again, limit, on_tmpfs, this_program, used};

const MIB: u64 = 1 << 20;
const WORKLOAD: &str = "STOMPBOX_WORKLOAD";

fn options(folder: &Path) -> SqliteOptions {
    SqliteOptions {
        reserve_bytes: 8 * MIB,
        resume_bytes: 8 * MIB,
        wal_checkpoint_bytes: MIB,
        wal_pause_bytes: 2 * MIB,
        look_every: std::time::Duration::from_millis(20),
        ..SqliteOptions::new(folder)
    }
}

fn open(folder: &Path) -> Session {
    let (sink, receiver) = events();
    let opened = SqliteStore::open(options(folder), 1_000, sink).expect("an open store");
    Session::new((Box::new(opened.0), opened.1), receiver)
}

fn kilobyte(sequence: i64) -> Operation {
    Operation::Append(append_sized(key(1, 4, sequence), sequence, vec![7; 1_000]))
}

fn say(what: &str, sequence: i64) {
    writeln!(stdout(), "{what} {sequence}").expect("a reader");
}

/// Appends, and settles the oldest; alone, and in units. Says what it is about to do and what has been promised.
fn workload(folder: &Path) {
    let mut session = open(folder);
    if session.recovered.destinations.is_empty() {
        session.run([queue(1, "a")]);
    }
    let mut held: VecDeque<i64> = session.sequences(1, 4).into();
    let first = held.back().map_or(0, |last| last + 1) + 1_000;
    for n in first.. {
        let mut batch = awaited([kilobyte(n)]);
        say("appending", n);
        let is_full = session.store.statistics().is_full;
        let oldest = held.front().copied().filter(|_| is_full);
        if let Some(oldest) = oldest {
            say("settling", oldest);
            batch.operations.push(settle(key(1, 4, oldest)));
            if n % 3 == 0 {
                batch.units.push(0..2);
            }
        }
        session.commit(batch);
        let refused = session.refused();
        let appended = !refused
            .iter()
            .any(|operation| matches!(operation, Operation::Append(_)));
        if appended {
            say("appended", n);
            held.push_back(n);
        } else {
            say("refused", n);
        }
        if let Some(oldest) = oldest
            && refused.len() < 2
        {
            say("settled", oldest);
            held.pop_front();
        }
    }
}

#[derive(Default)]
struct Promises {
    held: BTreeSet<i64>,
    gone: BTreeSet<i64>,
    /// Neither promised nor refused.
    open: BTreeSet<i64>,
}

impl Promises {
    fn hear(&mut self, line: &str) {
        let Some((what, sequence)) = line.split_once(' ') else {
            return;
        };
        let Ok(sequence) = sequence.parse::<i64>() else {
            return;
        };
        match what {
            "appending" | "settling" => {
                self.open.insert(sequence);
            }
            "appended" => {
                self.open.remove(&sequence);
                self.held.insert(sequence);
            }
            "refused" | "settled" => {
                self.open.remove(&sequence);
                self.held.remove(&sequence);
                self.gone.insert(sequence);
            }
            _ => {}
        }
    }

    fn check(&self, found: &BTreeSet<i64>) {
        let lost: Vec<_> = self
            .held
            .difference(found)
            .filter(|n| !self.open.contains(n))
            .collect();
        assert!(lost.is_empty(), "lost {lost:?}");
        let back: Vec<_> = self.gone.intersection(found).collect();
        assert!(back.is_empty(), "came back {back:?}");
    }
}

#[test]
fn store_that_is_killed_on_a_full_disk_keeps_its_promises() {
    if let Some(folder) = std::env::var_os(WORKLOAD) {
        return workload(Path::new(&folder));
    }
    let folder = tempfile::tempdir().expect("a folder");
    let mut promises = Promises::default();
    for round in 0..4 {
        limit(folder.path(), &[("*", used(folder.path()) + 9 * MIB)]);
        let mut child = again(&mut Command::new(this_program()))
            .env(WORKLOAD, folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this program again");
        let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let mut refused = 0;
        for line in lines {
            let line = line.expect("a line");
            promises.hear(&line);
            refused += usize::from(line.starts_with("refused"));
            if refused == 20 + 37 * round {
                child.kill().expect("a running child");
            }
        }
        child.wait().expect("an end");
        assert!(refused >= 20 + 37 * round, "it ended by itself");
        let mut survivor = open(folder.path());
        let found: BTreeSet<i64> = survivor.sequences(1, 4).into_iter().collect();
        promises.check(&found);
        promises.open.clear();
        promises.held = found;
        survivor.close(awaited([])).expect("a clean stop");
    }
}

/// Writes until there is no room.
fn ballast(folder: &Path, name: &str) -> PathBuf {
    let path = folder.join(name);
    let mut file = File::create(&path).expect("a file");
    while file.write_all(&[0; 4096]).is_ok() {}
    while file.write_all(&[0]).is_ok() {}
    path
}

#[test]
fn store_on_a_real_file_system_is_drained_when_it_is_full_and_takes_more_when_it_is_not() {
    on_tmpfs(64, |disk| {
        let folder = disk.join("data");
        let mut session = open(&folder);
        session.run([queue(1, "a")]);
        let mut next = 0;
        // Filled by the store itself, then by somebody else.
        for others in [false, true, true] {
            let filled = others.then(|| ballast(disk, "filled"));
            let mut held: Vec<i64> = session.sequences(1, 4);
            loop {
                let some = next..next + 50;
                next += 50;
                session.run(some.clone().map(kilobyte));
                match session.refused().len() {
                    0 => held.extend(some),
                    50 => break,
                    some => panic!("{some} of a commit refused"),
                }
            }
            // What the reserve had, somebody takes at once.
            let rest = ballast(disk, "rest");
            assert_eq!(session.sequences(1, 4), held);
            let (now, later) = held.split_at(held.len() / 2);
            for some in now.chunks(30) {
                session.run(some.iter().map(|n| settle(key(1, 4, *n))));
            }
            session.crash();
            let mut again = open(&folder);
            assert!(again.store.statistics().is_full);
            assert_eq!(again.sequences(1, 4), later);
            for some in later.chunks(30).skip(3) {
                again.run(some.iter().map(|n| settle(key(1, 4, *n))));
            }
            for file in filled.into_iter().chain([rest]) {
                std::fs::remove_file(file).expect("a file");
            }
            again.wait_resumed();
            again.run([kilobyte(next)]);
            next += 1;
            assert_eq!(again.refused().len(), 0);
            session = again;
        }
        session.close(awaited([])).expect("a clean stop");
    });
}
