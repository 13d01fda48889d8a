//! Subscriptions without an `id`, as STOMP 1.0 has them: called by their destination.

use stompbox_protocol::{Command, Version};

use super::{Client, Draft};
use crate::trace;

impl Client {
    /// Whether a subscription there can go without a name: one at a place, so that its messages tell it.
    pub(super) fn may_be_unnamed(&self, sources: &str) -> bool {
        let is_one_name = !sources.contains([',', '*', '>', '#']);
        self.version == Version::V1_0 && is_one_name && !self.unnamed.contains_key(sources)
    }

    /// The same SUBSCRIBE without `id`.
    pub(super) fn without_name(&mut self, mut draft: Draft, sources: String, id: String) -> Draft {
        trace::count("op: SUBSCRIBE without id");
        draft.headers.retain(|(name, _)| name != "id");
        self.unnamed.insert(sources, id);
        draft
    }

    pub(super) fn is_unnamed(&self, id: &str) -> bool {
        self.unnamed.values().any(|unnamed| unnamed == id)
    }

    /// A frame about a subscription: by its `id`, or by its destination.
    pub(super) fn named(&self, command: Command, id: &str) -> Draft {
        let mut unnamed = self.unnamed.iter();
        match unnamed.find(|(_, unnamed)| *unnamed == id) {
            Some((destination, _)) => {
                trace::count("op: UNSUBSCRIBE by destination");
                Draft::new(command).with("destination", destination)
            }
            None => Draft::new(command).with("id", id),
        }
    }
}
