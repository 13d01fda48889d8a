//! A producer that follows the clock: a broker that falls behind does not slow it down.
//!
//! Latencies count from when a message should have been sent, so that waiting in the producer counts as well. One thread
//! writes, another reads receipts: a read with a time limit would be late by a timer tick.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::control::{Control, Phase, Span};
use super::inbound::{Inbound, parse_natural};
use super::latency::Latency;
use super::link::{Arrival, Inlet, Link, LinkError, Outlet, PATIENCE};
use super::producer::{Producer, Sent};

/// A sleep ends this late: the rest is waited out awake.
const SLEEP_SLACK: Duration = Duration::from_micros(80);

/// With less time between messages than this, waking for each would take the broker's time.
const AWAKE_FROM: Duration = Duration::from_micros(400);

/// When each message is due.
#[derive(Clone, Copy)]
struct Schedule {
    first_ns: u64,
    interval_ns: f64,
}

impl Schedule {
    fn due_ns(&self, sequence: u64) -> u64 {
        self.first_ns + (sequence as f64 * self.interval_ns) as u64
    }
}

/// What the reading thread found.
struct Receipts {
    confirmed: u64,
    span: Span,
    latency: Latency,
    failure: Option<LinkError>,
}

/// Runs a producer at its part of the rate.
pub(super) fn run(
    mut producer: Producer<'_>,
    mut link: Link<'_>,
    start_ns: u64,
    per_second: f64,
    receipts: bool,
) -> Sent {
    let producers = producer.plan.producers as f64;
    let interval_ns = 1e9 * producers / per_second;
    let turn = producer.sent.producer as f64 / producers;
    let schedule = Schedule {
        // Producers take turns.
        first_ns: start_ns + (interval_ns * turn) as u64,
        interval_ns,
    };
    if !receipts {
        let written = write_on_time(&mut producer, &mut link.outlet, schedule, false);
        return producer.finish(&mut link, written);
    }
    // What the reader is to wait for, once it is known.
    let total = AtomicU64::new(u64::MAX);
    let (control, warm_ns) = (producer.control, producer.warm_ns);
    let Link { outlet, inlet, .. } = &mut link;
    let (written, found) = thread::scope(|scope| {
        let reader = scope.spawn(|| read_receipts(inlet, control, schedule, warm_ns, &total));
        let written = write_on_time(&mut producer, outlet, schedule, true);
        if written.is_err() {
            // The reader need not wait for what will not come.
            control.abort();
        }
        total.store(producer.sent.written, Ordering::Release);
        let found = reader.join().expect("invariant: the reader does not panic");
        (written, found)
    });
    producer.sent.confirmed = found.confirmed;
    producer.sent.span = found.span;
    producer.sent.receipt = found.latency;
    let result = written.and(found.failure.map_or(Ok(()), Err));
    producer.finish(&mut link, result)
}

fn write_on_time(
    producer: &mut Producer<'_>,
    outlet: &mut Outlet<'_>,
    schedule: Schedule,
    receipts: bool,
) -> Result<(), LinkError> {
    while producer.sent.written < producer.end {
        let first = producer.sent.written;
        let due_ns = schedule.due_ns(first);
        if due_ns >= producer.deadline_ns || !wait_until(producer.control, due_ns, schedule) {
            break;
        }
        let now_ns = producer.control.now_ns();
        let mut next = first;
        while next < producer.end && schedule.due_ns(next) <= now_ns && !producer.batch_is_full() {
            producer.append(next, schedule.due_ns(next), None);
            next += 1;
        }
        producer.flush(outlet)?;
        producer.count_written(next - first);
        if !receipts && due_ns >= producer.warm_ns {
            let now_ns = producer.control.now_ns();
            producer.sent.span.add(next - first, now_ns);
        }
    }
    Ok(())
}

/// Returns whether the load still goes on then.
fn wait_until(control: &Control, due_ns: u64, schedule: Schedule) -> bool {
    loop {
        if control.phase() == Phase::Aborted {
            return false;
        }
        let left = Duration::from_nanos(due_ns.saturating_sub(control.now_ns()));
        if left.is_zero() {
            return true;
        }
        let sparse = schedule.interval_ns >= AWAKE_FROM.as_nanos() as f64;
        match left.checked_sub(SLEEP_SLACK) {
            Some(rest) if sparse && rest > Duration::ZERO => {
                thread::sleep(rest.min(super::link::TICK));
            }
            _ if sparse => std::hint::spin_loop(),
            _ => thread::sleep(left.min(super::link::TICK)),
        }
    }
}

fn read_receipts(
    inlet: &mut Inlet,
    control: &Control,
    schedule: Schedule,
    warm_ns: u64,
    total: &AtomicU64,
) -> Receipts {
    let mut found = Receipts {
        confirmed: 0,
        span: Span::default(),
        latency: Latency::new(),
        failure: None,
    };
    let mut quiet_since = Instant::now();
    while found.confirmed < total.load(Ordering::Acquire) {
        match take(inlet, control, schedule, warm_ns, &mut found) {
            Ok(Arrival::Data) => quiet_since = Instant::now(),
            Ok(Arrival::Quiet) if control.phase() == Phase::Aborted => break,
            Ok(Arrival::Quiet) if quiet_since.elapsed() > PATIENCE => {
                found.failure = Some(LinkError::NoAnswer("a receipt"));
                break;
            }
            Ok(Arrival::Quiet) => {}
            Err(error) => {
                found.failure = Some(error);
                control.abort();
                break;
            }
        }
    }
    found
}

fn take(
    inlet: &mut Inlet,
    control: &Control,
    schedule: Schedule,
    warm_ns: u64,
    found: &mut Receipts,
) -> Result<Arrival, LinkError> {
    let arrival = inlet.read()?;
    let now_ns = control.now_ns();
    while let Some(frame) = inlet.next()? {
        let Inbound::Receipt(id) = frame else {
            continue;
        };
        let Some(sequence) = parse_natural(id) else {
            continue;
        };
        found.confirmed += 1;
        let due_ns = schedule.due_ns(sequence);
        if due_ns >= warm_ns {
            found.span.add(1, now_ns);
            found.latency.record_ns(now_ns.saturating_sub(due_ns));
        }
    }
    Ok(arrival)
}
