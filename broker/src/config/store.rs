//! Section `[store]`: where and how messages are kept.

use std::path::PathBuf;

use super::choice::Durability;
use super::form::{Bytes, Choice, Folder};
use super::section::section;

const MIB: usize = 1 << 20;
const GIB: usize = 1 << 30;
const TIB: usize = 1 << 40;

section! {
    /// Where and how messages are kept.
    pub struct StoreConfig, given StoreGiven {
        /// The data folder, made at the first start. A relative path starts at the working directory.
        pub data: PathBuf = PathBuf::from("./stompbox-data"), Folder;
        /// What a RECEIPT for a persistent message survives: "power" the loss of power (every commit is synced to
        /// the disk), "process" only the end of the broker's process (faster; the loss of power may cost messages
        /// that were confirmed).
        pub durability: Durability = Durability::Power, Choice(&[
            ("power", Durability::Power),
            ("process", Durability::Process),
        ]);
        /// What may be stored: database, its log and the scratch file. At this limit producers of persistent messages
        /// are held back until a tenth is free again; 0 = as much as there is.
        pub disk_bytes_max: usize = 0, Bytes { min: 0, max: TIB };
        /// The database's log. It is cut when nobody reads it: a process that keeps an old state of the database open
        /// makes it grow, and at this limit producers of persistent messages are held back.
        pub wal_bytes_max: usize = GIB, Bytes { min: 64 * MIB, max: TIB };
        /// A file of this size that is deleted when the disk is full, so that consumers can go on.
        pub disk_reserve: usize = 16 * MIB, Bytes { min: 0, max: GIB };
        /// When a disk was full, persistent messages are accepted again from so much free space on, the reserve not
        /// counted.
        pub disk_resume: usize = 256 * MIB, Bytes { min: 0, max: TIB };
    }
}
