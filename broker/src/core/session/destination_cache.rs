//! The targets that a connection sent to lately, so that a SEND neither parses nor allocates its destination's name.

use std::collections::HashMap;

use super::Session;
use super::output::Output;
use crate::config::Delivery;
use crate::core::message::Target;
use crate::core::port::Refusal;

/// A connection that uses more names than this starts over: names are the client's, memory is ours.
const NAMES_MAX: usize = 256;

/// A target and what its policy says of a SEND that says nothing. Of several destinations the first counts.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) target: Target,
    pub(super) default_delivery: Delivery,
}

/// Names that were parsed.
#[derive(Debug, Default)]
pub(super) struct DestinationCache {
    latest: Option<(Box<[u8]>, Known)>,
    known: HashMap<Box<[u8]>, Known>,
}

impl DestinationCache {
    /// What was learned of this text.
    fn get(&mut self, text: &[u8]) -> Option<Known> {
        if let Some((latest, known)) = &self.latest
            && **latest == *text
        {
            return Some(known.clone());
        }
        let known = self.known.get(text)?.clone();
        self.latest = Some((text.into(), known.clone()));
        Some(known)
    }

    fn learn(&mut self, text: &[u8], known: Known) {
        if self.known.len() == NAMES_MAX {
            self.known.clear();
        }
        self.known.insert(text.into(), known.clone());
        self.latest = Some((text.into(), known));
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
        let target = self.send_target(text, output)?;
        let first = &target.names()[0];
        let policy = self.settings.policies.effective(first.kind(), first.name());
        let known = Known {
            default_delivery: policy.default_delivery,
            target,
        };
        self.destinations.learn(text, known.clone());
        Ok(known)
    }
}
