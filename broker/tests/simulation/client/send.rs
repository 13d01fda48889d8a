//! SEND: to queues and topics, to several at once, to what is the client's own or another's.

use stompbox_protocol::Command;

use super::{Asked, Client, Draft};
use crate::catalogue::GROUPS;
use crate::cron::CRONS;
use crate::policy::{
    BYTE_DAM, BYTE_NARROW, BYTE_SHED, CLIFF, DAM, HASTY, LEVELS, NARROW, SHED, STRICT,
    STRICT_CONSUMER, is_ring, may_refuse,
};
use crate::random::Random;
use crate::trace;
use crate::wire::{Sent, Wire};

/// What clients call the temporary destinations that they make.
pub(super) const OWN: [&str; 2] = ["/temp-queue/answers", "/temp-topic/events"];

/// One in so many messages says that it was sent before.
const RESENT_EVERY: usize = 16;

const PERIOD: &str = "AMQ_SCHEDULED_PERIOD";

const REPEAT: &str = "AMQ_SCHEDULED_REPEAT";
const CRON: &str = "AMQ_SCHEDULED_CRON";

impl Client {
    pub(super) fn send(
        &mut self,
        random: &mut Random,
        now_ms: i64,
        judge: &mut Wire,
        wire: &mut Vec<u8>,
    ) {
        let body_bytes = if random.in_thousand(5) {
            9_000
        } else {
            random.between(8, 90)
        };
        let targets = self.targets(random);
        let times = self.times(&targets, random);
        let is_to_ring = targets.iter().any(|target| is_ring(target));
        let is_to_levels = targets.iter().any(|target| target == LEVELS);
        let may_expire = random.percent(self.appetite.expiry);
        let comes_again = times.iter().any(|(name, _)| [REPEAT, CRON].contains(name));
        let sent = Sent {
            targets,
            is_later: !times.is_empty(),
            comes_again,
            priority: random.percent(30).then(|| random.below(10) as u8),
            group: random
                .percent(self.appetite.taste.group)
                .then(|| GROUPS[random.below(GROUPS.len())]),
            // What a ring drops is seen only where it was stored, and whether a last value has expired before it is replaced.
            is_persistent: random.percent(70)
                || comes_again
                || is_to_ring
                || (is_to_levels && may_expire),
            may_expire,
            may_repeat: random.percent(self.appetite.taste.duplicate),
            // One that is not random, so that it changes nothing else of a seed.
            is_resent: judge.sent.len().is_multiple_of(RESENT_EVERY),
            body_bytes,
        };
        let message = judge.register(sent.clone());
        let draft = Draft::new(Command::Send)
            .with("destination", header_of(&sent.targets, random))
            .with("x-id", message.0);
        let mut draft = with_properties(draft, &sent, random, now_ms);
        for (name, value) in times {
            draft = draft.with(name, value);
        }
        if sent.is_resent {
            trace::count("op: SEND x-resent");
            draft = draft.with("x-resent", true);
        }
        if sent.may_repeat {
            draft = with_duplicate_id(draft, judge, random);
        }
        draft.body = message.0.to_le_bytes().to_vec();
        draft.body.resize(body_bytes, 0);
        if random.percent(self.appetite.taste.temporary) {
            trace::count("op: SEND reply-to");
            draft = draft.with("reply-to", OWN[random.below(2)]);
        }
        let may_be_refused = sent.targets.iter().any(|target| may_refuse(target));
        self.may_be_refused |= may_be_refused;
        let index = random.below(self.transactions.len() * 2 + 1);
        let draft = match self.transactions.get_mut(index) {
            Some(transaction) => {
                trace::count("op: SEND in a transaction");
                transaction.sends.push(message);
                transaction.may_be_refused |= may_be_refused;
                let draft = draft.with("transaction", &transaction.id);
                self.ask(draft, Asked::Nothing, random)
            }
            // Which one was refused is seen by its receipt.
            None if may_be_refused => self.ask_always(draft, Asked::Sent(vec![message])),
            None => self.ask(draft, Asked::Sent(vec![message]), random),
        };
        self.write(draft, wire);
    }

    /// When it is to come, if not at once. Nothing of temporary destinations is kept until then.
    fn times(&self, targets: &[String], random: &mut Random) -> Vec<(&'static str, String)> {
        let is_temporary = targets.iter().any(|target| target.contains("temp-"));
        if is_temporary || !random.percent(self.appetite.taste.later) {
            return Vec::new();
        }
        let mut times = Vec::new();
        if random.percent(80) {
            trace::count("op: SEND delayed");
            let header = ["AMQ_SCHEDULED_DELAY", "x-delay"][random.below(2)];
            times.push((header, random.between(0, 2_000).to_string()));
        }
        // Which firing a message is of that was never stored nobody can tell, nor which of them a limit has dropped.
        let is_told = targets.iter().all(|target| target.starts_with("/queue/"));
        let taste = &self.appetite.taste;
        let may_come_again = is_told || (taste.lasting == 0 && taste.pending == 0);
        let by_cron = may_come_again && random.percent(self.appetite.taste.cron);
        if by_cron {
            trace::count("op: SEND by cron");
            let (text, _) = CRONS[random.below(CRONS.len())];
            times.push((CRON, text.to_owned()));
        }
        if may_come_again && random.percent(30) {
            trace::count("op: SEND repeatedly");
            times.push((PERIOD, random.between(300, 2_000).to_string()));
            let times_left = if !by_cron && random.percent(10) {
                trace::count("op: SEND repeatedly for ever");
                -1
            } else {
                random.below(4) as i64
            };
            times.push((REPEAT, times_left.to_string()));
        }
        times
    }

