//! Runs a load: a thread for each connection, and one that watches them.
//!
//! ```text
//! connect, subscribe | start | send, receive ... all sent | all received, or quiet | finish
//! ```
//!
//! *Invariant.* It ends: producers by count or time, consumers when everything or nothing more has come, and all of it by
//! a time limit, an interruption, or the failure of one connection.

use std::sync::Barrier;
use std::thread::{self, Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

use super::consumer::{Consumer, Received};
use super::content::RunId;
use super::control::{Control, Gauge, Phase};
use super::interrupt::Interrupt;
use super::ledger::Accept;
use super::link::{Link, LinkError};
use super::plan::Plan;
use super::producer::{Producer, Sent};

/// How often the watcher looks. Nothing is measured by it.
const WATCH: Duration = Duration::from_millis(5);

/// How long consumers may take after the producers: a backlog is not worth waiting for longer.
const DRAIN_TIME: Duration = Duration::from_secs(120);

/// How far a load has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Progress {
    /// Time since the start.
    pub(super) elapsed: Duration,
    /// Messages sent.
    pub(super) sent: u64,
    /// Different messages received, by each consumer.
    pub(super) received: u64,
}

/// How a load ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// All was sent, and consumers had all the time they needed.
    Complete,
    /// The consumers had to stop while messages still came.
    OutOfTime,
    /// The user interrupted it, or a connection failed.
    CutShort,
}

/// All that was measured.
pub(super) struct Measurement {
    /// When rates and percentiles begin, on the clock of the run.
    pub(super) since_ns: u64,
    /// What each producer did.
    pub(super) sent: Vec<Sent>,
    /// What each consumer received.
    pub(super) received: Vec<Received>,
    /// How it ended.
    pub(super) ending: Ending,
}

/// What all threads of a load see.
struct Scene<'a> {
    plan: &'a Plan,
    control: &'a Control,
    /// Passed twice: when all are connected, and when the start has been given or called off.
    gate: &'a Barrier,
    run: RunId,
}

/// Runs a load to its end.
pub(super) fn run(
    plan: &Plan,
    run: RunId,
    interrupt: &Interrupt,
    mut report: impl FnMut(Progress),
) -> Measurement {
    let control = Control::new();
    let gate = Barrier::new(plan.producers + plan.consumers + 1);
    let scene = Scene {
        plan,
        control: &control,
        gate: &gate,
        run,
    };
    let sent_gauges = gauges(plan.producers);
    let received_gauges = gauges(plan.consumers);
    thread::scope(|scope| {
        let producers: Vec<_> = (0..)
            .zip(&sent_gauges)
            .map(|(index, gauge)| produce(scope, &scene, gauge, index))
            .collect();
        let consumers: Vec<_> = (0..)
            .zip(&received_gauges)
            .map(|(index, gauge)| consume(scope, &scene, gauge, index))
            .collect();
        gate.wait();
        if control.phase() == Phase::Running {
            control.start();
        }
        gate.wait();
        let watch = Watch {
            plan,
            control: &control,
            interrupt,
            sent: &sent_gauges,
            received: &received_gauges,
        };
        let sending_ended = || producers.iter().all(ScopedJoinHandle::is_finished);
        let ending = watch.until_over(sending_ended, &mut report);
        Measurement {
            since_ns: control.start_ns().unwrap_or(0) + super::control::as_ns(plan.warmup),
            sent: join(producers),
            received: join(consumers),
            ending,
        }
    })
}

fn gauges(count: usize) -> Vec<Gauge> {
    std::iter::repeat_with(Gauge::default).take(count).collect()
}

fn join<T>(threads: Vec<ScopedJoinHandle<'_, T>>) -> Vec<T> {
    threads
        .into_iter()
        .map(|thread| thread.join().expect("invariant: no thread panics"))
        .collect()
}

