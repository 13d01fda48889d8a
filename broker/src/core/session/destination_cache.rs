//! The targets that a connection sent to lately, so that a SEND neither parses nor allocates its destination's name.

use std::collections::HashMap;
use std::sync::Arc;

use super::Session;
use super::output::Output;
use super::temporary::invalid;
use crate::config::Delivery;
use crate::core::destination::{
    DestinationName, NameError, StatisticsQuery, is_reserved, is_schedule_topic,
};
use crate::core::excerpt::excerpt;
use crate::core::message::Target;
use crate::core::port::Refusal;

/// A connection that uses more names than this starts over: names are the client's, memory is ours.
const NAMES_MAX: usize = 256;

/// So many messages share a handle of their destination. The dispatcher lets go of each handle while the session
/// hands out the next: if all shared one, its count would go to and fro between two cores with each message.
const HANDLE_USES: u32 = 64;

/// A target and what its policy says of a SEND that says nothing. Of several destinations the first counts.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) target: Target,
    pub(super) default_delivery: Delivery,
    /// Whether it asks the broker for statistics.
    pub(super) is_query: bool,
}

impl Known {
    /// Another handle of the same destination.
    fn renew(&mut self) {
        if let Target::One(name) = &mut self.target {
            *name = Arc::new(DestinationName::clone(name));
        }
    }
}

/// Names that were parsed.
#[derive(Debug, Default)]
pub(super) struct DestinationCache {
    latest: Option<Latest>,
    known: HashMap<Box<[u8]>, Known>,
}

/// The destination of the last SEND.
#[derive(Debug)]
struct Latest {
    text: Box<[u8]>,
    known: Known,
    uses: u32,
}

impl DestinationCache {
    /// What was learned of this text.
    fn get(&mut self, text: &[u8]) -> Option<Known> {
        if let Some(latest) = &mut self.latest
            && *latest.text == *text
        {
            if latest.uses == HANDLE_USES {
                latest.uses = 0;
                latest.known.renew();
            }
            latest.uses += 1;
            return Some(latest.known.clone());
        }
        let known = self.known.get(text)?.clone();
        self.remember(text, known.clone());
        Some(known)
    }

    fn remember(&mut self, text: &[u8], mut known: Known) {
        known.renew();
        self.latest = Some(Latest {
            text: text.into(),
            known,
            uses: 0,
        });
    }

    fn learn(&mut self, text: &[u8], known: Known) {
        if self.known.len() == NAMES_MAX {
            self.known.clear();
        }
        self.known.insert(text.into(), known.clone());
        self.remember(text, known);
    }
}

impl Session {
    /// Where a SEND to this decoded text goes, and how.
    pub(super) fn known_target(
        &mut self,
        text: &[u8],
        output: &mut Output,
    ) -> Result<Known, Refusal> {
        if let Some(known) = self.destinations.get(text) {
            return Ok(known);
        }
        let query = StatisticsQuery::name_in(text).map_err(|error| invalid(&error))?;
        let is_query = query.is_some();
        let target = match query {
            Some(name) => Target::One(Arc::new(name)),
            None => self.send_target(text, output)?,
        };
        if !is_query {
            refuse_brokers_own(&target)?;
        }
        let first = &target.names()[0];
        let policy = self.settings.policies.effective(first.kind(), first.name());
        let known = Known {
            default_delivery: policy.default_delivery,
            target,
            is_query,
        };
        self.destinations.learn(text, known.clone());
        Ok(known)
    }
}

/// On advisory topics the broker alone publishes, and what it is asked by is a name that stands alone.
fn refuse_brokers_own(target: &Target) -> Result<(), Refusal> {
    let is_alone = target.names().len() == 1;
    let is_own =
        |name: &&Arc<DestinationName>| is_reserved(name) && !(is_alone && is_schedule_topic(name));
    match target.names().iter().find(is_own) {
        None => Ok(()),
        Some(name) => Err(invalid(&NameError::BrokersOwn(excerpt(name.wire())))),
    }
}