    fn targets(&self, random: &mut Random) -> Vec<String> {
        let count = if random.percent(self.appetite.taste.composite) {
            trace::count("op: SEND to several");
            random.between(2, 3)
        } else {
            1
        };
        let mut targets: Vec<String> = Vec::new();
        for _ in 0..count {
            let target = self.target(random);
            // A consumer queue beside its topic gets the same message twice, and so may what is called by two
            // names: nobody can tell its copies apart.
            let is_alone = |about: &str| {
                !target.contains(about) || !targets.iter().any(|other| other.contains(about))
            };
            if !targets.contains(&target) && is_alone("VirtualTopic") && is_alone("temp-") {
                targets.push(target);
            }
        }
        targets
    }

    fn target(&self, random: &mut Random) -> String {
        let taste = &self.appetite.taste;
        let palette = &taste.palette;
        if random.percent(taste.temporary) {
            return match self.answers.get(random.below(self.answers.len() * 2)) {
                Some(address) => {
                    trace::count("op: SEND to another's temporary destination");
                    address.clone()
                }
                None => {
                    trace::count("op: SEND to its own temporary destination");
                    OWN[random.below(2)].to_owned()
                }
            };
        }
        if random.percent(taste.topic) {
            let topic = palette.topics[random.below(palette.topics.len())];
            trace::count(match topic {
                SHED | BYTE_SHED => "op: SEND to a topic that drops",
                DAM | BYTE_DAM => "op: SEND to a topic that holds back",
                CLIFF => "op: SEND to a topic that disconnects",
                topic if topic.contains("VirtualTopic") => "op: SEND to a virtual topic",
                _ => "op: SEND to a topic",
            });
            return topic.to_owned();
        }
        let queue = palette.queues[random.below(palette.queues.len())];
        trace::count(match queue {
            ring if is_ring(ring) => "op: SEND to a ring",
            NARROW => "op: SEND to a queue that holds back",
            BYTE_NARROW => "op: SEND to a queue that holds back by bytes",
            HASTY => "op: SEND to a queue with ack_timeout",
            LEVELS => "op: SEND to a queue of last values",
            STRICT | STRICT_CONSUMER => "op: SEND to a queue that refuses",
            _ => "op: SEND to a queue",
        });
        queue.to_owned()
    }
}

/// The header `destination`. A name without a prefix is a queue's.
fn header_of(targets: &[String], random: &mut Random) -> String {
    let spell = |target: &String| match target.strip_prefix("/queue/") {
        Some(bare) if random.percent(10) => bare.to_owned(),
        _ => target.clone(),
    };
    targets.iter().map(spell).collect::<Vec<_>>().join(",")
}

fn with_properties(mut draft: Draft, sent: &Sent, random: &mut Random, now_ms: i64) -> Draft {
    trace::count(if sent.is_persistent {
        "op: SEND persistent"
    } else {
        "op: SEND non-persistent"
    });
    if !sent.is_persistent || random.percent(20) {
        draft = draft.with("persistent", sent.is_persistent);
    }
    if let Some(priority) = sent.priority {
        trace::count("op: SEND priority");
        draft = draft.with("priority", priority);
    }
    if sent.may_expire {
        draft = with_expiry(draft, random, now_ms);
    }
    if random.percent(70) {
        draft = draft.with("colour", ["red", "green", "blue"][random.below(3)]);
    }
    if random.percent(70) {
        draft = draft.with("weight", random.below(10));
    }
    let Some(group) = sent.group else {
        return draft;
    };
    trace::count("op: SEND JMSXGroupID");
    draft = draft.with("JMSXGroupID", group);
    if random.percent(15) {
        trace::count("op: SEND JMSXGroupSeq:-1");
        draft = draft.with("JMSXGroupSeq", -1);
    }
    draft
}

/// A new id, or one that was given lately.
fn with_duplicate_id(draft: Draft, judge: &mut Wire, random: &mut Random) -> Draft {
    let id = if random.percent(50) || judge.ids == 0 {
        judge.ids += 1;
        judge.ids
    } else {
        trace::count("op: SEND repeated");
        judge.ids - random.below(judge.ids.min(20))
    };
    trace::count("op: SEND duplicate id");
    let header = ["_AMQ_DUPL_ID", "x-dedup-id"][random.below(2)];
    draft.with(header, format!("id-{id}"))
}

fn with_expiry(draft: Draft, random: &mut Random, now_ms: i64) -> Draft {
    match random.below(3) {
        0 => {
            trace::count("op: SEND ttl");
            draft.with("ttl", random.between(1, 3_000))
        }
        1 => {
            trace::count("op: SEND expiration");
            draft.with("expiration", random.between(1, 800))
        }
        _ => {
            trace::count("op: SEND expires");
            draft.with("expires", now_ms + random.below(2_000) as i64 - 100)
        }
    }
}
