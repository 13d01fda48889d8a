//! Section `[store]`: where and how messages are kept.

use std::path::PathBuf;

use super::choice::Durability;
use super::form::{Choice, Folder};
use super::section::section;

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
    }
}
