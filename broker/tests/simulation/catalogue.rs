//! What clients name: destinations, patterns, selectors, groups. For each selector and pattern, what it means, said
//! a second time and as plainly as can be.

use std::sync::{Arc, OnceLock};

use stompbox_broker::core::selector::Selector;
use stompbox_store::{MessageNumber, Sequence};

use crate::policy::{BYTE_DAM, BYTE_SHED, CLIFF, DAM, SHED};
use crate::random::Random;
use crate::route::is_forked;

/// Queues that clients send to.
pub(crate) const QUEUES: [&str; 19] = [
    "/queue/eager",
    "/queue/durable",
    "/queue/held",
    "/queue/careless",
    "/queue/hasty",
    "/queue/ring",
    "/queue/narrow",
    "/queue/heavy",
    "/queue/hoop",
    "/queue/levels",
    "/queue/strict",
    "/queue/orders.eu",
    "/queue/orders.us.east",
    "/queue/fork",
    "/queue/fork.red",
    "/queue/both",
    "/queue/Consumer.a.VirtualTopic.v",
    "/queue/Consumer.b.VirtualTopic.v",
    "/queue/Consumer.c.VirtualTopic.v",
];

/// Queues that messages end in.
pub(crate) const DEAD_LETTER_QUEUES: [&str; 2] = ["/queue/ActiveMQ.DLQ", "/queue/DLQ.durable"];

/// Topics that clients publish to.
pub(crate) const TOPICS: [&str; 7] = [
    "/topic/prices.tea",
    "/topic/prices.oil.crude",
    "/topic/VirtualTopic.v",
    "/topic/careless",
    "/topic/durable",
    "/topic/news",
    "/topic/instead",
];

/// Topics with a policy for subscribers that do not keep up.
pub(crate) const SLOW_TOPICS: [&str; 5] = [SHED, BYTE_SHED, DAM, BYTE_DAM, CLIFF];

/// Patterns of queues and topics.
pub(crate) const PATTERNS: [&str; 10] = [
    "/queue/>",
    "/queue/orders.*",
    "/queue/orders.>",
    "/queue/*",
    "/queue/Consumer.*.VirtualTopic.>",
    "/queue/ActiveMQ.*",
    "/topic/prices.*",
    "/topic/prices.#",
    "/topic/>",
    "/topic/slow.*",
];

/// What listeners of advisories subscribe to.
pub(crate) const ADVISORIES: [&str; 10] = [
    "/topic/ActiveMQ.Advisory.>",
    "/topic/ActiveMQ.Advisory.>",
    "/topic/ActiveMQ.Advisory.Connection",
    "/topic/ActiveMQ.Advisory.Consumer.>",
    "/topic/ActiveMQ.Advisory.Consumer.Topic.*.*",
    "/topic/ActiveMQ.Advisory.Producer.Queue.>",
    "/topic/ActiveMQ.Advisory.MessageDiscarded.>",
    "/topic/ActiveMQ.Advisory.MessageDiscarded.Topic.slow.shed",
    "/topic/ActiveMQ.Advisory.SlowConsumer.Topic.>",
    "/topic/ActiveMQ.Advisory.*.Topic.slow.*",
];

/// Patterns and lists of topics, as the broker calls them.
pub(crate) const TOPIC_SETS: [&str; 6] = [
    "/topic/>",
    "/topic/prices.*",
    "/topic/prices.>",
    "/topic/careless,durable,prices.>",
    "/topic/VirtualTopic.v,prices.oil.crude,prices.tea",
    "/topic/*.tea,VirtualTopic.*,prices.*",
];

/// What connections call themselves.
pub(crate) const CLIENT_IDS: [&str; 2] = ["ann", "bob"];

/// What durable and shared subscriptions are called.
pub(crate) const SUBSCRIPTION_NAMES: [&str; 3] = ["wine", "beer", "tea"];

/// Message groups.
pub(crate) const GROUPS: [&str; 3] = ["ann", "bob", "cee"];

/// What a run's clients name: few of all, so that they meet.
#[derive(Debug, Clone)]
pub(crate) struct Palette {
    pub(crate) queues: Vec<&'static str>,
    pub(crate) topics: Vec<&'static str>,
    /// What durable subscriptions take from beside single topics.
    pub(crate) sets: Vec<&'static str>,
}

