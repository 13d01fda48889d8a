//! ACK and NACK, also of what is no longer open.

use stompbox_protocol::{Command, Version};

use super::{Asked, Client, Draft, Got, Mode, Subscription};
use crate::random::Random;
use crate::trace;
use crate::wire::Delivered;

/// One word of an acknowledgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    Ack,
    Nack,
}

/// Beyond every transaction: none.
pub(super) const NO_TRANSACTION: usize = usize::MAX;

impl Client {
    pub(super) fn acknowledge(&mut self, random: &mut Random, wire: &mut Vec<u8>) {
        let first = random.below(self.subscriptions.len());
        let count = self.subscriptions.len();
        let Some(at) = (0..count)
            .map(|offset| (first + offset) % count)
            .find(|at| !self.subscriptions[*at].open.is_empty())
        else {
            return;
        };
        let index = if random.percent(50) {
            0
        } else {
            random.below(self.subscriptions[at].open.len())
        };
        let may_nack = self.version != Version::V1_0;
        let word = if may_nack && random.percent(self.appetite.nack) {
            Word::Nack
        } else {
            Word::Ack
        };
        let transaction = random.below(self.transactions.len() * 2 + 1);
        self.acknowledge_one((at, index), word, transaction, random, wire);
    }

    pub(super) fn acknowledge_one(
        &mut self,
        chosen: (usize, usize),
        word: Word,
        transaction: usize,
        random: &mut Random,
        wire: &mut Vec<u8>,
    ) {
        let is_unnamed = self.is_unnamed(&self.subscriptions[chosen.0].id);
        let got = &self.subscriptions[chosen.0].open[chosen.1];
        let (named, may_time_out) = (&got.message_id, got.may_time_out);
        let own = std::slice::from_ref(&self.subscriptions[chosen.0]);
        if self.version != Version::V1_2 && may_mean_another(own, named) {
            return;
        }
        let is_ambiguous =
            self.given_up.contains(named) || may_mean_another(&self.subscriptions, named);
        // What was taken back may be with another subscription by now, and would be meant there.
        let may_be_elsewhere = may_time_out && self.subscriptions.len() > 1;
        if is_unnamed && (is_ambiguous || may_be_elsewhere) {
            return;
        }
        let may_omit = self.version == Version::V1_0 && !is_ambiguous && !may_be_elsewhere;
        let names_subscription = !is_unnamed && (!may_omit || random.percent(50));
        if self.version != Version::V1_2 {
            trace::count(match names_subscription {
                true => "op: ACK by message-id and subscription",
                false => "op: ACK by message-id",
            });
        }
        let (at, index) = self.meant(chosen, names_subscription);
        let subscription = &mut self.subscriptions[at];
        let id = subscription.id.clone();
        let covered: Vec<Got> = match subscription.mode {
            Mode::Client => subscription.open.drain(..=index).collect(),
            Mode::Auto | Mode::Individual => vec![subscription.open.remove(index)],
        };
        let Some(named) = covered.last().cloned() else {
            return;
        };
        if covered.len() > 1 {
            trace::count(match word {
                Word::Ack => "op: ACK cumulative",
                Word::Nack => "op: NACK cumulative",
            });
        }
        let draft = self.acknowledgement(word, &id, &named, names_subscription);
        let draft = with_wishes(draft, word, random);
        // An ACK that is answered was not stale; of what it covers beside that something may have been taken back before.
        let is_sure = |got: &&Got| !got.may_time_out || got.turn == named.turn;
        let sure = covered.iter().filter(is_sure);
        let acks: Vec<Delivered> = match word {
            Word::Ack => sure.map(|got| got.delivered.clone()).collect(),
            Word::Nack => Vec::new(),
        };
        self.may_be_refused |= named.may_time_out;
        let draft = match self.transactions.get_mut(transaction) {
            Some(open) => {
                trace::count(match word {
                    Word::Ack => "op: ACK in a transaction",
                    Word::Nack => "op: NACK in a transaction",
                });
                let draft = draft.with("transaction", &open.id);
                if self.version == Version::V1_2 {
                    self.stale.push((id, named.clone()));
                }
                let draft = self.ask(draft, Asked::Nothing, random);
                // A stale one without a receipt is ignored, and the COMMIT is answered all the same.
                if (!named.may_time_out || draft.asks_for_receipt())
                    && let Some(open) = self.transactions.get_mut(transaction)
                {
                    open.acks.extend(acks);
                }
                draft
            }
            None => {
                // Before 1.2 the name of a delivery that came back is that of the next one, too.
                if self.version == Version::V1_2 || (word == Word::Ack && named.is_only_copy) {
                    self.stale.push((id, named));
                }
                self.ask(draft, Asked::Done(acks), random)
            }
        };
        self.write(draft, wire);
    }

