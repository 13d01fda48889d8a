//! Whatever connections do, who has heard every advisory knows who consumes and who produces.

use std::collections::BTreeSet;

use proptest::prelude::*;
use stompbox_protocol::canonical;

use super::*;
use crate::core::port::Lasting;

const LISTENER: u64 = 1;
const CONNECTIONS: u64 = 4;

const SOURCES: [&str; 7] = [
    "/queue/a",
    "/topic/t",
    "/queue/a,/topic/t,/queue/b",
    "/queue/>",
    "/queue/b,/queue/>",
    "/queue/b.>,/topic/u",
    "/topic/t,/topic/u",
];

const TARGETS: [&str; 6] = [
    "/queue/a",
    "/queue/b.c",
    "/topic/t",
    "/queue/a,/queue/b,/topic/u",
    "/topic/u",
    "/remote-temp-queue/own2",
];

#[derive(Debug, Clone)]
enum Step {
    Open(u64),
    Subscribe(u64, usize),
    Durable(u64),
    Unsubscribe(u64, usize),
    Send(u64, usize),
    MakeTemporary(u64),
    Disconnect(u64),
    Lose(u64),
    Turn,
}

fn step() -> impl Strategy<Value = Step> {
    let who = 2..2 + CONNECTIONS;
    prop_oneof![
        3 => who.clone().prop_map(Step::Open),
        5 => (who.clone(), 0..SOURCES.len()).prop_map(|(who, what)| Step::Subscribe(who, what)),
        2 => who.clone().prop_map(Step::Durable),
        3 => (who.clone(), 0..8_usize).prop_map(|(who, which)| Step::Unsubscribe(who, which)),
        5 => (who.clone(), 0..TARGETS.len()).prop_map(|(who, what)| Step::Send(who, what)),
        1 => who.clone().prop_map(Step::MakeTemporary),
        1 => who.clone().prop_map(Step::Disconnect),
        2 => who.prop_map(Step::Lose),
        3 => Just(Step::Turn),
    ]
}

/// What the listener knows.
#[derive(Debug, Default)]
struct Known {
    /// Consumers by name, and what they consume from.
    consumers: BTreeSet<(String, String)>,
    /// Producers by destination.
    producers: HashMap<String, u64>,
    connections: i64,
}

impl Known {
    fn consumers_of(&self, destination: &str) -> usize {
        let of = |(_, own): &&(String, String)| own == destination;
        self.consumers.iter().filter(of).count()
    }

    fn hear(&mut self, topic: &str, fact: impl Fn(&str) -> String) {
        let (is_start, about) = (fact("event") == "start", fact("originalDestination"));
        if topic == "Connection" {
            self.connections += if is_start { 1 } else { -1 };
        } else if topic.starts_with("Consumer.") {
            let consumer = (fact("consumerId"), about.clone());
            let is_news = if is_start {
                self.consumers.insert(consumer)
            } else {
                self.consumers.remove(&consumer)
            };
            assert!(is_news, "told twice: {topic} {about}");
            assert_eq!(
                fact("consumerCount"),
                self.consumers_of(&about).to_string(),
                "{about}"
            );
        } else if topic.starts_with("Producer.") {
            let count = self.producers.entry(about.clone()).or_default();
            *count = if is_start { *count + 1 } else { *count - 1 };
            assert_eq!(fact("producerCount"), count.to_string(), "{about}");
        }
    }
}

/// Connections, what is subscribed to, and what the listener knows of it.
struct Scene {
    bench: Bench,
    known: Known,
    open: BTreeSet<u64>,
    /// Those that have made a temporary queue.
    made: BTreeSet<u64>,
    subscriptions: Vec<(u64, u32)>,
    last_subscription: u32,
}

impl Scene {
    fn new() -> Self {
        let mut bench = Bench::new();
        bench.open(LISTENER);
        let all = "/topic/ActiveMQ.Advisory.>";
        bench.subscribe(LISTENER, 0, all, AckMode::Auto, 100_000);
        bench.rest();
        bench.heard();
        Self {
            bench,
            known: Known::default(),
            open: BTreeSet::new(),
            made: BTreeSet::new(),
            subscriptions: Vec::new(),
            last_subscription: 0,
        }
    }

