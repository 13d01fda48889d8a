//! Short ways to write down keys, messages and operations.

use std::sync::Arc;

use stompbox_store::{
    Append, Batch, DestinationId, DestinationKind, DestinationRecord, DueRequest, DuplicateRecord,
    DuplicateRequest, EntryKey, Haste, LogAppend, LogPageRequest, Medium, MessageNumber, Move,
    Operation, PageId, PageRequest, Payload, Rank, ScheduleFilter, ScheduleId, ScheduleListRequest,
    ScheduleRecord, Sender, Sequence, SubscriptionId, SubscriptionRecord,
};

pub(crate) struct Text {
    head: Vec<u8>,
    body: Vec<u8>,
}

impl Payload for Text {
    fn head(&self) -> &[u8] {
        &self.head
    }

    fn body(&self) -> &[u8] {
        &self.body
    }
}

pub(crate) fn key(destination: i64, rank: u8, sequence: i64) -> EntryKey {
    EntryKey {
        destination: DestinationId(destination),
        rank: Rank(rank),
        sequence: Sequence(sequence),
    }
}

pub(crate) fn queue(id: i64, name: &str) -> Operation {
    Operation::Create(DestinationRecord {
        id: DestinationId(id),
        kind: DestinationKind::Queue,
        name: name.into(),
        created_ms: 1_000,
    })
}

pub(crate) fn topic(id: i64, name: &str) -> Operation {
    Operation::Create(DestinationRecord {
        id: DestinationId(id),
        kind: DestinationKind::Topic,
        name: name.into(),
        created_ms: 1_000,
    })
}

pub(crate) fn subscription(id: i64, topic: i64, floor: i64) -> SubscriptionRecord {
    SubscriptionRecord {
        id: SubscriptionId(id),
        topic: DestinationId(topic),
        identity: format!("client/{id}").into(),
        selector: None,
        floor: Sequence(floor),
        created_ms: 2_000,
    }
}

pub(crate) fn subscribe(id: i64, topic: i64, floor: i64) -> Operation {
    Operation::Subscribe(subscription(id, topic, floor))
}

pub(crate) fn unsubscribe(id: i64) -> Operation {
    Operation::Unsubscribe(SubscriptionId(id))
}

/// A row of message `number` in a log; the same message as [`append`] makes.
pub(crate) fn log_append(topic: i64, sequence: i64, number: i64) -> LogAppend {
    let message = append(key(topic, 0, sequence), number);
    LogAppend {
        topic: message.key.destination,
        sequence: message.key.sequence,
        number: message.number,
        payload: message.payload,
        timestamp_ms: message.timestamp_ms,
        expires_ms: message.expires_ms,
        tag: 0,
        sender: message.sender,
    }
}

/// A row in a log whose message has a body of so many bytes and the number of its position.
pub(crate) fn log_append_sized(topic: i64, sequence: i64, body_bytes: usize) -> LogAppend {
    let message = append_sized(key(topic, 0, sequence), sequence, vec![b'x'; body_bytes]);
    LogAppend {
        payload: message.payload,
        ..log_append(topic, sequence, sequence)
    }
}

/// A row in a log whose message has the number of its position.
pub(crate) fn logged(topic: i64, sequence: i64) -> Operation {
    Operation::Log(log_append(topic, sequence, sequence))
}

pub(crate) fn pass(subscription: i64, sequence: i64) -> Operation {
    Operation::Pass {
        subscription: SubscriptionId(subscription),
        sequence: Sequence(sequence),
    }
}

pub(crate) fn floor(subscription: i64, floor: i64) -> Operation {
    Operation::Floor {
        subscription: SubscriptionId(subscription),
        floor: Sequence(floor),
    }
}

pub(crate) fn log_count(
    subscription: i64,
    sequence: i64,
    deliveries: u32,
    failures: u32,
) -> Operation {
    Operation::LogCount {
        subscription: SubscriptionId(subscription),
        sequence: Sequence(sequence),
        deliveries,
        failures,
    }
}

pub(crate) fn trim(topic: i64, through: i64) -> Operation {
    Operation::Trim {
        topic: DestinationId(topic),
        through: Sequence(through),
    }
}

pub(crate) fn log_page(topic: i64, subscription: i64) -> LogPageRequest {
    LogPageRequest {
        id: PageId(0),
        topic: DestinationId(topic),
        subscription: SubscriptionId(subscription),
        from: Sequence(0),
        through: Sequence::MAX,
        rows_max: usize::MAX,
        bytes_max: usize::MAX,
    }
}

