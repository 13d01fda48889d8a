//! Whatever is dropped, cancelled, cut off or panics, at any time: no message is lost, none is done twice without saying so,
//! and no subscription is left behind.
//!
//! `STOMPBOX_CLIENT_SEEDS` says how many runs are made (20), `STOMPBOX_CLIENT_SEED` repeats one.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use stompbox_client::{AcknowledgeMode, ClientError, Connection, Consumer, Session, Subscription};
use tokio::time::timeout;

use crate::deadline::{eventually, within};
use crate::model::{Faults, Model};

const QUEUE: &str = "/queue/work";

fn seeds() -> RangeInclusive<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    match number("STOMPBOX_CLIENT_SEED") {
        Some(seed) => seed..=seed,
        None => 1..=number("STOMPBOX_CLIENT_SEEDS").unwrap_or(20),
    }
}

/// Choices from a seed.
struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Dice {
        Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }

    /// From nothing to a few round trips.
    fn patience(&mut self) -> Duration {
        Duration::from_micros(self.below(4) * self.below(700))
    }
}

/// What the program knows.
#[derive(Default)]
struct Known {
    /// Confirmed sends: they must be somewhere.
    sent: BTreeSet<String>,
    /// Sends that were given up: they may be somewhere, once.
    given_up: BTreeSet<String>,
    /// What was handed to the program.
    seen: BTreeSet<String>,
}

struct Program {
    connection: Connection,
    known: Arc<Mutex<Known>>,
    dice: Dice,
    name: u64,
    count: u64,
}

impl Program {
    async fn run(mut self) {
        for _ in 0..30 {
            match self.dice.below(6) {
                0 => self.send().await,
                1 => self.listen().await,
                2 => self.panic_with_a_message().await,
                _ => self.receive().await,
            }
        }
    }

    async fn send(&mut self) {
        let producer = self
            .connection
            .session(AcknowledgeMode::Auto)
            .producer(QUEUE);
        for _ in 0..self.dice.below(8) {
            self.count += 1;
            let body = format!("{}-{}", self.name, self.count);
            let patience = self.dice.patience() * 4;
            let outcome = timeout(patience, producer.send(body.as_str())).await;
            let mut known = self.known.lock().unwrap();
            match outcome {
                Ok(sent) => {
                    sent.expect("every loss is made good");
                    known.sent.insert(body);
                }
                Err(_elapsed) => {
                    known.given_up.insert(body);
                }
            }
        }
    }

    fn see(&self, message: &stompbox_client::Message) {
        let body = message.text().unwrap().to_owned();
        self.known.lock().unwrap().seen.insert(body);
    }

    async fn consumer(&mut self, session: &Session) -> Option<Consumer> {
        let prefetch = u32::try_from(self.dice.below(5)).unwrap() + 1;
        let subscription = Subscription::to(QUEUE).prefetch(prefetch);
        let patience = self.dice.patience() * 3;
        let consumer = timeout(patience, session.consumer(subscription))
            .await
            .ok()?;
        Some(consumer.expect("every loss is made good"))
    }

    async fn receive(&mut self) {
        let mode = match self.dice.below(4) {
            0 => AcknowledgeMode::Auto,
            1 => AcknowledgeMode::Client,
            2 => AcknowledgeMode::Transacted,
            _ => AcknowledgeMode::Individual,
        };
        let session = self.connection.session(mode);
        let Some(mut consumer) = self.consumer(&session).await else {
            return;
        };
        for _ in 0..self.dice.below(10) {
            let patience = self.dice.patience();
            let Ok(message) = timeout(patience, consumer.receive()).await else {
                continue;
            };
            let message = message.expect("every loss is made good");
            self.see(&message);
            match (mode, self.dice.below(5)) {
                (AcknowledgeMode::Individual | AcknowledgeMode::Client, choice) => {
                    // Stale after a loss: it comes again.
                    match choice {
                        0 => message.nack().ok(),
                        1 => None,
                        2 => {
                            let patience = self.dice.patience();
                            let confirmed = consumer.ack_confirmed(&message);
                            timeout(patience, confirmed).await.ok().and_then(Result::ok)
                        }
                        _ => message.ack().ok(),
                    };
                }
                (AcknowledgeMode::Transacted, 0) => {
                    let patience = self.dice.patience();
                    timeout(patience, session.rollback()).await.ok();
                }
                (AcknowledgeMode::Transacted, 1..=2) => {
                    let patience = self.dice.patience();
                    if let Ok(Err(error)) = timeout(patience, session.commit()).await {
                        assert!(error.is_transient(), "{error}");
                    }
                }
                _ => {}
            }
        }
        match self.dice.below(3) {
            0 => drop(timeout(self.dice.patience(), consumer.close()).await),
            1 => drop(session),
            _ => drop(consumer),
        }
    }

    async fn listen(&mut self) {
        let session = self.connection.session(AcknowledgeMode::Auto);
        let Some(consumer) = self.consumer(&session).await else {
            return;
        };
        let known = Arc::clone(&self.known);
        let concurrency = usize::try_from(self.dice.below(3)).unwrap() + 1;
        let listener = consumer
            .listener()
            .concurrency(concurrency)
            .start(move |message| {
                let body = message.text().unwrap().to_owned();
                let choice = body.len() % 3;
                known.lock().unwrap().seen.insert(body);
                async move {
                    tokio::task::yield_now().await;
                    match choice {
                        0 if !message.is_redelivered() => Err("not yet"),
                        _ => Ok(()),
                    }
                }
            });
        tokio::time::sleep(self.dice.patience() * 2).await;
        match self.dice.below(2) {
            0 => drop(timeout(self.dice.patience(), listener.stop()).await),
            _ => drop(listener),
        }
    }

