//! What every engine of the store promises, checked on each of them, and what only one of them can show.

/// Runs each behaviour, a function of a harness, on every engine: as a test of its own, so that one that fails hides
/// no other.
macro_rules! on_every_engine {
    ($($behaviour:ident),* $(,)?) => {
        mod sqlite {
            $(#[test] fn $behaviour() { super::$behaviour(&mut crate::harness::SqliteHarness::new()); })*
        }
        mod memory {
            $(#[test] fn $behaviour() { super::$behaviour(&mut crate::harness::MemoryHarness::new()); })*
        }
    };
}

/// As [`on_every_engine`], for what the SQLite engine does not do yet.
macro_rules! on_memory_engine {
    ($($behaviour:ident),* $(,)?) => {
        mod memory {
            $(#[test] fn $behaviour() { super::$behaviour(&mut crate::harness::MemoryHarness::new()); })*
        }
    };
}

mod contract;
mod damage;
mod file;
mod harness;
mod memory_disk;
mod message;
mod random;
mod recovery;
mod session;
mod view;
