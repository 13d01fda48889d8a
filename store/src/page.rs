//! Reading entries back: by key range, and by expiry.

use crate::batch::Medium;
use crate::key::{DestinationId, EntryKey, MessageNumber, Rank, Sequence};

/// Pairs a page with its request; chosen by the asker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PageId(pub u64);

/// Asks for entries of one destination and rank with `from <= sequence <= through`, in order.
#[derive(Debug, Clone, Copy)]
pub struct PageRequest {
    /// Comes back with the page.
    pub id: PageId,
    /// Whose entries.
    pub destination: DestinationId,
    /// Which rank of them.
    pub rank: Rank,
    /// First position, inclusive.
    pub from: Sequence,
    /// Last position, inclusive.
    pub through: Sequence,
    /// At most so many rows.
    pub rows_max: usize,
    /// Stop after the row with which heads and bodies together exceed this; at least one row comes.
    pub bytes_max: usize,
}

/// One entry with its message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRow {
    /// Its position.
    pub sequence: Sequence,
    /// Its message.
    pub number: MessageNumber,
    /// When it was sent, in ms since 1970.
    pub timestamp_ms: i64,
    /// When it expires, in ms since 1970; 0 is never.
    pub expires_ms: i64,
    /// Stored deliveries.
    pub deliveries: u32,
    /// Stored failures.
    pub failures: u32,
    /// Header lines of this entry alone.
    pub annotations: Box<[u8]>,
    /// Head and body, one behind the other.
    pub data: Box<[u8]>,
    /// Where the body begins in `data`.
    pub head_bytes: usize,
    /// Where it is kept.
    pub medium: Medium,
    /// What a message of a log was tagged with; 0 for an entry.
    pub tag: i64,
}

/// Entries read back.
#[derive(Debug, Clone)]
pub struct Page {
    /// The request's id.
    pub id: PageId,
    /// In order of their position.
    pub rows: Vec<PageRow>,
    /// Nothing stands between the last row and the request's `through`.
    pub exhausted: bool,
    /// Everything up to here has been looked at. A page that is not exhausted goes on behind it, even when it has no
    /// row: a log is not searched for ever for what its subscription has not acknowledged.
    pub through: Sequence,
    /// Positions whose body failed its checksum: moved to quarantine, gone from the destination. They count
    /// against `rows_max`, so that a page may be neither exhausted nor have a row.
    pub quarantined: Vec<Sequence>,
}

/// One entry that has expired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExpiredRow {
    /// Bytes of its head and body.
    pub bytes: u64,
    /// The entry.
    pub key: EntryKey,
    /// Its message.
    pub number: MessageNumber,
    /// Its expiry.
    pub expires_ms: i64,
    /// Where it is kept.
    pub medium: Medium,
}

/// Entries that have expired, the earliest first.
#[derive(Debug, Clone, Default)]
pub struct Expired {
    /// At most as many as were asked for.
    pub rows: Vec<ExpiredRow>,
}
