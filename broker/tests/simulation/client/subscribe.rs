//! SUBSCRIBE and UNSUBSCRIBE: from one place, several, a pattern; all of a queue or a part; first, last or alone.

use stompbox_protocol::{Command, Version};

use super::prefetch::Limit;
use super::send::OWN;
use super::{Asked, Client, Draft, Mode, Subscription};
use crate::catalogue::{ADVISORIES, DEAD_LETTER_QUEUES, PATTERNS, SELECTORS, matches};
use crate::policy::{CLIFF, PREFETCH_MAX, STRICT, STRICT_CONSUMER};
use crate::random::Random;
use crate::trace;

/// Subscriptions that a client holds at once.
const LIVE_MAX: usize = 4;

/// Consumer priorities.
const RANKS: [i32; 4] = [-1, 0, 5, 5];

/// What a SUBSCRIBE asks for beside its destination: by a header, or behind the destination's `?`.
pub(super) struct Wishes {
    pub(super) limit: Limit,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) options: Vec<String>,
}

impl Default for Wishes {
    fn default() -> Self {
        Self {
            limit: Limit::of(usize::MAX),
            headers: Vec::new(),
            options: Vec::new(),
        }
    }
}

impl Wishes {
    pub(super) fn wish(
        &mut self,
        header: &'static str,
        option: &str,
        value: &str,
        random: &mut Random,
    ) {
        if random.percent(15) {
            trace::count("op: SUBSCRIBE option in the destination");
            self.options
                .push(format!("{option}={}", percent_encoded(value)));
        } else {
            self.headers.push((header, value.to_owned()));
        }
    }
}

