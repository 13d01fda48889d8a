//! What the console does: that something is not scheduled any more it asks of the core by itself, for messages and durable
//! subscriptions it comes as a connection of its own.

use std::sync::Arc;

use stompbox_broker::core::destination::{DestinationKind, DestinationName};
use stompbox_broker::core::dispatcher::Inquiry;
use stompbox_broker::core::port::{ConnectionId, Deletion, Lasting, Request};

use super::World;
use super::visit::{Errand, Step, Visit};
use crate::catalogue::DEAD_LETTER_QUEUES;
use crate::identity::{Form, Identity};
use crate::trace;

/// Visits at one time.
const VISITS_MAX: usize = 2;

impl World {
    pub(super) fn console_acts(&mut self) {
        let appetite = &self.plan.appetite;
        let (cancels, visits) = (appetite.has_console(), appetite.has_visits());
        match self.random.below(5) {
            0 if cancels => self.console_cancels(),
            _ if visits && self.visits.len() < VISITS_MAX => self.console_visits(),
            _ => self.connect(),
        }
    }

    /// Cancels something that is scheduled, or was, or never has been.
    fn console_cancels(&mut self) {
        trace::count("op: console cancels");
        let any = self.random.below(12);
        let known = self.model.job_name(any);
        let name = known.unwrap_or_else(|| format!("1-{}", 100_000 + any));
        trace::note(|| format!("the console cancels {name}"));
        let dispatcher = &mut self.life().dispatcher;
        let inquiry = dispatcher.inquire(Inquiry::Unschedule(name.clone()));
        let inquiry = inquiry.expect("few are under way");
        self.model.inquired(inquiry, &name);
    }

    fn console_visits(&mut self) {
        let some = self.random.between(1, 3);
        let mut queue = self.some_queue();
        let errand = match self.random.below(10) {
            0..2 => Some(Errand::Purge(some)),
            2 => Some(Errand::Purge(usize::MAX)),
            3..5 => Some(Errand::Delete(some)),
            5..7 => {
                // What is sent to dead letters stands there in an order of its own.
                let places: Vec<_> = self.plan.appetite.places().collect();
                let to = places[self.random.below(places.len())];
                let to = DestinationName::parse(to.as_bytes()).expect("a name");
                Some(Errand::Move(some, Arc::new(to)))
            }
            7..9 => {
                queue = DEAD_LETTER_QUEUES[self.random.below(DEAD_LETTER_QUEUES.len())];
                Some(Errand::Retry(some))
            }
            _ => self.forgetting(),
        };
        let Some(errand) = errand.filter(|_| self.model.is_there(queue)) else {
            return;
        };
        trace::count("op: console visits");
        let id = ConnectionId(self.next_visit);
        self.next_visit += 1;
        trace::note(|| format!("the console comes as {} to {queue}: {errand:?}", id.0));
        let instance: Arc<str> = (&*self.life().settings.instance).into();
        let visit = Visit::new(id, queue, errand, &instance);
        let opening = visit.opening();
        self.visits.push(visit);
        self.forward(id, vec![opening]);
    }

    fn some_queue(&mut self) -> &'static str {
        let known = self.plan.appetite.places();
        let queues = known.filter(|name| name.starts_with("/queue/"));
        let queues: Vec<_> = queues.chain(DEAD_LETTER_QUEUES).collect();
        queues[self.random.below(queues.len())]
    }

    /// Deletes a durable subscription that nobody uses and whose client is not there.
    fn forgetting(&mut self) -> Option<Errand> {
        let durables = self.model.durables();
        let (identity, _) = durables.get(self.random.below(durables.len()))?;
        if self.model.is_used(identity) {
            return None;
        }
        trace::count("console: forgets");
        let client_id = identity.owner.as_deref().map(Box::from);
        Some(Errand::Forget(deletion_of(identity), client_id))
    }

    pub(super) fn some_visit_acts(&mut self) {
        let index = self.random.below(self.visits.len());
        let is_patient = !self.random.percent(5);
        self.visit_acts(index, is_patient);
    }

    pub(super) fn visit_acts(&mut self, index: usize, is_patient: bool) {
        let life = self.life.as_ref().expect("a broker that runs");
        let (model, wire) = (&self.model, &mut self.wire);
        let visit = &mut self.visits[index];
        let step = visit.act(
            &life.dispatcher,
            is_patient,
            self.now.wall_ms,
            |number| model.knows_number(number),
            |message| wire.touch(message),
        );
        let id = visit.connection;
        match step {
            Step::Asks(requests) => self.forward(id, requests),
            Step::IsOver => self.end_visit(index),
        }
    }

    fn end_visit(&mut self, index: usize) {
        let visit = self.visits.swap_remove(index);
        let requests: Vec<Request> = vec![Visit::ending()];
        self.forward(visit.connection, requests);
    }

    pub(super) fn end_visits(&mut self) {
        while !self.visits.is_empty() {
            self.end_visit(0);
        }
    }
}

fn deletion_of(identity: &Identity) -> Deletion {
    let name: Box<str> = identity.name.as_str().into();
    let topic = identity.topic.strip_prefix("/topic/").expect("a topic");
    let topic = DestinationName::new(DestinationKind::Topic, topic);
    Deletion {
        lasting: match identity.form {
            Form::Durable => Lasting::Durable(name),
            Form::SharedDurable => Lasting::SharedDurable(name),
            Form::ById => Lasting::ById(name),
            Form::Shared => Lasting::Shared(name),
        },
        topic: Some(Arc::new(topic)),
    }
}