    async fn panic_with_a_message(&mut self) {
        let session = self.connection.session(AcknowledgeMode::Individual);
        let Some(mut consumer) = self.consumer(&session).await else {
            return;
        };
        let patience = self.dice.patience() * 2;
        let task = tokio::spawn(async move {
            let message = timeout(patience, consumer.receive()).await;
            std::panic::resume_unwind(Box::new(message.is_ok()));
        });
        assert!(task.await.is_err());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_left_behind_whatever_is_given_up() {
    for seed in seeds() {
        let model = Model::start_with(Faults::one_in(60, seed)).await;
        let connection = within(model.client().connect()).await.unwrap();
        let known = Arc::new(Mutex::new(Known::default()));
        let programs = (1..=3).map(|name| {
            let program = Program {
                connection: connection.clone(),
                known: Arc::clone(&known),
                dice: Dice::new(seed * 10 + name),
                name,
                count: 0,
            };
            tokio::spawn(program.run())
        });
        for program in programs.collect::<Vec<_>>() {
            within(program)
                .await
                .unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        }
        model.calm();
        // Made good once more, if the last cut was a moment ago: what is left of subscriptions is made again by then.
        let farewell = connection
            .session(AcknowledgeMode::Auto)
            .producer("/queue/farewell");
        within(farewell.send("all is well")).await.unwrap();
        // What has ended must have been ended by itself.
        eventually(|| model.subscriptions() == 0).await;
        within(connection.close()).await.unwrap();
        check(seed, &model, &known.lock().unwrap());
    }
}

fn check(seed: u64, model: &Model, known: &Known) {
    let (acknowledged, waiting) = (model.acknowledged(), model.waiting(QUEUE));
    let mut places = BTreeMap::new();
    for body in acknowledged.iter().chain(&waiting) {
        *places.entry(body.clone()).or_insert(0) += 1;
    }
    let doubled: Vec<_> = places.iter().filter(|(_, count)| **count > 1).collect();
    assert!(doubled.is_empty(), "seed {seed}: twice: {doubled:?}");
    let lost: Vec<_> = known
        .sent
        .iter()
        .filter(|body| !places.contains_key(*body))
        .collect();
    assert!(lost.is_empty(), "seed {seed}: lost: {lost:?}");
    let unknown: Vec<_> = places
        .keys()
        .filter(|body| !known.sent.contains(*body) && !known.given_up.contains(*body))
        .collect();
    assert!(unknown.is_empty(), "seed {seed}: never sent: {unknown:?}");
    let unseen: Vec<_> = acknowledged
        .iter()
        .filter(|body| !known.seen.contains(*body))
        .collect();
    assert!(
        unseen.is_empty(),
        "seed {seed}: acknowledged and never handed out: {unseen:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_and_a_producer_do_not_notice_cuts() {
    const MESSAGES: usize = 400;
    for seed in seeds() {
        let model = Model::start_with(Faults::one_in(15, seed)).await;
        let connection = within(model.client().connect()).await.unwrap();
        let session = connection.session(AcknowledgeMode::Auto);
        let seen: Arc<Mutex<BTreeMap<String, Vec<bool>>>> = Arc::default();
        let log = Arc::clone(&seen);
        let consumer = within(session.consumer(Subscription::to(QUEUE).prefetch(10)))
            .await
            .unwrap();
        let listener = consumer.listener().concurrency(2).start(move |message| {
            let body = message.text().unwrap().to_owned();
            let is_redelivered = message.is_redelivered();
            log.lock()
                .unwrap()
                .entry(body)
                .or_default()
                .push(is_redelivered);
            async {}
        });
        let producer = session.producer(QUEUE);
        for number in 0..MESSAGES {
            let sent = within(producer.send(format!("{number}"))).await;
            sent.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        }
        model.calm();
        eventually(|| model.acknowledged().len() == MESSAGES).await;
        within(listener.stop()).await;
        let seen = seen.lock().unwrap();
        assert_eq!(seen.len(), MESSAGES, "seed {seed}");
        for (body, deliveries) in seen.iter() {
            let unmarked = deliveries
                .iter()
                .filter(|is_redelivered| !**is_redelivered)
                .count();
            assert!(unmarked <= 1, "seed {seed}: {body} came {deliveries:?}");
        }
        assert!(model.cuts() > 10, "seed {seed}: {} cuts", model.cuts());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transacted_listener_has_its_effect_once_over_cuts() {
    const MESSAGES: usize = 60;
    for seed in seeds() {
        let model = Model::start().await;
        let connection = within(model.client().connect()).await.unwrap();
        let auto = connection.session(AcknowledgeMode::Auto).producer(QUEUE);
        for number in 0..MESSAGES {
            within(auto.send(format!("{number}"))).await.unwrap();
        }
        model.cut_from_now(Faults::one_in(20, seed));
        let session = connection.session(AcknowledgeMode::Transacted);
        let consumer = within(session.consumer(QUEUE)).await.unwrap();
        let target = session.producer("/queue/done");
        let listener = consumer.listen(move |message| {
            let target = target.clone();
            async move { target.send(message.text()?).await.map(|_| ()) }
        });
        eventually(|| model.acknowledged().len() == MESSAGES).await;
        model.calm();
        within(listener.stop()).await;
        let mut done: Vec<usize> = model
            .waiting("/queue/done")
            .iter()
            .map(|body| body.parse().unwrap())
            .collect();
        done.sort_unstable();
        let expected: Vec<usize> = (0..MESSAGES).collect();
        assert_eq!(done, expected, "seed {seed}");
        let closed: Result<(), ClientError> = within(connection.close()).await;
        closed.unwrap();
    }
}
