//! The settings that are one word out of a few.

/// What a CONNECT with the `client-id` of a live connection does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientIdPolicy {
    /// The newcomer gets an ERROR.
    Refuse,
    /// The older connection is closed.
    Takeover,
}

/// What a RECEIPT for a persistent message survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// The loss of power: every commit is synced to the disk.
    Power,
    /// The end of the process, but not of the operating system: the disk is synced now and then.
    Process,
}

/// What a SEND without the header `persistent` is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// As with `persistent:true`.
    Persistent,
    /// As with `persistent:false`.
    NonPersistent,
}

/// When a persistent message may go to a consumer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dispatch {
    /// At once, while it is being written.
    Eager,
    /// Only when it is on the disk.
    Durable,
}

/// What a message that waits out its redelivery delay does to those behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RedeliveryOrder {
    /// They pass it, except in its message group and behind an exclusive consumer.
    Pass,
    /// They wait for it.
    Hold,
}

/// What a topic does when a subscriber reaches its pending limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlowConsumer {
    /// The topic's producers wait; nothing is lost.
    Block,
    /// The oldest message that waits for this subscriber is dropped.
    DropOldest,
    /// The subscriber's connection is closed.
    Disconnect,
}

/// What a queue does with a message that would be one too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenFull {
    /// Its producers wait.
    Block,
    /// The SEND is refused.
    Reject,
    /// The oldest message of the lowest priority that waits is dropped.
    DropOldest,
}

/// How a line of the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}
