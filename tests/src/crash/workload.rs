//! The connections that keep a broker busy until it is killed, each on a thread of its own.
//!
//! Producers send to four queues; consumers acknowledge one by one, cumulatively, within transactions that send on,
//! or refuse. Everything asks for a receipt and nothing waits for it, so that a kill finds all of it under way.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::check::DEAD_LETTERS;
use super::history::{
    ConsumerId, Delivery, DeliveryId, Event, Life, Name, OperationId, ProducerId, Recorder, Scope,
    TransactionId, Verdict,
};
use super::random::Random;
use crate::wire::{Frame, PATIENCE, Version, Wire, WireError};

const WORK: &str = "/queue/crash.work";
const CUMULATIVE: &str = "/queue/crash.cumulative";
const POISON: &str = "/queue/crash.poison";
const INPUT: &str = "/queue/crash.in";
const OUTPUT: &str = "/queue/crash.out";

/// Where producers send.
const SOURCES: [&str; 4] = [WORK, CUMULATIVE, POISON, INPUT];

/// Everything that must be drained in the end.
const DESTINATIONS: [&str; 6] = [WORK, CUMULATIVE, POISON, INPUT, OUTPUT, DEAD_LETTERS];

const PRODUCER_HEADER: &str = "crash-producer";
const NUMBER_HEADER: &str = "crash-number";
const SENTINEL_HEADER: &str = "crash-sentinel";

/// SENDs that a producer has under way.
const SENDS_IN_FLIGHT: usize = 16;
/// The same where nobody consumes.
const FILLS_IN_FLIGHT: usize = 200;
/// COMMITs and ABORTs under way; a connection may have 16 transactions open.
const COMMITS_IN_FLIGHT: usize = 4;
/// Producers pause while more messages than this wait: cycles must not grow.
const BACKLOG_MAX: i64 = 1_000;
/// A consumer that hears nothing for so long settles what it holds.
const IDLE: Duration = Duration::from_millis(5);

/// What all connections of a run share.
#[derive(Debug, Default)]
pub(super) struct Shared {
    pub(super) recorder: Recorder,
    killed: AtomicBool,
    receipt_count: Mutex<u64>,
    receipt_came: Condvar,
    backlog: AtomicI64,
    producers: AtomicU32,
    consumers: AtomicU32,
    operations: AtomicU64,
    transactions: AtomicU64,
    deliveries: AtomicU64,
}

impl Shared {
    /// A broker starts.
    pub(super) fn begin(&self, life: Life) {
        // Nobody knows what a kill took with it. What it left is consumed beside the new.
        self.backlog.store(0, Ordering::SeqCst);
        self.killed.store(false, Ordering::SeqCst);
        self.recorder.record(Event::Started(life));
    }

    /// From here on a connection may break.
    pub(super) fn expect_kill(&self) {
        self.killed.store(true, Ordering::SeqCst);
    }

    /// Receipts so far, over all lives.
    pub(super) fn receipt_count(&self) -> u64 {
        *self
            .receipt_count
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for so many receipts over all lives; false when they do not come.
    pub(super) fn await_receipts(&self, count: u64, patience: Duration) -> bool {
        let seen = self
            .receipt_count
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let (seen, _) = self
            .receipt_came
            .wait_timeout_while(seen, patience, |seen| *seen < count)
            .unwrap_or_else(PoisonError::into_inner);
        *seen >= count
    }

    fn receipted(&self, operation: OperationId) {
        self.recorder.record(Event::Receipted(operation));
        *self
            .receipt_count
            .lock()
            .unwrap_or_else(PoisonError::into_inner) += 1;
        self.receipt_came.notify_all();
    }

    fn ended(&self, worker: &str, result: Result<(), WireError>, transcript: &str) {
        if let Err(error) = result
            && !self.killed.load(Ordering::SeqCst)
        {
            let last: Vec<&str> = transcript.lines().rev().take(6).collect();
            self.recorder
                .record(Event::Broken(format!("{worker}: {error}; last: {last:#?}")));
        }
    }
}

/// What the connections of a life do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shift {
    /// Everything at once.
    Mixed,
    /// Nobody consumes, and one queue grows beyond what the broker keeps in memory.
    Fill,
}

