//! The destinations that a connection used lately, so that a SEND neither parses nor allocates its name.

use std::collections::HashMap;
use std::sync::Arc;

use crate::config::{Delivery, Policies};
use crate::core::destination::{DestinationName, NameError};

/// A connection that uses more names than this starts over: names are the client's, memory is ours.
const NAMES_MAX: usize = 256;

/// A destination and what its policy says of a SEND that says nothing.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) name: Arc<DestinationName>,
    pub(super) default_delivery: Delivery,
}

/// Names that were parsed.
#[derive(Debug, Default)]
pub(super) struct DestinationCache {
    latest: Option<(Box<[u8]>, Known)>,
    known: HashMap<Box<[u8]>, Known>,
}

impl DestinationCache {
    /// The destination of this text.
    pub(super) fn get(&mut self, text: &[u8], policies: &Policies) -> Result<Known, NameError> {
        if let Some((latest, known)) = &self.latest
            && **latest == *text
        {
            return Ok(known.clone());
        }
        let known = match self.known.get(text) {
            Some(known) => known.clone(),
            None => self.learn(text, policies)?,
        };
        self.latest = Some((text.into(), known.clone()));
        Ok(known)
    }

    fn learn(&mut self, text: &[u8], policies: &Policies) -> Result<Known, NameError> {
        let name = DestinationName::parse(text)?;
        let policy = policies.effective(name.kind(), name.name());
        let known = Known {
            name: Arc::new(name),
            default_delivery: policy.default_delivery,
        };
        if self.known.len() == NAMES_MAX {
            self.known.clear();
        }
        self.known.insert(text.into(), known.clone());
        Ok(known)
    }
}