/// Message `number`, the same as [`append`] makes, to be delivered later.
pub(crate) fn schedule(id: i64, number: i64, due_ms: i64, destination: i64) -> ScheduleRecord {
    let message = append(key(destination, 4, 0), number);
    ScheduleRecord {
        id: ScheduleId(id),
        due_ms,
        repeats_left: 0,
        text: "once".into(),
        destination: message.key.destination,
        rank: message.key.rank,
        number: message.number,
        payload: message.payload,
        timestamp_ms: message.timestamp_ms,
        expires_ms: message.expires_ms,
        sender: message.sender,
    }
}

/// A scheduled message that has the number of its id.
pub(crate) fn scheduled(id: i64, due_ms: i64, destination: i64) -> Operation {
    Operation::Schedule(schedule(id, id, due_ms, destination))
}

pub(crate) fn unschedule(id: i64) -> Operation {
    Operation::Unschedule(ScheduleId(id))
}

pub(crate) fn reschedule(id: i64, due_ms: i64, repeats_left: i64) -> Operation {
    Operation::Reschedule {
        id: ScheduleId(id),
        due_ms,
        repeats_left,
    }
}

pub(crate) fn due_request(until_ms: i64) -> DueRequest {
    DueRequest {
        id: PageId(0),
        after: None,
        until_ms,
        rows_max: usize::MAX,
        bytes_max: usize::MAX,
    }
}

pub(crate) fn schedule_list(filter: ScheduleFilter) -> ScheduleListRequest {
    ScheduleListRequest {
        id: PageId(0),
        filter,
        after: None,
        rows_max: usize::MAX,
    }
}

/// An id that tells the number of the message that it came with.
pub(crate) fn remember(destination: i64, number: i64) -> Operation {
    Operation::Remember(DuplicateRecord {
        destination: DestinationId(destination),
        number: MessageNumber(number),
        id: format!("id {number}").into_bytes().into(),
        sender: Sender::default(),
    })
}

pub(crate) fn duplicate_request(destination: i64) -> DuplicateRequest {
    DuplicateRequest {
        id: PageId(0),
        destination: DestinationId(destination),
        rows_max: usize::MAX,
    }
}

/// An entry of message `number`, whose head and body tell the number.
pub(crate) fn append(key: EntryKey, number: i64) -> Append {
    append_sized(key, number, format!("body of {number}").into_bytes())
}

pub(crate) fn append_sized(key: EntryKey, number: i64, body: Vec<u8>) -> Append {
    let head = format!("number:{number}\n").into_bytes();
    Append {
        key,
        number: MessageNumber(number),
        payload: Arc::new(Text { head, body }),
        timestamp_ms: 5_000 + number,
        expires_ms: 0,
        annotations: Box::default(),
        medium: Medium::Database,
        sender: Sender::default(),
    }
}

/// An entry whose message has the number of its position.
pub(crate) fn appended(key: EntryKey) -> Operation {
    Operation::Append(append(key, key.sequence.0))
}

/// The same, kept in the scratch file.
pub(crate) fn scratch(append: Append) -> Operation {
    Operation::Append(Append {
        medium: Medium::Scratch,
        ..append
    })
}

/// A scratch entry whose message has the number of its position.
pub(crate) fn scratched(key: EntryKey) -> Operation {
    scratch(append(key, key.sequence.0))
}

pub(crate) fn settle_scratch(key: EntryKey) -> Operation {
    Operation::Settle {
        key,
        medium: Medium::Scratch,
    }
}

pub(crate) fn settle(key: EntryKey) -> Operation {
    Operation::Settle {
        key,
        medium: Medium::Database,
    }
}

pub(crate) fn count(key: EntryKey, deliveries: u32, failures: u32) -> Operation {
    Operation::Count {
        key,
        deliveries,
        failures,
    }
}

pub(crate) fn relocate(from: EntryKey, to: EntryKey) -> Operation {
    Operation::Move(Move {
        from,
        to,
        expires_ms: 0,
        annotations: Box::default(),
    })
}

pub(crate) fn awaited(operations: impl IntoIterator<Item = Operation>) -> Batch {
    Batch {
        operations: operations.into_iter().collect(),
        haste: Haste::Awaited,
        units: Vec::new(),
    }
}

pub(crate) fn patient(operations: impl IntoIterator<Item = Operation>) -> Batch {
    Batch {
        operations: operations.into_iter().collect(),
        haste: Haste::Patient,
        units: Vec::new(),
    }
}

pub(crate) fn page(destination: i64, rank: u8) -> PageRequest {
    PageRequest {
        id: PageId(0),
        destination: DestinationId(destination),
        rank: Rank(rank),
        from: Sequence(0),
        through: Sequence::MAX,
        rows_max: usize::MAX,
        bytes_max: usize::MAX,
    }
}