/// Starts the connections of one life.
pub(super) fn start(
    shared: &Arc<Shared>,
    address: SocketAddr,
    life: Life,
    shift: Shift,
    random: &mut Random,
) -> Vec<JoinHandle<()>> {
    let mixed: &[(&'static str, Job)] = &[
        ("producer a", produce),
        ("producer b", produce),
        ("individual a", |link| consume(link, WORK)),
        ("individual b", |link| consume(link, WORK)),
        ("output", |link| consume(link, OUTPUT)),
        ("cumulative", consume_cumulatively),
        ("poison", refuse),
        ("dead letters", |link| consume(link, DEAD_LETTERS)),
        ("transaction", transact),
    ];
    let fillers: &[(&'static str, Job)] = &[("filler a", fill), ("filler b", fill)];
    let crew = match shift {
        Shift::Mixed => mixed,
        Shift::Fill => fillers,
    };
    crew.iter()
        .map(|&(worker, job)| {
            let (shared, random) = (shared.clone(), random.fork());
            thread::spawn(move || {
                let mut link = match Link::open(&shared, address, life, random) {
                    Ok(link) => link,
                    Err(error) => return shared.ended(worker, Err(error), ""),
                };
                let result = job(&mut link);
                shared.ended(worker, result, &link.wire.transcript());
            })
        })
        .collect()
}

/// Takes and acknowledges whatever is left anywhere.
pub(super) fn drain(shared: &Arc<Shared>, address: SocketAddr, life: Life, random: &mut Random) {
    for destination in DESTINATIONS {
        let result = Link::open(shared, address, life, random.fork())
            .and_then(|mut link| drain_one(&mut link, destination));
        shared.ended(&format!("drain of {destination}"), result, "");
    }
}

type Job = fn(&mut Link) -> Result<(), WireError>;

/// One connection that records what it does.
struct Link {
    wire: Wire,
    shared: Arc<Shared>,
    life: Life,
    producer: ProducerId,
    consumer: ConsumerId,
    sent_count: u64,
    unanswered: HashSet<u64>,
    random: Random,
}

/// A delivery that was not settled yet.
struct Held {
    id: DeliveryId,
    name: Name,
    ack: String,
    priority: u8,
    redelivered: bool,
}

impl Link {
    fn open(
        shared: &Arc<Shared>,
        address: SocketAddr,
        life: Life,
        random: Random,
    ) -> Result<Link, WireError> {
        let mut wire = Wire::try_open(address)?;
        wire.try_login(Version::V12, &[])?;
        Ok(Link {
            wire,
            shared: shared.clone(),
            life,
            producer: ProducerId(shared.producers.fetch_add(1, Ordering::Relaxed)),
            consumer: ConsumerId(shared.consumers.fetch_add(1, Ordering::Relaxed)),
            sent_count: 0,
            unanswered: HashSet::new(),
            random,
        })
    }

    fn subscribe(&mut self, destination: &str, ack: &str) -> Result<(), WireError> {
        let headers = [("id", "s"), ("destination", destination), ("ack", ack)];
        let bytes = self.wire.encode("SUBSCRIBE", &headers, b"");
        self.wire.try_send_raw(&bytes)
    }

    /// The next delivery; `None` after a pause. Receipts are recorded on the way.
    fn next(&mut self, patience: Duration) -> Result<Option<Frame>, WireError> {
        let end = Instant::now() + patience;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let frame = match self.wire.try_next(left) {
                Ok(frame) => frame,
                Err(WireError::TimedOut(_)) => return Ok(None),
                Err(error) => return Err(error),
            };
            match frame.command.as_str() {
                "MESSAGE" => return Ok(Some(frame)),
                "RECEIPT" => self.answered(&frame)?,
                _ => return Err(WireError::Malformed(format!("unexpected {frame}"))),
            }
        }
    }

    fn answered(&mut self, frame: &Frame) -> Result<(), WireError> {
        let id = frame.header("receipt-id").and_then(|id| id.parse().ok());
        match id {
            Some(id) if self.unanswered.remove(&id) => {
                self.shared.receipted(OperationId(id));
                Ok(())
            }
            _ => Err(WireError::Malformed(format!("nobody waits for {frame}"))),
        }
    }

    fn hold(&mut self, frame: &Frame, destination: &str) -> Result<Held, WireError> {
        let text = |name: &str| {
            frame
                .header(name)
                .ok_or_else(|| WireError::Malformed(format!("no {name} on {frame}")))
        };
        let number = |name: &str| -> Result<u64, WireError> {
            text(name)?
                .parse()
                .map_err(|_| WireError::Malformed(format!("{name} is no number on {frame}")))
        };
        let name = Name {
            producer: ProducerId(number(PRODUCER_HEADER)? as u32),
            number: number(NUMBER_HEADER)?,
        };
        if !frame.body.starts_with(format!("{name}|").as_bytes()) {
            return Err(WireError::Malformed(format!(
                "not the body of {name}: {frame}"
            )));
        }
        let id = DeliveryId(self.shared.deliveries.fetch_add(1, Ordering::Relaxed));
        let priority = number("priority")? as u8;
        let redelivered = frame.header("redelivered") == Some("true");
        self.shared.recorder.record(Event::Delivered(Delivery {
            id,
            life: self.life,
            consumer: self.consumer,
            destination: destination.into(),
            name,
            priority,
            message_id: text("message-id")?.into(),
            redelivered,
            // 0 is never right: the checker reports a missing or mangled count.
            count: number("JMSXDeliveryCount").map_or(0, |count| count as u32),
        }));
        Ok(Held {
            id,
            name,
            ack: text("ack")?.to_owned(),
            priority,
            redelivered,
        })
    }

    fn new_operation(&mut self) -> OperationId {
        let id = self.shared.operations.fetch_add(1, Ordering::Relaxed);
        self.unanswered.insert(id);
        OperationId(id)
    }

    fn issue(
        &mut self,
        command: &str,
        headers: &[(&str, &str)],
        scope: Scope,
        body: &[u8],
    ) -> Result<(), WireError> {
        let value = match scope {
            Scope::Alone(OperationId(id)) => id.to_string(),
            Scope::In(TransactionId(id)) => format!("t{id}"),
        };
        let mut all = headers.to_vec();
        all.push(match scope {
            Scope::Alone(_) => ("receipt", &value),
            Scope::In(_) => ("transaction", &value),
        });
        let bytes = self.wire.encode(command, &all, body);
        self.wire.try_send_raw(&bytes)
    }

    fn send(&mut self, destination: &str, priority: u8, scope: Scope) -> Result<(), WireError> {
        self.sent_count += 1;
        let name = Name {
            producer: self.producer,
            number: self.sent_count,
        };
        let (life, to) = (self.life, destination.into());
        self.shared.recorder.record(Event::Sent {
            life,
            name,
            destination: to,
            scope,
        });
        self.shared.backlog.fetch_add(1, Ordering::Relaxed);
        let body = format!("{name}|{}", "x".repeat(self.random.below(1_500) as usize));
        let headers = [
            ("destination", destination),
            ("persistent", "true"),
            ("priority", &priority.to_string()),
            (PRODUCER_HEADER, &name.producer.0.to_string()),
            (NUMBER_HEADER, &name.number.to_string()),
        ];
        self.issue("SEND", &headers, scope, body.as_bytes())
    }

    /// Settles the last of these, which in a cumulative subscription settles them all.
    fn settle(
        &mut self,
        verdict: Verdict,
        covered: &[Held],
        scope: Scope,
    ) -> Result<(), WireError> {
        let Some(last) = covered.last() else {
            return Ok(());
        };
        let deliveries = covered.iter().map(|held| held.id).collect();
        self.shared.recorder.record(Event::Settled {
            verdict,
            deliveries,
            scope,
        });
        let id = ("id", last.ack.as_str());
        match verdict {
            Verdict::Consumed => {
                self.shared
                    .backlog
                    .fetch_sub(covered.len() as i64, Ordering::Relaxed);
                self.issue("ACK", &[id], scope, b"")
            }
            // Due at once: the cycles would be over before the policy's delays are.
            Verdict::Failed => self.issue("NACK", &[id, ("x-delay", "0")], scope, b""),
            Verdict::Dead => self.issue("NACK", &[id, ("requeue", "false")], scope, b""),
        }
    }

    fn settle_alone(&mut self, verdict: Verdict, covered: &[Held]) -> Result<(), WireError> {
        let scope = Scope::Alone(self.new_operation());
        self.settle(verdict, covered, scope)
    }

    fn commit(&mut self, transaction: TransactionId) -> Result<(), WireError> {
        let operation = self.new_operation();
        self.shared.recorder.record(Event::Committed {
            transaction,
            operation,
        });
        self.end("COMMIT", transaction, operation)
    }

    fn abort(&mut self, transaction: TransactionId) -> Result<(), WireError> {
        let operation = self.new_operation();
        self.shared.recorder.record(Event::Aborted {
            transaction,
            operation,
        });
        self.end("ABORT", transaction, operation)
    }

    fn end(
        &mut self,
        command: &str,
        transaction: TransactionId,
        operation: OperationId,
    ) -> Result<(), WireError> {
        let name = format!("t{}", transaction.0);
        let headers = [("transaction", name.as_str())];
        self.issue(command, &headers, Scope::Alone(operation), b"")
    }
}

fn produce(link: &mut Link) -> Result<(), WireError> {
    loop {
        while link.unanswered.len() < SENDS_IN_FLIGHT
            && link.shared.backlog.load(Ordering::Relaxed) < BACKLOG_MAX
        {
            let destination = SOURCES[link.random.below(SOURCES.len() as u64) as usize];
            // Priority 0 is the drain's own.
            let priority = 1 + link.random.below(9) as u8;
            let scope = Scope::Alone(link.new_operation());
            link.send(destination, priority, scope)?;
        }
        link.next(IDLE)?;
    }
}

fn fill(link: &mut Link) -> Result<(), WireError> {
    loop {
        while link.unanswered.len() < FILLS_IN_FLIGHT {
            // Few priorities: the lanes of a queue are kept apart, and one of them should be long.
            let priority = 4 + link.random.below(2) as u8;
            let scope = Scope::Alone(link.new_operation());
            link.send(WORK, priority, scope)?;
        }
        link.next(IDLE)?;
    }
}

/// Acknowledges one by one, in no order, always holding some.
fn consume(link: &mut Link, queue: &str) -> Result<(), WireError> {
    link.subscribe(queue, "client-individual")?;
    let mut held = Vec::new();
    loop {
        match link.next(IDLE)? {
            Some(frame) => held.push(link.hold(&frame, queue)?),
            None if held.is_empty() => continue,
            None => {}
        }
        if link.random.below(8) < held.len() as u64 {
            let chosen = link.random.below(held.len() as u64) as usize;
            let one = held.swap_remove(chosen);
            link.settle_alone(Verdict::Consumed, &[one])?;
        }
    }
}

fn consume_cumulatively(link: &mut Link) -> Result<(), WireError> {
    link.subscribe(CUMULATIVE, "client")?;
    let mut held = Vec::new();
    loop {
        match link.next(IDLE)? {
            Some(frame) => held.push(link.hold(&frame, CUMULATIVE)?),
            None if held.is_empty() => continue,
            None => {}
        }
        if link.random.below(12) < held.len() as u64 {
            let covered = 1 + link.random.below(held.len() as u64) as usize;
            let covered: Vec<Held> = held.drain(..covered).collect();
            link.settle_alone(Verdict::Consumed, &covered)?;
        }
    }
}

/// Refuses a third of the messages for good, a third until the limit, and the rest once.
fn refuse(link: &mut Link) -> Result<(), WireError> {
    link.subscribe(POISON, "client-individual")?;
    loop {
        let Some(frame) = link.next(IDLE)? else {
            continue;
        };
        let held = link.hold(&frame, POISON)?;
        let verdict = match held.name.number % 3 {
            0 => Verdict::Dead,
            1 => Verdict::Failed,
            _ if frame.header("redelivered") == Some("true") => Verdict::Consumed,
            _ => Verdict::Failed,
        };
        link.settle_alone(verdict, &[held])?;
    }
}

/// Moves messages from one queue to another, each few in a transaction; some think better of it.
fn transact(link: &mut Link) -> Result<(), WireError> {
    link.subscribe(INPUT, "client-individual")?;
    let mut held: Vec<Held> = Vec::new();
    loop {
        if let Some(frame) = link.next(IDLE)? {
            held.push(link.hold(&frame, INPUT)?);
        }
        let wanted = 1 + link.random.below(6) as usize;
        if held.len() < wanted || link.unanswered.len() >= COMMITS_IN_FLIGHT {
            continue;
        }
        let id = TransactionId(link.shared.transactions.fetch_add(1, Ordering::Relaxed));
        let scope = Scope::In(id);
        link.issue("BEGIN", &[], scope, b"")?;
        // What has failed before comes again only after a while, for which the drain would not wait.
        let may_abort = held.iter().all(|held| !held.redelivered);
        for input in held.drain(..) {
            let priority = input.priority;
            link.settle(Verdict::Consumed, &[input], scope)?;
            link.send(OUTPUT, priority, scope)?;
        }
        if may_abort && link.random.below(6) == 0 {
            link.abort(id)?;
        } else {
            link.commit(id)?;
        }
    }
}

/// Drains a destination: behind everything else stands a sentinel of the lowest priority.
fn drain_one(link: &mut Link, destination: &str) -> Result<(), WireError> {
    let sentinel = link.producer.0.to_string();
    let operation = link.new_operation();
    let headers = [
        ("destination", destination),
        ("persistent", "true"),
        ("priority", "0"),
        (SENTINEL_HEADER, &sentinel),
    ];
    link.issue("SEND", &headers, Scope::Alone(operation), b"")?;
    link.subscribe(destination, "client-individual")?;
    let mut sentinel_came = false;
    let mut heard = Instant::now();
    loop {
        match link.next(IDLE * 10)? {
            Some(frame) if frame.header(SENTINEL_HEADER).is_some() => {
                sentinel_came |= frame.header(SENTINEL_HEADER) == Some(&sentinel);
                let operation = link.new_operation();
                let id = frame.header("ack").unwrap_or_default();
                link.issue("ACK", &[("id", id)], Scope::Alone(operation), b"")?;
            }
            Some(frame) => {
                let held = link.hold(&frame, destination)?;
                link.settle_alone(Verdict::Consumed, &[held])?;
            }
            // Nothing is expected behind the sentinel; that moment was for what should not come.
            None if sentinel_came && link.unanswered.is_empty() => return Ok(()),
            None if heard.elapsed() > PATIENCE => return Err(WireError::TimedOut(PATIENCE)),
            None => continue,
        }
        heard = Instant::now();
    }
}
