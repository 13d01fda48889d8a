//! A producer that waits: for its socket, for receipts, or for the receipt of a transaction.

use std::collections::VecDeque;
use std::time::Instant;

use stompbox_protocol::Command;

use super::content::{RunId, SEQUENCE_END, SourceId, Stamp};
use super::control::{Control, Gauge, Phase, Span, as_ns};
use super::inbound::{Inbound, parse_natural};
use super::latency::Latency;
use super::link::{Arrival, Link, LinkError, Outlet, PATIENCE, Server};
use super::plan::{Pace, Plan};
use super::template::{Numbered, Shape, Template, append_transaction};

/// Frames are written together up to here: more saves no system calls worth mentioning.
const BATCH_BYTES: usize = 64 * 1024;

/// What a producer did.
pub(super) struct Sent {
    /// Its index.
    pub(super) producer: usize,
    /// Messages written.
    pub(super) written: u64,
    /// Messages that the broker has answered for.
    pub(super) confirmed: u64,
    /// What counts for the rate: confirmed ones where each is, else written ones.
    pub(super) span: Span,
    /// From sending to the receipt.
    pub(super) receipt: Latency,
    /// Why it ended early.
    pub(super) failure: Option<LinkError>,
}

impl Sent {
    pub(super) fn nothing(producer: usize) -> Sent {
        Sent {
            producer,
            written: 0,
            confirmed: 0,
            span: Span::default(),
            receipt: Latency::new(),
            failure: None,
        }
    }
}

/// A receipt that is waited for.
struct Pending {
    number: u64,
    messages: u64,
    since_ns: u64,
}

/// A producer at work.
pub(super) struct Producer<'a> {
    pub(super) plan: &'a Plan,
    pub(super) control: &'a Control,
    pub(super) gauge: &'a Gauge,
    pub(super) source: SourceId,
    pub(super) end: u64,
    pub(super) deadline_ns: u64,
    pub(super) warm_ns: u64,
    pub(super) sent: Sent,
    template: Template,
    batch: Vec<u8>,
    pending: VecDeque<Pending>,
}

