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

/// As [`on_every_engine`], with disks that can be filled.
macro_rules! on_every_small_disk {
    ($($behaviour:ident),* $(,)?) => {
        mod sqlite {
            $(#[test] fn $behaviour() {
                crate::small_disk::on_small_disk(|| {
                    super::$behaviour(&mut crate::harness::SqliteHarness::new());
                });
            })*
        }
        mod memory {
            $(#[test] fn $behaviour() { super::$behaviour(&mut crate::harness::MemoryHarness::new()); })*
        }
    };
}

mod contract;
mod damage;
mod file;
mod full_crash;
mod full_disk;
mod harness;
mod memory_disk;
mod message;
mod random;
mod random_log;
mod random_schedule;
mod recovery;
mod scratch_file;
mod session;
mod small_disk;
mod version;
mod view;
