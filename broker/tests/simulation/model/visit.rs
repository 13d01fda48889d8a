//! Visits of the console: connections that name messages one by one, and send again what they take.

use std::collections::BTreeSet;
use std::rc::Rc;

use stompbox_broker::core::port::ConnectionId;
use stompbox_broker::core::selector::Selector;
use stompbox_store::MessageNumber;

use super::Model;
use super::entry::Facts;
use crate::catalogue::{Choice, choice_of, numbers_in};
use crate::wire::MessageId;

/// Visits are numbered apart from connections, which count from 1.
pub(crate) const FIRST_VISIT: u64 = 1 << 63;

/// A message among all firings of it.
pub(super) type Key = (MessageId, u32);

/// That a message is one of those that are named is looked at elsewhere.
const BY_NAME: Choice = ("JMSMessageID", |_| true);

impl Model {
    /// Whether it is known which message has this number.
    pub(crate) fn knows_number(&self, number: MessageNumber) -> bool {
        self.numbers.values().any(|known| *known == number)
    }

    /// What a subscription chooses, and among which messages if it names them.
    pub(super) fn choice_for(
        &self,
        selector: Option<&std::sync::Arc<Selector>>,
    ) -> (Option<Choice>, Option<BTreeSet<Key>>) {
        let Some(selector) = selector else {
            return (None, None);
        };
        let Some(named) = numbers_in(selector) else {
            return (Some(choice_of(selector)), None);
        };
        let is_named = |(_, number): &(&Key, &MessageNumber)| named.contains(number);
        let keys = self.numbers.iter().filter(is_named).map(|(key, _)| *key);
        (Some(BY_NAME), Some(keys.collect()))
    }

    /// What a visit sends is a message that was there before, and from now on another one.
    pub(super) fn is_sent_again(&mut self, publisher: ConnectionId, facts: Rc<Facts>) -> Rc<Facts> {
        if publisher.0 < FIRST_VISIT {
            return facts;
        }
        self.agenda.firings += 1;
        Rc::new(facts.as_sent_again(self.agenda.firings))
    }
}