fn percent_encoded(value: &str) -> String {
    let mut text = String::new();
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

impl Client {
    pub(super) fn subscribe(&mut self, random: &mut Random, wire: &mut Vec<u8>) {
        if self.subscriptions.len() >= LIVE_MAX {
            return;
        }
        if random.percent(self.appetite.taste.lasting) {
            return self.subscribe_lasting(random, wire);
        }
        if random.percent(self.appetite.taste.advisory) {
            return self.listen(random, wire);
        }
        let mode = Mode::any(random);
        let browses = random.percent(self.appetite.taste.browser);
        let sources = if browses {
            trace::count("op: SUBSCRIBE browser");
            self.queue(random)
        } else {
            self.sources(random)
        };
        let mut wishes = Wishes::default();
        wishes.wish_prefetch(self.appetite.taste.prefetch, random);
        if browses {
            wishes.headers.push(("browser", "true".to_owned()));
        } else {
            self.wish_order(&mut wishes, random);
            self.wish_memory(&mut wishes, self.appetite.taste.retroactive, random);
        }
        self.wish_choice(&mut wishes, random);
        let mut destination = sources.clone();
        if !wishes.options.is_empty() {
            destination = format!("{destination}?{}", wishes.options.join("&"));
        }
        self.may_be_cut |= sources.split(',').any(|source| matches(source, CLIFF));
        let id = self.fresh("s");
        if browses {
            self.browsers.insert(id.clone());
        }
        let is_unnamed = !browses && self.may_be_unnamed(&sources) && random.percent(95);
        let mut draft = self.subscription(id.clone(), &destination, mode);
        self.limit_latest(wishes.limit);
        if is_unnamed {
            draft = self.without_name(draft, sources, id);
        }
        for (name, value) in wishes.headers {
            draft = draft.with(name, value);
        }
        let draft = self.ask(draft, Asked::Nothing, random);
        self.write(draft, wire);
    }

    /// Hears what the broker tells of itself.
    fn listen(&mut self, random: &mut Random, wire: &mut Vec<u8>) {
        trace::count("op: SUBSCRIBE to advisories");
        let mut wishes = Wishes::default();
        wishes.wish_prefetch(self.appetite.taste.prefetch, random);
        let mut destination = ADVISORIES[random.below(ADVISORIES.len())].to_owned();
        if !wishes.options.is_empty() {
            destination = format!("{destination}?{}", wishes.options.join("&"));
        }
        let id = self.fresh("s");
        let mut draft = self.subscription(id, &destination, Mode::Auto);
        self.limit_latest(wishes.limit);
        for (name, value) in wishes.headers {
            draft = draft.with(name, value);
        }
        let draft = self.ask(draft, Asked::Nothing, random);
        self.write(draft, wire);
    }

    /// The subscription made last may hold so much.
    pub(super) fn limit_latest(&mut self, limit: Limit) {
        if let Some(latest) = self.subscriptions.last_mut() {
            latest.limit = limit;
        }
    }

    /// Takes everything that lasts.
    pub(super) fn subscribe_to_all(&mut self, wire: &mut Vec<u8>) {
        let id = self.fresh("s");
        let draft = self
            .subscription(id, "/queue/>,/queue/ActiveMQ.>", Mode::Individual)
            .with("activemq.prefetchSize", 5);
        self.write(draft, wire);
    }

    fn sources(&mut self, random: &mut Random) -> String {
        let count = if random.percent(self.appetite.taste.composite) {
            trace::count("op: SUBSCRIBE to several");
            random.between(2, 3)
        } else {
            1
        };
        let mut sources: Vec<String> = (0..count).map(|_| self.source(random)).collect();
        sources.sort();
        sources.dedup();
        // A queue that may refuse serves its consumers when it must: what credit is left for topics is not foretold.
        let strict = [STRICT, STRICT_CONSUMER];
        let takes = |source: &String| strict.iter().any(|name| matches(source, name));
        if sources.iter().any(takes) {
            sources.retain(|source| !source.contains("topic/"));
        }
        sources.join(",")
    }

    fn source(&mut self, random: &mut Random) -> String {
        let taste = &self.appetite.taste;
        let palette = &taste.palette;
        if random.percent(taste.temporary) {
            trace::count("op: SUBSCRIBE to a temporary destination");
            return OWN[random.below(2)].to_owned();
        }
        if random.percent(taste.pattern) {
            trace::count("op: SUBSCRIBE to a pattern");
            return PATTERNS[random.below(PATTERNS.len())].to_owned();
        }
        if random.percent(taste.topic) {
            trace::count("op: SUBSCRIBE to a topic");
            return palette.topics[random.below(palette.topics.len())].to_owned();
        }
        self.queue(random)
    }

    fn queue(&mut self, random: &mut Random) -> String {
        trace::count("op: SUBSCRIBE to a queue");
        let queues = &self.appetite.taste.palette.queues;
        if random.percent(self.appetite.dead_letters) {
            DEAD_LETTER_QUEUES[random.below(DEAD_LETTER_QUEUES.len())].to_owned()
        } else {
            queues[random.below(queues.len())].to_owned()
        }
    }

    pub(super) fn wish_order(&mut self, wishes: &mut Wishes, random: &mut Random) {
        let taste = &self.appetite.taste;
        if random.percent(taste.exclusive) {
            trace::count("op: SUBSCRIBE exclusive");
            wishes.wish("activemq.exclusive", "consumer.exclusive", "true", random);
        }
        if random.percent(taste.rank) {
            trace::count("op: SUBSCRIBE priority");
            let header = ["activemq.priority", "x-priority"][random.below(2)];
            let rank = RANKS[random.below(RANKS.len())].to_string();
            if rank.starts_with('-') {
                wishes.headers.push((header, rank));
            } else {
                wishes.wish(header, "consumer.priority", &rank, random);
            }
        }
    }

    pub(super) fn wish_memory(&self, wishes: &mut Wishes, share: usize, random: &mut Random) {
        if random.percent(share) {
            trace::count("op: SUBSCRIBE retroactive");
            wishes.wish(
                "activemq.retroactive",
                "consumer.retroactive",
                "true",
                random,
            );
        }
    }

    fn wish_choice(&mut self, wishes: &mut Wishes, random: &mut Random) {
        let taste = &self.appetite.taste;
        if random.percent(taste.selector) {
            trace::count("op: SUBSCRIBE selector");
            let (text, _) = SELECTORS[random.below(SELECTORS.len())];
            wishes.wish("selector", "consumer.selector", text, random);
        }
        if random.percent(taste.pending) {
            trace::count("op: SUBSCRIBE pending limit");
            let header = "activemq.maximumPendingMessageLimit";
            // Neither is a limit of its own.
            let none = ["0", "-1"][random.below(2)].to_owned();
            let limit = match random.percent(20) {
                true => none,
                false => random.between(1, 4).to_string(),
            };
            if limit.starts_with('-') {
                wishes.headers.push((header, limit));
            } else {
                let option = "consumer.maximumPendingMessageLimit";
                wishes.wish(header, option, &limit, random);
            }
        }
        if random.percent(taste.no_local) {
            trace::count("op: SUBSCRIBE no-local");
            let header = ["activemq.noLocal", "no-local"][random.below(2)];
            wishes.wish(header, "consumer.noLocal", "true", random);
        }
    }

    pub(super) fn subscription(&mut self, id: String, destination: &str, mode: Mode) -> Draft {
        let (word, what) = match mode {
            Mode::Auto => ("auto", "op: SUBSCRIBE ack:auto"),
            Mode::Client => ("client", "op: SUBSCRIBE ack:client"),
            Mode::Individual => ("client-individual", "op: SUBSCRIBE ack:client-individual"),
        };
        trace::count(what);
        let draft = Draft::new(Command::Subscribe)
            .with("destination", destination)
            .with("id", &id)
            .with("ack", word);
        self.subscriptions.push(Subscription {
            id,
            mode,
            limit: Limit::of(PREFETCH_MAX),
            open: Vec::new(),
        });
        draft
    }

    pub(super) fn unsubscribe(&mut self, random: &mut Random, wire: &mut Vec<u8>) {
        if self.subscriptions.is_empty() {
            return;
        }
        trace::count("op: UNSUBSCRIBE");
        let at = random.below(self.subscriptions.len());
        let gone = self.subscriptions.remove(at);
        let draft = self.named(Command::Unsubscribe, &gone.id);
        let draft = self.may_delete(&gone.id, draft, random);
        let open = gone.open.into_iter().map(|got| (gone.id.clone(), got));
        if self.version == Version::V1_2 {
            self.stale.extend(open);
        } else {
            let names = open.map(|(_, got)| got.message_id);
            self.given_up.extend(names);
        }
        let draft = self.ask(draft, Asked::Nothing, random);
        self.write(draft, wire);
    }
}