    /// Which open delivery a frame means that names this one: before 1.2 the oldest one of that message.
    fn meant(&self, (at, index): (usize, usize), names_subscription: bool) -> (usize, usize) {
        if self.version == Version::V1_2 {
            return (at, index);
        }
        let named = &self.subscriptions[at].open[index].message_id;
        let mut meant = (at, index);
        for (place, subscription) in self.subscriptions.iter().enumerate() {
            if names_subscription && place != at {
                continue;
            }
            for (index, got) in subscription.open.iter().enumerate() {
                let best = &self.subscriptions[meant.0].open[meant.1];
                if got.message_id == *named && got.turn < best.turn {
                    meant = (place, index);
                }
            }
        }
        meant
    }

    fn acknowledgement(&self, word: Word, id: &str, got: &Got, names_subscription: bool) -> Draft {
        let draft = Draft::new(match word {
            Word::Ack => Command::Ack,
            Word::Nack => Command::Nack,
        });
        match (self.version, &got.ack) {
            (Version::V1_2, Some(ack)) => draft.with("id", ack),
            _ if names_subscription => draft
                .with("message-id", &got.message_id)
                .with("subscription", id),
            _ => draft.with("message-id", &got.message_id),
        }
    }

    pub(super) fn acknowledge_stale(&mut self, random: &mut Random, wire: &mut Vec<u8>) {
        let Some((id, got)) = self.stale.get(random.below(self.stale.len())).cloned() else {
            return;
        };
        let is_live = self.subscriptions.iter().any(|live| live.id == id);
        if self.version != Version::V1_2 && !is_live {
            return;
        }
        trace::count("op: ACK stale");
        // Where it does not say whose, what a browser was shown of the same message would be meant.
        let says_whose = self.version != Version::V1_0 || !self.browsers.is_empty();
        if says_whose && self.is_unnamed(&id) {
            return;
        }
        let names_subscription = says_whose || (!self.is_unnamed(&id) && random.percent(50));
        let mut draft = self.acknowledgement(Word::Ack, &id, &got, names_subscription);
        if random.percent(35) {
            trace::count("op: ACK stale with a receipt");
            let receipt = self.fresh("stale");
            // It may pass what takes the delivery back, where that is held back; otherwise the answer is ERROR.
            self.owed.insert(receipt.clone(), Asked::Nothing);
            draft = draft.with("receipt", receipt);
            self.may_be_refused = true;
        }
        self.write(draft, wire);
    }
}

/// Whether one of several deliveries of this name may have been taken back, so that another one is the oldest.
fn may_mean_another(subscriptions: &[Subscription], named: &str) -> bool {
    let all = subscriptions.iter().flat_map(|live| &live.open);
    let all = all.filter(|got| got.message_id == named);
    all.clone().count() > 1 && all.clone().any(|got| got.may_time_out)
}

fn with_wishes(draft: Draft, word: Word, random: &mut Random) -> Draft {
    if word == Word::Ack {
        trace::count("op: ACK");
        return draft;
    }
    trace::count("op: NACK");
    match random.below(10) {
        0..3 => {
            trace::count("op: NACK x-delay");
            draft.with("x-delay", random.below(1_500))
        }
        3 => {
            trace::count("op: NACK requeue:false");
            draft.with("requeue", "false")
        }
        _ => draft,
    }
}