impl Palette {
    pub(crate) fn draw(random: &mut Random) -> Self {
        let (queues, topics) = (random.between(1, 4), random.between(1, 3));
        let sets = [0, 1, 1, 2][random.below(4)];
        let mut some = |all: &[&'static str], count: usize| {
            let mut left = all.to_vec();
            while left.len() > count {
                left.remove(random.below(left.len()));
            }
            left
        };
        Self {
            queues: some(&QUEUES, queues),
            topics: some(&TOPICS, topics),
            sets: some(&TOPIC_SETS, sets),
        }
    }
}

impl Palette {
    /// Topics of a run in which subscribers are too slow for one of them.
    pub(crate) fn slow(&self, random: &mut Random) -> Vec<&'static str> {
        let often = [SHED, BYTE_SHED, DAM, DAM, DAM, BYTE_DAM, CLIFF, CLIFF];
        let mut topics = vec![often[random.below(often.len())]];
        let others = [
            SLOW_TOPICS[random.below(SLOW_TOPICS.len())],
            TOPICS[random.below(TOPICS.len())],
        ];
        topics.extend(others.into_iter().filter(|_| random.percent(35)));
        topics
    }

    /// Nobody names this queue; somebody names some queue.
    pub(crate) fn leave_out(&mut self, queue: &str) {
        self.queues.retain(|own| *own != queue);
        if self.queues.is_empty() {
            self.queues.push(QUEUES[0]);
        }
    }
}

impl Palette {
    /// Nobody sends to where a route begins.
    pub(crate) fn leave_routes_out(&mut self) {
        QUEUES
            .into_iter()
            .filter(|name| is_forked(name))
            .for_each(|name| self.leave_out(name));
        self.topics.retain(|name| !is_forked(name));
        if self.topics.is_empty() {
            self.topics.push(TOPICS[0]);
        }
    }
}

/// Whether a name, with its prefix, matches a pattern, with its own.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    let (Some((kind, pattern)), Some((own_kind, name))) = (split(pattern), split(name)) else {
        return false;
    };
    let is_brokers_own = name.starts_with("ActiveMQ.");
    if kind != own_kind || (is_brokers_own && !pattern.starts_with("ActiveMQ")) {
        return false;
    }
    let pattern: Vec<&str> = pattern.split('.').collect();
    let name: Vec<&str> = name.split('.').collect();
    segments_match(&pattern, &name)
}

fn split(wire: &str) -> Option<(&str, &str)> {
    ["/queue/", "/topic/"]
        .into_iter()
        .find_map(|prefix| Some((prefix, wire.strip_prefix(prefix)?)))
}

fn segments_match(pattern: &[&str], name: &[&str]) -> bool {
    match (pattern, name) {
        ([">" | "#"], _) | ([], []) => true,
        (["*", pattern @ ..], [_, name @ ..]) => segments_match(pattern, name),
        ([literal, pattern @ ..], [segment, name @ ..]) => {
            literal == segment && segments_match(pattern, name)
        }
        _ => false,
    }
}

/// What a pattern or list of topics is called, of its parts as they are written: the same in any order and spelling.
pub(crate) fn set_of_topics<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
    let bare = |part: &'a str| {
        let name = part.strip_prefix("/topic/").unwrap_or(part);
        match name.strip_suffix('#') {
            Some(start) => format!("{start}>"),
            None => name.to_owned(),
        }
    };
    let parts: std::collections::BTreeSet<String> = parts.into_iter().map(bare).collect();
    let parts: Vec<String> = parts.into_iter().collect();
    format!("/topic/{}", parts.join(","))
}

/// The parts of a pattern or list of topics, each with its prefix; of one topic that.
pub(crate) fn parts_of_topics(set: &str) -> impl Iterator<Item = String> {
    let bare = set.strip_prefix("/topic/").unwrap_or(set);
    bare.split(',').map(|part| format!("/topic/{part}"))
}

/// Whether that is more than one topic.
pub(crate) fn is_topic_set(name: &str) -> bool {
    name.starts_with("/topic/") && name.contains([',', '*', '>'])
}

/// Whether a topic is this one, or one of these.
pub(crate) fn is_among(topic: &str, set: &str) -> bool {
    parts_of_topics(set).any(|part| part == topic || matches(&part, topic))
}

/// The queue that a virtual topic's messages are copied to has this name.
pub(crate) fn is_consumer_queue_of(topic: &str, queue: &str) -> bool {
    let mut parts = queue.splitn(3, '.');
    let is_consumer = parts.next() == Some("/queue/Consumer") && parts.next().is_some();
    let topic = topic.strip_prefix("/topic/");
    is_consumer
        && topic.is_some_and(|topic| topic.starts_with("VirtualTopic."))
        && parts.next() == topic
}

