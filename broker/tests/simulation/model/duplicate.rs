//! Repeats: which destination knows which id, and who waits until that has been read.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use stompbox_broker::core::message::Publication;
use stompbox_broker::core::port::{ConnectionId, ReceiptId, Request};
use stompbox_store::{DestinationId, DuplicateRecord, DuplicateRequest, PageId};

use super::entry::{Facts, message_of};
use super::{Model, Promise};
use crate::trace;
use crate::wire::MessageId;

/// What a destination knows.
#[derive(Debug, Default)]
pub(super) struct Window {
    /// Whether the broker has it in memory.
    is_there: bool,
    /// What came first with each id, and the ticket that brought it.
    known: BTreeMap<Vec<u8>, (MessageId, u64)>,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Windows {
    by_name: BTreeMap<Rc<str>, Window>,
    reading: BTreeMap<PageId, DestinationId>,
    /// Who waits, in order.
    waiting: Vec<ConnectionId>,
    /// What the store has still to be told in this turn.
    new: BTreeSet<(Rc<str>, Vec<u8>)>,
}

fn id_of(publication: &Publication) -> Option<Vec<u8>> {
    let id = publication.duplicate_id.as_ref()?;
    Some(id.as_bytes().to_vec())
}

fn is_temporary(name: &str) -> bool {
    name.starts_with("/remote-temp-")
}

impl Model {
    /// The names that a message is sent to and that are there.
    pub(super) fn places(&self, publication: &Publication) -> Vec<Rc<str>> {
        let names = publication.target.names().iter();
        let there = names.filter(|name| !name.is_temporary() || self.is_there(name.wire()));
        there.map(|name| name.wire().into()).collect()
    }

    /// Those of them that do not know its id, which are read by now.
    pub(super) fn fresh_places(&self, publication: &Publication) -> Vec<Rc<str>> {
        let id = id_of(publication);
        let mut places = self.places(publication);
        places.retain(|place| {
            let window = self.windows.by_name.get(place);
            let is_known = |id: &Vec<u8>| window.is_some_and(|own| own.known.contains_key(id));
            !id.as_ref().is_some_and(is_known)
        });
        places
    }

    /// Whether what a request brings can be told from repeats; otherwise it waits, and what its connection asks for after it.
    fn can_judge(&mut self, sends: &[&Publication]) -> bool {
        let with_id = sends.iter().filter(|send| send.duplicate_id.is_some());
        let mut names: Vec<Rc<str>> = Vec::new();
        for send in with_id {
            self.make_named_queues(send);
            names.extend(self.places(send));
        }
        for name in &names {
            let window = self.windows.by_name.entry(Rc::clone(name)).or_default();
            window.is_there |= is_temporary(name);
        }
        names.iter().all(|name| self.windows.by_name[name].is_there)
    }

    /// Acts on one request, or puts it off.
    pub(super) fn act_or_wait(&mut self, connection: ConnectionId, request: &Request) {
        if let Request::Send { publication, .. } = request {
            self.note_producer(connection, publication);
        }
        let can_judge = match request {
            Request::Send { publication, .. } => self.can_judge(&[publication]),
            Request::Commit { sends, .. } => self.can_judge(&sends.iter().collect::<Vec<_>>()),
            _ => true,
        };
        if self.looks_first(connection, request) {
            return self.peer(connection).deferred.push_back(request.clone());
        }
        if can_judge {
            return self.act(connection, request);
        }
        trace::count("duplicate: waits for what is known");
        if !self.windows.waiting.contains(&connection) {
            self.windows.waiting.push(connection);
        }
        let peer = self.peer(connection);
        peer.deferred.push_back(request.clone());
    }

    /// What a destination knows is asked for.
    pub(crate) fn window_asked_for(&mut self, request: &DuplicateRequest) {
        self.windows.reading.insert(request.id, request.destination);
    }

    /// It has come: who waits goes on.
    pub(crate) fn window_came(&mut self, id: PageId) {
        let destination = self.windows.reading.remove(&id).expect("it was asked for");
        let name = match self.topic_ids.get(&destination) {
            Some(topic) => Rc::clone(topic),
            None => Rc::clone(&self.queues[self.by_id[&destination]].name),
        };
        self.windows.by_name.entry(name).or_default().is_there = true;
        for connection in std::mem::take(&mut self.windows.waiting) {
            self.go_on(connection);
        }
    }

