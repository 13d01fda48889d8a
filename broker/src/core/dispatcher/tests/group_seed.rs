//! Message groups under whatever happens, by seeds: nothing is lost, and the order of a group holds.
//!
//! `STOMPBOX_GROUP_SEED` is the first seed, `STOMPBOX_GROUP_SEEDS` how many are run.

use super::*;

const QUEUE: &str = "/queue/q";
const GREEN: &str = "JMSXGroupID:green\n";
const HEADS: [&str; 6] = [
    "",
    "JMSXGroupID:red\n",
    "JMSXGroupID:blue\n",
    GREEN,
    "JMSXGroupID:red\nJMSXGroupSeq:-1\n",
    "JMSXGroupID:blue\nkind:x\n",
];
const TEXTS: [&str; 12] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];
const PRODUCER: u64 = 9;
const LAST_CONSUMER: u64 = 8;

/// Memory that is short with half of the messages, and memory that never is.
const MEMORY_BYTES: [usize; 2] = [2_000, 1 << 20];

/// Numbers that look random and are the same each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.roll(of.len() as u64) as usize]
    }

    fn take<T>(&mut self, from: &mut Vec<T>) -> Option<T> {
        (!from.is_empty()).then(|| from.remove(self.roll(from.len() as u64) as usize))
    }
}

/// Twelve messages, and consumers that come, go, acknowledge and refuse.
struct Play {
    dice: Dice,
    bench: Bench,
    consumers: Vec<u64>,
    next_consumer: u64,
    /// Heads of what was sent, in the order of [`TEXTS`].
    sent: Vec<&'static str>,
    /// What consumers have.
    held: Vec<(u64, String)>,
    /// First deliveries.
    first: Vec<String>,
    acknowledged: Vec<String>,
}

impl Play {
    fn new(seed: u64) -> Self {
        let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        let window = Window {
            messages: dice.roll(3) as usize,
            page_messages: 1 + dice.roll(3) as usize,
            ..Window::default()
        };
        let memory_bytes = dice.pick(&MEMORY_BYTES);
        let mut bench = Bench::with_memory(window, Policies::default(), memory_bytes);
        bench.open(PRODUCER);
        Self {
            dice,
            bench,
            consumers: Vec::new(),
            next_consumer: 1,
            sent: Vec::new(),
            held: Vec::new(),
            first: Vec::new(),
            acknowledged: Vec::new(),
        }
    }

    fn step(&mut self) {
        match self.dice.roll(8) {
            0..=2 => self.send(),
            3 if self.consumers.len() < 3 && self.next_consumer < LAST_CONSUMER => self.join(),
            4 => self.leave(),
            5 => self.refuse(),
            _ => self.acknowledge(),
        }
        if self.dice.roll(3) == 0 {
            self.bench.turn();
        } else {
            self.bench.rest();
        }
        let ms = self.dice.roll(200);
        self.bench.pass(ms);
        self.note();
    }

    fn send(&mut self) {
        let Some(text) = TEXTS.get(self.sent.len()) else {
            return;
        };
        let head = self.dice.pick(&HEADS);
        let mut draft = draft(text).head(head);
        if self.dice.roll(3) == 0 {
            draft = draft.non_persistent();
        }
        self.bench.send(PRODUCER, QUEUE, draft);
        self.sent.push(head);
    }

    fn join(&mut self) {
        let consumer = self.next_consumer;
        self.next_consumer += 1;
        let prefetch = 1 + self.dice.roll(3) as u32;
        let selects = self.dice.roll(4) == 0;
        let mode = AckMode::ClientIndividual;
        self.bench.open(consumer);
        self.bench
            .subscribe_with(consumer, 0, QUEUE, mode, prefetch, |wish| {
                let selector = crate::core::selector::Selector::parse("kind = 'x'");
                let selector = selector.expect("a selector").filter(|_| selects);
                wish.selector = selector.map(Arc::new);
            });
        self.consumers.push(consumer);
    }

    fn leave(&mut self) {
        if let Some(gone) = self.dice.take(&mut self.consumers) {
            self.bench.lose(gone, u64::MAX);
            self.held.retain(|(consumer, _)| *consumer != gone);
        }
    }

    fn refuse(&mut self) {
        if let Some((consumer, text)) = self.dice.take(&mut self.held) {
            let delay_ms = self.dice.pick(&[0, 1_000, 3_000]);
            let verdict = Verdict::Nack {
                delay: Some(Duration::from_millis(delay_ms)),
                requeue: crate::core::port::Requeue::Allowed,
            };
            self.bench.acknowledge(consumer, &text, verdict, None);
        }
    }

    fn acknowledge(&mut self) {
        if let Some((consumer, text)) = self.dice.take(&mut self.held) {
            self.bench.ack(consumer, &text);
            self.acknowledged.push(text);
        }
    }

    /// Takes notice of what was delivered, and what for the first time.
    fn note(&mut self) {
        for heard in self.bench.heard() {
            let Some((delivered, count)) = heard.split_once('#') else {
                continue;
            };
            let (consumer, text) = delivered.split_once('<').expect("a delivery");
            if count == "1" {
                self.first.push(text.to_owned());
            }
            self.held
                .push((consumer.parse().expect("a number"), text.to_owned()));
        }
    }

    /// Whoever is left takes everything, as does one more that wants whatever there is.
    fn drain(&mut self) {
        self.bench.open(LAST_CONSUMER);
        let mode = AckMode::ClientIndividual;
        self.bench.subscribe(LAST_CONSUMER, 0, QUEUE, mode, 1);
        for _ in 0..200 {
            self.bench.pass(200);
            self.bench.rest();
            self.note();
            while !self.held.is_empty() {
                self.acknowledge();
            }
        }
    }

    fn check(mut self, seed: u64) {
        let green: Vec<_> = self
            .first
            .iter()
            .filter(|text| self.is_green(text))
            .collect();
        assert!(green.is_sorted(), "seed {seed}: {:?}", self.first);
        if self.bench.dispatcher.counters.dead_lettered > 0 {
            return;
        }
        self.acknowledged.sort_unstable();
        assert_eq!(self.acknowledged, TEXTS[..self.sent.len()], "seed {seed}");
        let view = self.bench.view("q");
        let left = (view.depth, view.parked, view.in_flight);
        assert_eq!(left, (0, 0, 0), "seed {seed}");
        assert!(self.bench.disk.tallies().is_empty(), "seed {seed}");
    }

    fn is_green(&self, text: &str) -> bool {
        let index = TEXTS.iter().position(|other| *other == text);
        self.sent[index.expect("it was sent")] == GREEN
    }
}

#[test]
fn whatever_happens_to_groups_nothing_is_lost_and_their_order_holds() {
    let given = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    let first = given("STOMPBOX_GROUP_SEED").unwrap_or(1);
    let count = given("STOMPBOX_GROUP_SEEDS").unwrap_or(1_000);
    eprintln!("STOMPBOX_GROUP_SEED={first} STOMPBOX_GROUP_SEEDS={count}");
    for seed in first..first + count {
        let mut play = Play::new(seed);
        for _ in 0..100 {
            play.step();
        }
        play.drain();
        play.check(seed);
    }
}
