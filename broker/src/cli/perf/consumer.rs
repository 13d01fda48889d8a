//! A consumer: receives, checks, acknowledges.

use std::time::Instant;

use stompbox_protocol::Command;

use super::control::{Control, Gauge, Phase, Span, as_ns};
use super::inbound::{Inbound, Message};
use super::latency::Latency;
use super::ledger::{Accept, Ledger};
use super::link::{Arrival, Link, LinkError, PATIENCE};
use super::plan::{AckMode, Plan};

/// What a consumer received.
pub(super) struct Received {
    /// Its index.
    pub(super) consumer: usize,
    /// What came, and what was wrong with it.
    pub(super) ledger: Ledger,
    /// What counts for the rate.
    pub(super) span: Span,
    /// From sending to arrival.
    pub(super) delivery: Latency,
    /// Why it ended early.
    pub(super) failure: Option<LinkError>,
}

/// A consumer at work.
pub(super) struct Consumer<'a> {
    plan: &'a Plan,
    control: &'a Control,
    gauge: &'a Gauge,
    accept: Accept,
    warm_ns: u64,
    acks: Vec<u8>,
    /// The only receipt that it asks for while it works has come.
    subscribed: bool,
    pub(super) received: Received,
}

impl<'a> Consumer<'a> {
    pub(super) fn new(
        plan: &'a Plan,
        control: &'a Control,
        gauge: &'a Gauge,
        accept: Accept,
        index: usize,
    ) -> Consumer<'a> {
        Consumer {
            plan,
            control,
            gauge,
            accept,
            warm_ns: 0,
            acks: Vec::new(),
            subscribed: false,
            received: Received {
                consumer: index,
                ledger: Ledger::new(accept),
                span: Span::default(),
                delivery: Latency::new(),
                failure: None,
            },
        }
    }

    /// Subscribes, and returns when the broker has done so. What comes meanwhile counts.
    pub(super) fn subscribe(&mut self, link: &mut Link<'_>) -> Result<(), LinkError> {
        let index = self.plan.destination_index(self.received.consumer);
        let destination = &self.plan.destinations[index];
        let prefetch = self.plan.prefetch.map(|count| count.to_string());
        let mut headers: Vec<(&[u8], &[u8])> = vec![
            (b"id", b"0"),
            (b"destination", destination.as_bytes()),
            (b"ack", self.plan.acks.header().as_bytes()),
        ];
        if let Some(count) = &prefetch {
            // The same, as ActiveMQ and as RabbitMQ call it; unknown headers are ignored.
            headers.push((b"activemq.prefetchSize", count.as_bytes()));
            headers.push((b"prefetch-count", count.as_bytes()));
        }
        link.ask(Command::Subscribe, &headers)?;
        let asked = Instant::now();
        while !self.subscribed {
            if asked.elapsed() > PATIENCE {
                return Err(LinkError::NoAnswer("SUBSCRIBE"));
            }
            link.inlet.read()?;
            self.take_messages(link)?;
        }
        Ok(())
    }

    /// Receives until the load is over.
    pub(super) fn run(mut self, mut link: Link<'_>, start_ns: u64) -> Received {
        self.warm_ns = start_ns.saturating_add(as_ns(self.plan.warmup));
        // A backlog comes as soon as it is subscribed to: then the clock must run.
        let subscribed = match self.subscribed {
            true => Ok(()),
            false => self.subscribe(&mut link),
        };
        let result = subscribed
            .and_then(|()| self.receive(&mut link))
            .and_then(|()| link.disconnect());
        self.received.failure = match result {
            Ok(()) | Err(LinkError::Aborted) => None,
            Err(error) => Some(link.reason(error)),
        };
        self.received
    }

    fn receive(&mut self, link: &mut Link<'_>) -> Result<(), LinkError> {
        loop {
            let arrival = link.inlet.read()?;
            self.take_messages(link)?;
            match self.control.phase() {
                Phase::Running => {}
                // One more tick: what comes now is a duplicate.
                Phase::Finishing if arrival == Arrival::Data => {}
                Phase::Finishing | Phase::Aborted => return Ok(()),
            }
        }
    }

    /// Enters and acknowledges what has been read.
    fn take_messages(&mut self, link: &mut Link<'_>) -> Result<(), LinkError> {
        let now_ns = self.control.now_ns();
        let before = self.received.ledger.tally.delivered;
        let Consumer {
            received,
            acks,
            plan,
            subscribed,
            ..
        } = self;
        let mut last_ack = Vec::new();
        while let Some(frame) = link.inlet.next()? {
            let message = match frame {
                Inbound::Message(message) => message,
                Inbound::Receipt(_) | Inbound::Connected(_) | Inbound::Error(_) => {
                    *subscribed = true;
                    continue;
                }
            };
            match plan.acks {
                AckMode::Auto => {}
                AckMode::Client => {
                    last_ack.clear();
                    last_ack.extend_from_slice(message.ack);
                }
                AckMode::ClientIndividual => append_ack(acks, message.ack),
            }
            received.enter(&message, self.accept, now_ns, self.warm_ns);
        }
        if !last_ack.is_empty() {
            append_ack(acks, &last_ack);
        }
        let count = received.ledger.tally.delivered - before;
        if count > 0 && now_ns >= self.warm_ns {
            received.span.add(count, now_ns);
        }
        self.gauge.set(received.ledger.distinct());
        if !acks.is_empty() {
            link.outlet.write(acks)?;
            acks.clear();
        }
        Ok(())
    }
}

impl Received {
    fn enter(&mut self, message: &Message<'_>, accept: Accept, now_ns: u64, warm_ns: u64) {
        let Some(stamp) = self.ledger.enter(message.body, message.redelivered) else {
            return;
        };
        // A backlog was sent on another clock.
        if accept != Accept::Any && stamp.sent_ns >= warm_ns {
            self.delivery
                .record_ns(now_ns.saturating_sub(stamp.sent_ns));
        }
    }
}

/// Appends an ACK. The id is as the broker escaped it.
fn append_ack(out: &mut Vec<u8>, ack: &[u8]) {
    out.extend_from_slice(b"ACK\nid:");
    out.extend_from_slice(ack);
    out.extend_from_slice(b"\n\n\0");
}