    fn subscribe(&mut self, who: u64, to: &str, lasting: Option<Lasting>) {
        self.last_subscription += 1;
        let number = self.last_subscription;
        self.subscriptions.push((who, number));
        let mode = AckMode::ClientIndividual;
        self.bench
            .subscribe_with(who, number, to, mode, 2, |wish| wish.lasting = lasting);
    }

    fn step(&mut self, step: &Step) {
        let bench = &mut self.bench;
        match *step {
            Step::Open(who) => {
                if self.open.insert(who) {
                    bench.open_as(
                        who,
                        Version::V1_2,
                        Some(if who % 2 == 0 { "x" } else { "y" }),
                    );
                }
            }
            Step::Subscribe(who, what) => self.subscribe(who, SOURCES[what], None),
            Step::Durable(who) => {
                self.subscribe(who, "/topic/t", Some(Lasting::Durable("d".into())));
            }
            Step::Unsubscribe(who, which) => {
                let own = |(_, (owner, _)): &(usize, &(u64, u32))| *owner == who;
                let found = self.subscriptions.iter().enumerate().filter(own).nth(which);
                if let Some((index, _)) = found {
                    let (_, number) = self.subscriptions.remove(index);
                    let request = Request::Unsubscribe {
                        subscription: Some(SubscriptionHandle(number)),
                        deletes: None,
                        given: DeliveryCounter(0),
                        receipt: None,
                    };
                    bench.ask(who, request);
                }
            }
            Step::Send(who, what) => bench.send(who, TARGETS[what], draft("a")),
            Step::MakeTemporary(who) => {
                if self.open.contains(&who) && self.made.insert(who) {
                    let own = name(&format!("/remote-temp-queue/own{who}"));
                    bench.ask(who, Request::MakeTemporary(own));
                }
            }
            Step::Disconnect(who) => {
                let request = Request::Disconnect {
                    given: DeliveryCounter(0),
                    receipt: None,
                };
                bench.ask(who, request);
            }
            Step::Lose(who) => {
                self.open.remove(&who);
                self.made.remove(&who);
                bench.lose(who, 0);
            }
            Step::Turn => self.check(),
        }
    }

    /// Ends the turn: what the listener knows by then is what is.
    fn check(&mut self) {
        self.bench.rest();
        let mut told = 0;
        for (connection, reply) in std::mem::take(&mut self.bench.heard) {
            let Reply::Deliver(delivery) = reply else {
                continue;
            };
            if connection.0 != LISTENER {
                continue;
            }
            told += 1;
            let topic = delivery.destination.as_ref().expect("a pattern is heard");
            let topic = topic
                .name()
                .strip_prefix("ActiveMQ.Advisory.")
                .expect("one");
            let head = delivery.message.head();
            self.known.hear(topic, |fact| {
                let value = canonical::find(head, fact.as_bytes()).unwrap_or_default();
                String::from_utf8_lossy(&value).into_owned()
            });
        }
        self.bench.written(LISTENER, 0, told);
        let dispatcher = &self.bench.dispatcher;
        for (name, place) in &dispatcher.ordered_names {
            if name.is_temporary() || name.name().starts_with("ActiveMQ.") {
                continue;
            }
            let qualified = super::super::report::qualified(name);
            let producers = self.known.producers.get(&qualified).copied();
            assert_eq!(
                producers.unwrap_or(0),
                dispatcher.producers.of(name),
                "{name}"
            );
            assert_eq!(
                self.known.consumers_of(&qualified) as u64,
                dispatcher.consumer_count(*place),
                "{name}"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn who_has_heard_everything_knows_who_is_there(steps in prop::collection::vec(step(), 1..80)) {
        let mut scene = Scene::new();
        for step in &steps {
            scene.step(step);
        }
        for who in 2..2 + CONNECTIONS {
            scene.step(&Step::Lose(who));
        }
        scene.check();
        prop_assert_eq!(scene.known.connections, 0);
        prop_assert!(scene.known.consumers.is_empty());
        prop_assert!(scene.known.producers.values().all(|count| *count == 0));
        prop_assert_eq!(scene.bench.dispatcher.producers.total(), 0);
    }
}