    pub(super) fn go_on(&mut self, connection: ConnectionId) {
        let Some(peer) = self.peers.get_mut(&connection) else {
            return;
        };
        let mut deferred = std::mem::take(&mut peer.deferred);
        while let Some(request) = deferred.pop_front() {
            self.perform(connection, &request);
            let Some(peer) = self.peers.get_mut(&connection) else {
                return;
            };
            if !peer.deferred.is_empty() {
                peer.deferred.append(&mut deferred);
                return;
            }
        }
    }

    /// Takes those destinations out that know the id already. Answers the receipt of what all of them know or pass on to
    /// nobody.
    pub(super) fn sift(
        &mut self,
        publication: &Publication,
        facts: &Facts,
    ) -> Result<Vec<Rc<str>>, Promise> {
        let places = self.places(publication);
        let Some(id) = id_of(publication) else {
            return Ok(places);
        };
        let mut fresh = Vec::new();
        let mut repeated: Option<(MessageId, u64)> = None;
        for place in places {
            match self.windows.by_name[&place].known.get(&id).copied() {
                Some(first) if repeated.is_none_or(|other| other.1 <= first.1) => {
                    repeated = Some(first);
                }
                Some(_) => {}
                None => fresh.push(place),
            }
        }
        let is_now = publication.later.is_none();
        let goes_nowhere = fresh.is_empty() || is_now && self.forward(&fresh, facts).is_empty();
        match repeated {
            Some((first, ticket)) if goes_nowhere => {
                trace::count("duplicate: not taken");
                if !fresh.is_empty() {
                    trace::count("duplicate: known to some, taken by no route of the others");
                }
                Err(Promise::Repeat { ticket, first })
            }
            None if goes_nowhere => {
                trace::count("duplicate: taken by no route");
                Err(Promise::Unrouted)
            }
            _ => Ok(fresh),
        }
    }

    /// These know the id of a message from now on.
    pub(super) fn remember_id(&mut self, publication: &Publication, places: &[Rc<str>]) {
        let Some(id) = id_of(publication) else {
            return;
        };
        let message = message_of(publication.message.body());
        for place in places {
            let window = self.windows.by_name.entry(Rc::clone(place)).or_default();
            let before = window.known.insert(id.clone(), (message, self.ticket));
            assert_eq!(before, None, "{place} knew the id of {message:?}");
            if !is_temporary(place) {
                self.windows.new.insert((Rc::clone(place), id.clone()));
            }
        }
    }

    /// The store is told of an id.
    pub(super) fn remembered(&mut self, record: &DuplicateRecord) {
        trace::count("store: duplicate id");
        let name = match self.topic_ids.get(&record.destination) {
            Some(topic) => Rc::clone(topic),
            None => Rc::clone(&self.queues[self.by_id[&record.destination]].name),
        };
        let new = (name, record.id.to_vec());
        assert!(self.windows.new.remove(&new), "nobody sent {record:?}");
        let (message, _) = self.windows.by_name[&new.0].known[&new.1];
        self.is_numbered((message, 0), record.number);
    }

    pub(super) fn end_turn_of_duplicates(&self) {
        let new = &self.windows.new;
        assert!(new.is_empty(), "ids that are not stored: {new:?}");
    }

    /// A receipt that says that something was known before.
    pub(super) fn check_repeat(
        &mut self,
        connection: ConnectionId,
        receipt: &ReceiptId,
        original: stompbox_store::MessageNumber,
    ) {
        let owed = self.owed.remove(&(connection, receipt.0.to_vec()));
        let Some(Promise::Repeat { ticket, first }) = owed else {
            panic!("nothing was repeated: {connection:?} {receipt:?} {owed:?}");
        };
        assert!(
            ticket <= self.committed,
            "{receipt:?} repeats what is not durable"
        );
        self.is_numbered((first, 0), original);
    }

    /// The broker is gone, and what waited in it.
    pub(crate) fn broker_is_gone(&mut self) {
        self.peers.clear();
    }

    /// What was committed is known.
    pub(super) fn restart_duplicates(&mut self) {
        let committed = self.committed;
        self.windows.reading.clear();
        self.windows.waiting.clear();
        self.windows.new.clear();
        self.windows.by_name.retain(|name, _| !is_temporary(name));
        for window in self.windows.by_name.values_mut() {
            window.is_there = false;
            window.known.retain(|_, (_, ticket)| *ticket <= committed);
            window
                .known
                .values_mut()
                .for_each(|(_, ticket)| *ticket = 0);
        }
    }
}