/// What selectors ask of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Traits {
    pub(crate) colour: Option<String>,
    pub(crate) weight: Option<i64>,
    pub(crate) priority: u8,
}

impl Traits {
    fn has(&self, colour: &str) -> bool {
        self.colour.as_deref() == Some(colour)
    }

    fn weighs(&self, test: impl Fn(i64) -> bool) -> bool {
        self.weight.is_some_and(test)
    }
}

/// A selector, as its text and as what it means.
pub(crate) type Choice = (&'static str, fn(&Traits) -> bool);

/// Selectors. What is absent makes a comparison neither true nor false.
pub(crate) const SELECTORS: [Choice; 8] = [
    ("colour = 'red'", |own| own.has("red")),
    ("weight > 4", |own| own.weighs(|weight| weight > 4)),
    ("weight BETWEEN 0 AND 4", |own| {
        own.weighs(|weight| weight <= 4)
    }),
    ("colour <> 'red' AND weight <= 6", |own| {
        own.colour.is_some() && !own.has("red") && own.weighs(|weight| weight <= 6)
    }),
    ("colour IS NULL OR JMSPriority >= 5", |own| {
        own.colour.is_none() || own.priority >= 5
    }),
    ("NOT (weight BETWEEN 2 AND 7)", |own| {
        own.weighs(|weight| !(2..=7).contains(&weight))
    }),
    ("colour IN ('red', 'blue') OR weight = 3", |own| {
        own.has("red") || own.has("blue") || own.weighs(|weight| weight == 3)
    }),
    ("colour LIKE 'b%' AND JMSPriority < 5", |own| {
        own.has("blue") && own.priority < 5
    }),
];

/// What clients call a message.
pub(crate) fn message_name(instance: &str, number: MessageNumber) -> String {
    let number = Sequence(number.0);
    format!("ID:{instance}-{}-{}", number.epoch().0, number.counter())
}

/// The messages that a selector names, if that is what it does.
pub(crate) fn numbers_in(selector: &Selector) -> Option<Vec<MessageNumber>> {
    let text = selector.to_string();
    let number_of = |name: &str| {
        let mut parts = name.rsplitn(3, '-');
        let (counter, epoch) = (parts.next()?, parts.next()?);
        let (counter, epoch): (i64, i64) = (counter.parse().ok()?, epoch.parse().ok()?);
        Some(MessageNumber((epoch << 40) + counter))
    };
    let quoted = text.split('\'').skip(1).step_by(2);
    let is_by_name = text.starts_with("JMSMessageID");
    is_by_name.then(|| quoted.filter_map(number_of).collect())
}

/// Which of [`SELECTORS`] a parsed one is.
pub(crate) fn choice_of(selector: &Arc<Selector>) -> Choice {
    static PARSED: OnceLock<Vec<Selector>> = OnceLock::new();
    let parse = |(text, _): &Choice| {
        let parsed = Selector::parse_header(text.as_bytes());
        parsed.expect("a valid selector").expect("a selector")
    };
    let parsed = PARSED.get_or_init(|| SELECTORS.iter().map(parse).collect());
    let place = parsed.iter().position(|known| known == &**selector);
    SELECTORS[place.expect("a selector of the catalogue")]
}

#[test]
fn a_list_of_topics_has_one_name_and_each_of_its_parts() {
    let parts = ["/topic/b.#", "/topic/a", "/topic/b.>"];
    assert_eq!(set_of_topics(parts), "/topic/a,b.>");
    for (topic, expected) in [
        ("/topic/a", true),
        ("/topic/b.c.d", true),
        ("/topic/c", false),
    ] {
        assert_eq!(is_among(topic, "/topic/a,b.>"), expected, "{topic}");
    }
    for set in TOPIC_SETS {
        let parts: Vec<String> = parts_of_topics(set).collect();
        assert_eq!(set_of_topics(parts.iter().map(|part| &**part)), set);
    }
}

#[test]
fn a_pattern_means_what_its_words_say() {
    for (pattern, name, expected) in [
        ("/queue/>", "/queue/a.b", true),
        ("/queue/>", "/topic/a.b", false),
        ("/queue/>", "/queue/ActiveMQ.DLQ", false),
        ("/queue/ActiveMQ.*", "/queue/ActiveMQ.DLQ", true),
        ("/queue/a.>", "/queue/a", true),
        ("/queue/a.*", "/queue/a", false),
        ("/queue/a.*", "/queue/a.b", true),
        ("/queue/a.*", "/queue/a.b.c", false),
    ] {
        assert_eq!(matches(pattern, name), expected, "{pattern} on {name}");
    }
}
