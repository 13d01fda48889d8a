//! How much a subscription wants to hold: in messages, in bytes, one at a time, as much as there may be.

use super::Got;
use super::subscribe::Wishes;
use crate::policy::PREFETCH_MAX;
use crate::random::Random;
use crate::trace;

/// What a subscription may hold, as its client understands what it has asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limit {
    messages: usize,
    bytes: usize,
}

impl Limit {
    pub(super) fn of(messages: usize) -> Self {
        Self {
            messages,
            bytes: usize::MAX,
        }
    }

    /// One more has come. Of its bytes the client knows those of the body. What may have been taken back is not with it
    /// any more, perhaps.
    pub(super) fn check(self, open: &[Got]) {
        let open = open.iter().filter(|got| !got.may_time_out);
        let out = open.clone().count();
        assert!(out < self.messages, "{out} are open of {self:?}");
        let bytes: usize = open.map(|got| got.body_bytes).sum();
        assert!(
            out == 0 || bytes < self.bytes,
            "{bytes} bytes are open of {self:?}"
        );
    }
}

impl Wishes {
    pub(super) fn wish_prefetch(&mut self, variety: usize, random: &mut Random) {
        let messages = random.between(1, 5);
        self.limit = Limit::of(messages);
        if !random.percent(variety) {
            return self.wish_messages(messages, random);
        }
        match random.below(6) {
            0 | 1 => {
                trace::count("op: SUBSCRIBE activemq.prefetchSize:0");
                self.limit = Limit::of(1);
                let header = "activemq.prefetchSize";
                self.wish(header, "consumer.prefetchSize", "0", random);
            }
            2 => {
                trace::count("op: SUBSCRIBE prefetch-count:0");
                self.limit = Limit::of(PREFETCH_MAX);
                self.headers.push(("prefetch-count", "0".to_owned()));
            }
            3 if random.percent(50) => {
                trace::count("op: SUBSCRIBE consumer-window-size:0");
                self.limit = Limit::of(1);
                self.headers.push(("consumer-window-size", "0".to_owned()));
            }
            3 => {
                trace::count("op: SUBSCRIBE consumer-window-size:-1");
                self.limit = Limit::of(PREFETCH_MAX);
                self.headers.push(("consumer-window-size", "-1".to_owned()));
            }
            _ => {
                trace::count("op: SUBSCRIBE consumer-window-size");
                let is_both = random.percent(40);
                if is_both {
                    self.wish_messages(messages, random);
                }
                let bytes = random.between(1, 500);
                self.limit.bytes = bytes;
                if !is_both {
                    self.limit.messages = PREFETCH_MAX;
                }
                self.headers
                    .push(("consumer-window-size", bytes.to_string()));
            }
        }
    }

    fn wish_messages(&mut self, messages: usize, random: &mut Random) {
        let text = messages.to_string();
        match random.below(10) {
            0 => self.headers.push(("prefetch-count", text)),
            _ => {
                let header = "activemq.prefetchSize";
                self.wish(header, "consumer.prefetchSize", &text, random);
            }
        }
    }
}
