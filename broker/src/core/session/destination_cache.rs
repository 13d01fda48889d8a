//! The destinations that a connection used lately, so that a SEND neither parses nor allocates its name.

use std::collections::HashMap;
use std::sync::Arc;

use crate::config::{Delivery, Policies};
use crate::core::destination::{DestinationName, NameError};

/// A connection that uses more names than this starts over: names are the client's, memory is ours.
const NAMES_MAX: usize = 256;

/// So many messages share a handle of their destination. The dispatcher lets go of each handle while the session
/// hands out the next: if all shared one, its count would go to and fro between two cores with each message.
const HANDLE_USES: u32 = 64;

/// A destination and what its policy says of a SEND that says nothing.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) name: Arc<DestinationName>,
    pub(super) default_delivery: Delivery,
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
    /// The destination of this text.
    pub(super) fn get(&mut self, text: &[u8], policies: &Policies) -> Result<Known, NameError> {
        if let Some(latest) = &mut self.latest
            && *latest.text == *text
        {
            if latest.uses == HANDLE_USES {
                latest.uses = 0;
                latest.known.name = Arc::new(DestinationName::clone(&latest.known.name));
            }
            latest.uses += 1;
            return Ok(latest.known.clone());
        }
        let known = match self.known.get(text) {
            Some(known) => known.clone(),
            None => self.learn(text, policies)?,
        };
        let name = Arc::new(DestinationName::clone(&known.name));
        self.latest = Some(Latest {
            text: text.into(),
            known: Known { name, ..known },
            uses: 0,
        });
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
