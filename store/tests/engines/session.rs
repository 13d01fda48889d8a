//! An open store with its events, for tests that wait for answers.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use stompbox_store::{
    Batch, Due, DueRequest, DuplicateRequest, Duplicates, EntryKey, EventSink, Expired,
    LogPageRequest, Operation, Page, PageRequest, Recovered, ScheduleList, ScheduleListRequest,
    Store, StoreError, StoreEvent, Ticket,
};

use crate::message::{awaited, log_page, page};

const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Session {
    pub(crate) store: Box<dyn Store>,
    pub(crate) recovered: Recovered,
    pub(crate) events: Receiver<StoreEvent>,
    /// Watermarks in the order in which they were reported.
    pub(crate) watermarks: Vec<Ticket>,
    /// What was refused since [`Session::refused`] was last asked.
    refused: Vec<Operation>,
    resumed: usize,
}

/// An operation in short: `append 1/4/10` for destination 1, rank 4, sequence 10.
pub(crate) fn said(operation: &Operation) -> String {
    let place = |key: EntryKey| format!("{}/{}/{}", key.destination.0, key.rank.0, key.sequence.0);
    match operation {
        Operation::Create(record) => format!("create {}", record.id.0),
        Operation::Remove(destination) => format!("remove {}", destination.0),
        Operation::Append(append) => format!("append {}", place(append.key)),
        Operation::Settle { key, .. } => format!("settle {}", place(*key)),
        Operation::Count { key, .. } => format!("count {}", place(*key)),
        Operation::Move(change) => format!("move {} {}", place(change.from), place(change.to)),
        Operation::Subscribe(record) => format!("subscribe {}", record.id.0),
        Operation::Unsubscribe(id) => format!("unsubscribe {}", id.0),
        Operation::Log(log) => format!("log {}/{}", log.topic.0, log.sequence.0),
        Operation::Pass {
            subscription,
            sequence,
        } => format!("pass {}/{}", subscription.0, sequence.0),
        Operation::Floor {
            subscription,
            floor,
        } => format!("floor {}/{}", subscription.0, floor.0),
        Operation::LogCount {
            subscription,
            sequence,
            ..
        } => format!("count {}/{}", subscription.0, sequence.0),
        Operation::Trim { topic, through } => format!("trim {}/{}", topic.0, through.0),
        Operation::Schedule(record) => format!("schedule {}", record.id.0),
        Operation::Reschedule { id, .. } => format!("reschedule {}", id.0),
        Operation::Unschedule(id) => format!("unschedule {}", id.0),
        Operation::Remember(record) => {
            format!("remember {}/{}", record.destination.0, record.number.0)
        }
    }
}

/// A sink for an engine, and the other end of it.
pub(crate) fn events() -> (EventSink, Receiver<StoreEvent>) {
    let (tx, rx) = channel();
    let sink = move |event| {
        // The test may have ended.
        let _ended = tx.send(event);
    };
    (Arc::new(sink), rx)
}

impl Session {
    pub(crate) fn new(
        (store, recovered): (Box<dyn Store>, Recovered),
        events: Receiver<StoreEvent>,
    ) -> Self {
        Self {
            store,
            recovered,
            events,
            watermarks: Vec::new(),
            refused: Vec::new(),
            resumed: 0,
        }
    }

    pub(crate) fn next_event(&mut self) -> StoreEvent {
        let event = self.events.recv_timeout(PATIENCE).expect("an event");
        match &event {
            StoreEvent::Durable(ticket) => self.watermarks.push(*ticket),
            StoreEvent::Refused(operations) => self.refused.extend_from_slice(operations),
            StoreEvent::Resumed => self.resumed += 1,
            StoreEvent::Page(_)
            | StoreEvent::Expired(_)
            | StoreEvent::Due(_)
            | StoreEvent::Schedule(_)
            | StoreEvent::Duplicates(_)
            | StoreEvent::Failed(_) => {}
        }
        event
    }

    /// What was refused since this was last asked.
    pub(crate) fn refused(&mut self) -> Vec<Operation> {
        std::mem::take(&mut self.refused)
    }

