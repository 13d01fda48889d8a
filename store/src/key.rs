//! The identities that the broker allocates and the store keeps: all of them plain integers, none interchangeable.

/// A life of the broker on its database: raised and committed at every start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u32);

impl Epoch {
    /// Bits that an epoch leaves to the counter of a [`Sequence`].
    pub const COUNTER_BITS: u32 = 40;

    /// The first sequence of this epoch.
    #[must_use]
    pub fn first(self) -> Sequence {
        Sequence(i64::from(self.0) << Self::COUNTER_BITS)
    }
}

/// A position in a destination: `epoch << 40 | counter`. Never reused, so also a position in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sequence(pub i64);

impl Sequence {
    /// The largest position there is.
    pub const MAX: Sequence = Sequence(i64::MAX);

    /// The epoch in which this position was allocated.
    #[must_use]
    pub fn epoch(self) -> Epoch {
        Epoch(u32::try_from(self.0 >> Epoch::COUNTER_BITS).unwrap_or(0))
    }

    /// The position's place within its epoch.
    #[must_use]
    pub fn counter(self) -> u64 {
        (self.0 as u64) & ((1 << Epoch::COUNTER_BITS) - 1)
    }

    /// The next position.
    #[must_use]
    pub fn next(self) -> Sequence {
        Sequence(self.0 + 1)
    }
}

/// Names one message and its stored body. Shaped like a [`Sequence`]; every copy of a message keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageNumber(pub i64);

/// A destination's row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DestinationId(pub i64);

/// A durable subscription's row. Allocated once and never again, so that nothing of it outlives it under its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubscriptionId(pub i64);

/// Names one scheduled message; allocated as a [`Sequence`] is, and never again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ScheduleId(pub i64);

/// Place of a priority in delivery order: 0 is delivered first (`9 - priority`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rank(pub u8);

/// Names one entry: where it stands and in which order it is delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryKey {
    /// The destination that holds it.
    pub destination: DestinationId,
    /// Its priority, as a rank.
    pub rank: Rank,
    /// Its position.
    pub sequence: Sequence,
}

/// Names one submitted batch; dense and ascending from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);
