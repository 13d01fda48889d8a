//! SEND: to queues and topics, to several at once, to what is the client's own or another's.

use stompbox_protocol::Command;

use super::{Asked, Client, Draft};
use crate::catalogue::GROUPS;
use crate::random::Random;
use crate::trace;
use crate::wire::{Sent, Wire};

/// What clients call the temporary destinations that they make.
pub(super) const OWN: [&str; 2] = ["/temp-queue/answers", "/temp-topic/events"];

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
        let sent = Sent {
            targets: self.targets(random),
            priority: random.percent(30).then(|| random.below(10) as u8),
            group: random
                .percent(self.appetite.taste.group)
                .then(|| GROUPS[random.below(GROUPS.len())]),
            is_persistent: random.percent(70),
            may_expire: random.percent(self.appetite.expiry),
            body_bytes,
        };
        let message = judge.register(sent.clone());
        let draft = Draft::new(Command::Send)
            .with("destination", header_of(&sent.targets, random))
            .with("x-id", message.0);
        let mut draft = with_properties(draft, &sent, random, now_ms);
        draft.body = message.0.to_le_bytes().to_vec();
        draft.body.resize(body_bytes, 0);
        if random.percent(self.appetite.taste.temporary) {
            trace::count("op: SEND reply-to");
            draft = draft.with("reply-to", OWN[random.below(2)]);
        }
        let index = random.below(self.transactions.len() * 2 + 1);
        let draft = match self.transactions.get_mut(index) {
            Some(transaction) => {
                trace::count("op: SEND in a transaction");
                transaction.sends.push(message);
                let draft = draft.with("transaction", &transaction.id);
                self.ask(draft, Asked::Nothing, random)
            }
            None => self.ask(draft, Asked::Sent(vec![message]), random),
        };
        self.write(draft, wire);
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
            trace::count(if topic.contains("VirtualTopic") {
                "op: SEND to a virtual topic"
            } else {
                "op: SEND to a topic"
            });
            return topic.to_owned();
        }
        trace::count("op: SEND to a queue");
        palette.queues[random.below(palette.queues.len())].to_owned()
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