    /// Waits for the store to resume, once.
    pub(crate) fn wait_resumed(&mut self) {
        while self.resumed == 0 {
            if let StoreEvent::Failed(error) = self.next_event() {
                panic!("{error}");
            }
        }
        self.resumed -= 1;
    }

    pub(crate) fn wait(&mut self, ticket: Ticket) {
        while self.watermarks.last().is_none_or(|last| *last < ticket) {
            if let StoreEvent::Failed(error) = self.next_event() {
                panic!("{error}");
            }
        }
    }

    pub(crate) fn commit(&mut self, batch: Batch) -> Ticket {
        let ticket = self.store.submit(batch);
        self.wait(ticket);
        ticket
    }

    pub(crate) fn run(&mut self, operations: impl IntoIterator<Item = Operation>) -> Ticket {
        self.commit(awaited(operations))
    }

    pub(crate) fn read(&mut self, request: PageRequest) -> Page {
        self.store.read_page(request);
        self.next_page()
    }

    pub(crate) fn next_page(&mut self) -> Page {
        loop {
            match self.next_event() {
                StoreEvent::Page(page) => return page,
                StoreEvent::Failed(error) => panic!("{error}"),
                StoreEvent::Durable(_)
                | StoreEvent::Expired(_)
                | StoreEvent::Refused(_)
                | StoreEvent::Due(_)
                | StoreEvent::Schedule(_)
                | StoreEvent::Duplicates(_)
                | StoreEvent::Resumed => {}
            }
        }
    }

    pub(crate) fn read_log(&mut self, request: LogPageRequest) -> Page {
        self.store.read_log(request);
        self.next_page()
    }

    pub(crate) fn due(&mut self, request: DueRequest) -> Due {
        self.store.read_due(request);
        loop {
            match self.next_event() {
                StoreEvent::Due(due) => return due,
                StoreEvent::Failed(error) => panic!("{error}"),
                _ => {}
            }
        }
    }

    pub(crate) fn schedule(&mut self, request: ScheduleListRequest) -> ScheduleList {
        self.store.read_schedule(request);
        loop {
            match self.next_event() {
                StoreEvent::Schedule(list) => return list,
                StoreEvent::Failed(error) => panic!("{error}"),
                _ => {}
            }
        }
    }

    pub(crate) fn duplicates(&mut self, request: DuplicateRequest) -> Duplicates {
        self.store.read_duplicates(request);
        loop {
            match self.next_event() {
                StoreEvent::Duplicates(found) => return found,
                StoreEvent::Failed(error) => panic!("{error}"),
                _ => {}
            }
        }
    }

    /// The positions of everything in a log that a subscription has not acknowledged.
    pub(crate) fn unacknowledged(&mut self, topic: i64, subscription: i64) -> Vec<i64> {
        let page = self.read_log(log_page(topic, subscription));
        assert!(page.exhausted);
        page.rows.iter().map(|row| row.sequence.0).collect()
    }

    /// The positions of everything in a destination and rank.
    pub(crate) fn sequences(&mut self, destination: i64, rank: u8) -> Vec<i64> {
        let page = self.read(page(destination, rank));
        assert!(page.exhausted);
        page.rows.iter().map(|row| row.sequence.0).collect()
    }

    pub(crate) fn expired(&mut self, now_ms: i64, rows_max: usize) -> Expired {
        self.store.read_expired(now_ms, rows_max);
        loop {
            match self.next_event() {
                StoreEvent::Expired(expired) => return expired,
                StoreEvent::Failed(error) => panic!("{error}"),
                StoreEvent::Durable(_)
                | StoreEvent::Page(_)
                | StoreEvent::Refused(_)
                | StoreEvent::Due(_)
                | StoreEvent::Schedule(_)
                | StoreEvent::Duplicates(_)
                | StoreEvent::Resumed => {}
            }
        }
    }

    pub(crate) fn close(self, last: Batch) -> Result<(), StoreError> {
        self.store.close(last)
    }

    /// Lets go of the store as a crash would.
    pub(crate) fn crash(self) {
        drop(self.store);
    }
}