fn produce<'scope, 'env>(
    scope: &'scope Scope<'scope, 'env>,
    scene: &'env Scene<'env>,
    gauge: &'env Gauge,
    index: usize,
) -> ScopedJoinHandle<'scope, Sent> {
    scope.spawn(move || {
        let control = scene.control;
        let link = at_gate(scene, || Link::connect(&scene.plan.target, control));
        let sent = match (link, control.start_ns()) {
            (Ok(link), Some(start_ns)) => {
                let server = link.server;
                Producer::new(scene.plan, control, gauge, scene.run, index, server)
                    .run(link, start_ns)
            }
            (link, _) => Sent {
                failure: failure(link.err()),
                ..Sent::nothing(index)
            },
        };
        if sent.failure.is_some() {
            control.abort();
        }
        sent
    })
}

fn consume<'scope, 'env>(
    scope: &'scope Scope<'scope, 'env>,
    scene: &'env Scene<'env>,
    gauge: &'env Gauge,
    index: usize,
) -> ScopedJoinHandle<'scope, Received> {
    scope.spawn(move || {
        let control = scene.control;
        let drains = scene.plan.producers == 0;
        let accept = if drains {
            Accept::Any
        } else {
            Accept::Run(scene.run)
        };
        let mut consumer = Consumer::new(scene.plan, control, gauge, accept, index);
        let link = at_gate(scene, || {
            let mut link = Link::connect(&scene.plan.target, control)?;
            if !drains {
                consumer.subscribe(&mut link)?;
            }
            Ok(link)
        });
        let received = match (link, control.start_ns()) {
            (Ok(link), Some(start_ns)) => consumer.run(link, start_ns),
            (link, _) => {
                consumer.received.failure = failure(link.err());
                consumer.received
            }
        };
        if received.failure.is_some() {
            control.abort();
        }
        received
    })
}

/// Prepares, and waits until all others have done so and the start is given or called off.
fn at_gate<'a>(
    scene: &Scene<'_>,
    prepare: impl FnOnce() -> Result<Link<'a>, LinkError>,
) -> Result<Link<'a>, LinkError> {
    let link = prepare();
    if link.is_err() {
        scene.control.abort();
    }
    scene.gate.wait();
    scene.gate.wait();
    link
}

/// That the load was called off is not why.
fn failure(error: Option<LinkError>) -> Option<LinkError> {
    error.filter(|error| !matches!(error, LinkError::Aborted))
}

/// Watches a load.
struct Watch<'a> {
    plan: &'a Plan,
    control: &'a Control,
    interrupt: &'a Interrupt,
    sent: &'a [Gauge],
    received: &'a [Gauge],
}

impl Watch<'_> {
    /// Returns when everything has come, or is not worth waiting for any longer.
    fn until_over(
        &self,
        sending_ended: impl Fn() -> bool,
        report: &mut impl FnMut(Progress),
    ) -> Ending {
        let start = Instant::now();
        let mut moved = (start, 0);
        loop {
            if self.interrupt.is_set() {
                self.control.abort();
            }
            if self.control.phase() == Phase::Aborted {
                return Ending::CutShort;
            }
            let progress = self.progress(start);
            report(progress);
            let ended = sending_ended();
            if !ended || progress.received != moved.1 {
                moved = (Instant::now(), progress.received);
            }
            let complete = self.expected().is_some_and(|all| progress.received >= all);
            if ended && (complete || moved.0.elapsed() >= self.plan.quiet) {
                self.control.finish();
                return Ending::Complete;
            }
            if progress.elapsed > self.time_max() {
                self.control.abort();
                return Ending::OutOfTime;
            }
            thread::sleep(WATCH);
        }
    }

    fn time_max(&self) -> Duration {
        if self.plan.producers == 0 {
            self.plan.time
        } else {
            self.plan.time.saturating_add(DRAIN_TIME)
        }
    }

    /// Deliveries to wait for, once all is sent; [`None`] when nobody knows.
    fn expected(&self) -> Option<u64> {
        if self.plan.producers == 0 {
            return self.plan.messages;
        }
        let deliveries = self.sent.iter().enumerate().map(|(producer, gauge)| {
            let destination = self.plan.destination_index(producer);
            gauge.get() * self.plan.deliveries(destination)
        });
        Some(deliveries.sum())
    }

    fn progress(&self, start: Instant) -> Progress {
        let total = |gauges: &[Gauge]| gauges.iter().map(Gauge::get).sum();
        Progress {
            elapsed: start.elapsed(),
            sent: total(self.sent),
            received: total(self.received),
        }
    }
}
