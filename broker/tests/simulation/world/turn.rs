//! Turns of the dispatcher, and what the disk does meanwhile.

use std::sync::PoisonError;

use stompbox_broker::core::dispatcher::{Dispatcher, Read, Turn};
use stompbox_broker::core::port::{ConnectionId, Reply, Request};
use stompbox_store::{Store, StoreEvent};

use super::World;
use crate::trace;

impl World {
    pub(super) fn some_turn(&mut self) {
        let events = if self.random.percent(70) {
            usize::MAX
        } else {
            self.random.below(3)
        };
        let requests = self.random.below(6);
        self.turn(events, requests);
    }

    /// One turn of the dispatcher, with at most so much of what waits for it.
    pub(super) fn turn(&mut self, events_max: usize, requests_max: usize) {
        trace::count("turn");
        let now = self.now;
        trace::note(|| format!("turn at {:?}", now.uptime));
        self.model.begin_turn(now);
        let mut events = Vec::new();
        {
            let mut waiting = self.events.lock().unwrap_or_else(PoisonError::into_inner);
            let count = events_max.min(waiting.len());
            events.extend(waiting.drain(..count));
        }
        let life = self.life.as_mut().expect("a broker that runs");
        let mut replies = Vec::new();
        for mut event in events {
            // Whoever waited for one of these goes on, and may be refused.
            let (window, list) = match &event {
                StoreEvent::Duplicates(found) => (Some(found.id), None),
                StoreEvent::Schedule(list) => (None, Some(list.clone())),
                _ => (None, None),
            };
            match &event {
                StoreEvent::Durable(ticket) => self.model.durable(ticket.0),
                StoreEvent::Page(page) => self.model.page_came(page.id),
                StoreEvent::Due(due) => self.model.due_came(due),
                StoreEvent::Refused(operations) => self.model.refusal_came(operations),
                StoreEvent::Resumed => self.model.resumed(),
                _ => {}
            }
            self.plant.spoil_event(&mut event, &mut self.random);
            trace::note(|| describe(&event));
            life.dispatcher.store_event(event, now);
            if window.is_some() || list.is_some() {
                take_replies(&mut life.dispatcher, &mut replies);
                self.model.learn_of_refusals(&replies);
            }
            if let Some(window) = window {
                self.model.window_came(window);
            }
            if let Some(list) = list {
                self.model.schedule_came(&list);
            }
        }
        for _ in 0..requests_max {
            let Some((id, mut requests)) = life.inbox.pop_front() else {
                break;
            };
            let is_last = |request: &Request| matches!(request, Request::Closed { .. });
            if requests.iter().any(is_last) && self.model.may_yet_refuse(id) {
                // What was refused would not be seen.
                life.inbox.push_front((id, requests));
                break;
            }
            let last: Vec<Request> = requests
                .extract_if(.., |request| is_last(request))
                .collect();
            for mut requests in [requests, last] {
                let told = requests.clone();
                self.plant
                    .spoil_requests(id, &mut requests, &mut self.random);
                life.dispatcher.handle(id, requests, now);
                // That a queue was too full is not foretold.
                take_replies(&mut life.dispatcher, &mut replies);
                self.model.learn_of_refusals(&replies);
                self.model.requests(id, &told);
            }
        }
        self.model.handed_out_early(&replies);
        let Turn { batch, reads } = life.dispatcher.finish_turn(now);
        take_replies(&mut life.dispatcher, &mut replies);
        replies.retain(|(id, _)| self.model.knows(*id));
        self.plant.spoil_told(&mut replies, &mut self.random);
        let expected = batch.as_ref().map(|(_, batch)| batch);
        self.model.end_turn(expected, &replies);
        let findings = life.dispatcher.drain_findings();
        for (inquiry, finding) in findings {
            self.model.finding_came(inquiry, &finding);
        }
        if let Some((ticket, mut batch)) = batch {
            trace::count("batch");
            self.plant.spoil_batch(&mut batch, &mut self.random);
            assert_eq!(life.store.submit(batch), ticket, "tickets are dense");
        }
        for read in reads {
            trace::note(|| format!("  read {read:?}"));
            match read {
                Read::Page(request) => {
                    trace::count("page asked for");
                    life.store.read_page(request);
                }
                Read::Log(request) => {
                    trace::count("log asked for");
                    self.model.log_asked_for(&request);
                    life.store.read_log(request);
                }
                Read::Due(mut request) => {
                    trace::count("due asked for");
                    self.model.due_asked_for(&request);
                    self.plant.spoil_due(&mut request, &mut self.random);
                    life.store.read_due(request);
                }
                Read::Schedule(request) => {
                    self.model.schedule_asked_for(&request);
                    life.store.read_schedule(request);
                }
                Read::Duplicates(request) => {
                    trace::count("ids asked for");
                    self.model.window_asked_for(&request);
                    life.store.read_duplicates(request);
                }
                Read::Expired { now_ms, rows_max } => {
                    trace::count("expired asked for");
                    life.store.read_expired(now_ms, rows_max);
                }
            }
        }
        self.plant.spoil_replies(&mut replies, &mut self.random);
        for (id, replies) in replies {
            if let Some(connection) = self.connections.iter_mut().find(|own| own.id == id) {
                connection.inbox.push_back(replies);
            } else if let Some(visit) = self.visits.iter_mut().find(|own| own.connection == id) {
                visit.arrived.extend(replies);
            }
        }
    }

    pub(super) fn drive_disk(&mut self) {
        match self.random.below(4) {
            0 | 1 => {
                let most = if self.random.percent(50) {
                    usize::MAX
                } else {
                    self.random.between(1, 3)
                };
                self.commit(most);
            }
            2 => {
                let index = self.random.below(self.disk.pending_reads());
                self.disk.begin_read(index);
            }
            _ => {
                let index = self.random.below(self.disk.pending_reads());
                if self.disk.finish_read(index) {
                    trace::count("read answered");
                }
            }
        }
    }

    pub(super) fn commit(&mut self, batches_max: usize) {
        let known = self.events.lock().map_or(0, |events| events.len());
        let count = self.disk.commit(batches_max);
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        for event in events.iter().skip(known) {
            if let StoreEvent::Refused(operations) = event {
                self.model.not_carried_out(operations);
            }
        }
        drop(events);
        if count > 0 {
            trace::count("commit");
            self.model.committed += count as u64;
            trace::note(|| format!("committed up to {}", self.model.committed));
        }
    }
}

fn take_replies(dispatcher: &mut Dispatcher, replies: &mut Vec<(ConnectionId, Vec<Reply>)>) {
    dispatcher.drain_replies(
        |id, more| match replies.iter_mut().find(|(own, _)| *own == id) {
            Some((_, known)) => known.extend(more),
            None => replies.push((id, more)),
        },
    );
}

fn describe(event: &StoreEvent) -> String {
    match event {
        StoreEvent::Page(page) => {
            let rows: Vec<_> = page.rows.iter().map(|row| row.sequence.counter()).collect();
            let exhausted = page.exhausted;
            format!("  page {:?}: {rows:?}, exhausted {exhausted}", page.id)
        }
        event => format!("  event {event:?}"),
    }
}