impl<'a> Producer<'a> {
    pub(super) fn new(
        plan: &'a Plan,
        control: &'a Control,
        gauge: &'a Gauge,
        run: RunId,
        index: usize,
        server: Server,
    ) -> Producer<'a> {
        let implied = server == Server::RabbitMq && !plan.persistent;
        let shape = Shape {
            destination: &plan.destinations[plan.destination_index(index)],
            persistent: (!implied).then_some(plan.persistent),
            body_bytes: plan.body_bytes,
            headers: &plan.headers,
        };
        let numbered = match plan.pace {
            Pace::Stream
            | Pace::Rate {
                receipts: false, ..
            } => Numbered::Not,
            Pace::Window(_) | Pace::Rate { receipts: true, .. } => Numbered::Receipt,
            Pace::Transaction(_) => Numbered::Transaction,
        };
        Producer {
            plan,
            control,
            gauge,
            source: SourceId {
                run,
                producer: u32::try_from(index).unwrap_or(u32::MAX),
            },
            end: plan.share(index).unwrap_or(SEQUENCE_END).min(SEQUENCE_END),
            deadline_ns: u64::MAX,
            warm_ns: 0,
            sent: Sent::nothing(index),
            template: Template::new(&shape, numbered),
            batch: Vec::with_capacity(BATCH_BYTES + plan.body_bytes),
            pending: VecDeque::new(),
        }
    }

    /// Sends until its share is sent or its time is over, and waits for the receipts.
    pub(super) fn run(mut self, mut link: Link<'_>, start_ns: u64) -> Sent {
        self.deadline_ns = start_ns.saturating_add(as_ns(self.plan.time));
        self.warm_ns = start_ns.saturating_add(as_ns(self.plan.warmup));
        let result = match self.plan.pace {
            Pace::Stream => self.stream(&mut link),
            Pace::Window(window) => self.windowed(&mut link, window.get()),
            Pace::Transaction(size) => self.transactional(&mut link, size.get()),
            Pace::Rate {
                per_second,
                receipts,
            } => return super::open_loop::run(self, link, start_ns, per_second, receipts),
        };
        self.finish(&mut link, result)
    }

    /// Ends the session; its receipt answers for all that had none of their own.
    pub(super) fn finish(mut self, link: &mut Link<'_>, result: Result<(), LinkError>) -> Sent {
        let all_answered = result.is_ok() && self.pending.is_empty();
        self.sent.failure = match result.and_then(|()| link.disconnect()) {
            Ok(()) => {
                if all_answered {
                    self.sent.confirmed = self.sent.written;
                }
                None
            }
            Err(LinkError::Aborted) => None,
            Err(error) => Some(link.reason(error)),
        };
        self.sent
    }

    fn stream(&mut self, link: &mut Link<'_>) -> Result<(), LinkError> {
        while let Some(now_ns) = self.go_on() {
            let count = self.fill(u64::MAX, now_ns, None);
            self.flush(&mut link.outlet)?;
            self.count_written(count);
            if now_ns >= self.warm_ns {
                self.sent.span.add(count, self.control.now_ns());
            }
        }
        Ok(())
    }

    fn windowed(&mut self, link: &mut Link<'_>, window: u64) -> Result<(), LinkError> {
        while let Some(now_ns) = self.go_on() {
            let room = window - self.pending.len() as u64;
            if room == 0 {
                self.take_receipts(link)?;
                continue;
            }
            let first = self.sent.written;
            let count = self.fill(room, now_ns, None);
            let pending = (first..first + count).map(|number| Pending {
                number,
                messages: 1,
                since_ns: now_ns,
            });
            self.pending.extend(pending);
            self.flush(&mut link.outlet)?;
            self.count_written(count);
        }
        self.await_receipts(link)
    }

    fn transactional(&mut self, link: &mut Link<'_>, size: u64) -> Result<(), LinkError> {
        let mut number = 0;
        while let Some(now_ns) = self.go_on() {
            append_transaction(&mut self.batch, Command::Begin, number, false);
            let mut messages = 0;
            while messages < size {
                let count = self.fill(size - messages, now_ns, Some(number));
                if count == 0 {
                    break;
                }
                self.flush(&mut link.outlet)?;
                self.count_written(count);
                messages += count;
            }
            append_transaction(&mut self.batch, Command::Commit, number, true);
            self.pending.push_back(Pending {
                number,
                messages,
                since_ns: self.control.now_ns(),
            });
            self.flush(&mut link.outlet)?;
            self.await_receipts(link)?;
            number += 1;
        }
        Ok(())
    }

    /// The time now, while there is something to send and time to send it.
    fn go_on(&self) -> Option<u64> {
        let now_ns = self.control.now_ns();
        let goes_on = self.sent.written < self.end
            && now_ns < self.deadline_ns
            && self.control.phase() == Phase::Running;
        goes_on.then_some(now_ns)
    }

    /// Appends frames to the batch until it is full, at most `room`. Returns how many.
    fn fill(&mut self, room: u64, now_ns: u64, transaction: Option<u64>) -> u64 {
        let first = self.sent.written;
        let end = self.end.min(first.saturating_add(room));
        let mut sequence = first;
        while sequence < end && (sequence == first || self.batch.len() < BATCH_BYTES) {
            self.append(sequence, now_ns, transaction);
            sequence += 1;
        }
        sequence - first
    }

    /// Appends the frame of one message to the batch.
    pub(super) fn append(&mut self, sequence: u64, sent_ns: u64, transaction: Option<u64>) {
        let stamp = Stamp {
            source: self.source,
            sequence,
            sent_ns,
        };
        let number = transaction.unwrap_or(sequence);
        self.template.append(&mut self.batch, number, &stamp);
    }

    pub(super) fn batch_is_full(&self) -> bool {
        self.batch.len() + self.template.frame_bytes() > BATCH_BYTES
    }

    pub(super) fn flush(&mut self, outlet: &mut Outlet<'_>) -> Result<(), LinkError> {
        let written = outlet.write(&self.batch);
        self.batch.clear();
        written
    }

    pub(super) fn count_written(&mut self, count: u64) {
        self.sent.written += count;
        self.gauge.set(self.sent.written);
    }

    /// Waits for a receipt, and takes those that came with it.
    fn take_receipts(&mut self, link: &mut Link<'_>) -> Result<Arrival, LinkError> {
        let arrival = link.inlet.read()?;
        let now_ns = self.control.now_ns();
        while let Some(frame) = link.inlet.next()? {
            let Inbound::Receipt(id) = frame else {
                continue;
            };
            if let Some(number) = parse_natural(id) {
                self.take_receipt(number, now_ns);
            }
        }
        Ok(arrival)
    }

    fn take_receipt(&mut self, number: u64, now_ns: u64) {
        // Receipts come in the order in which they were asked for, from most brokers.
        let found = match self.pending.front() {
            Some(first) if first.number == number => self.pending.pop_front(),
            _ => match self.pending.binary_search_by_key(&number, |p| p.number) {
                Ok(index) => self.pending.remove(index),
                Err(_) => None,
            },
        };
        let Some(pending) = found else {
            return;
        };
        self.sent.confirmed += pending.messages;
        if pending.since_ns >= self.warm_ns {
            self.sent.span.add(pending.messages, now_ns);
            self.sent.receipt.record_ns(now_ns - pending.since_ns);
        }
    }

    /// Waits for all receipts, as long as they come.
    fn await_receipts(&mut self, link: &mut Link<'_>) -> Result<(), LinkError> {
        let mut quiet_since = Instant::now();
        while !self.pending.is_empty() {
            if self.take_receipts(link)? == Arrival::Data {
                quiet_since = Instant::now();
            } else if self.control.phase() == Phase::Aborted {
                return Err(LinkError::Aborted);
            } else if quiet_since.elapsed() > PATIENCE {
                return Err(LinkError::NoAnswer("a receipt"));
            }
        }
        Ok(())
    }
}
