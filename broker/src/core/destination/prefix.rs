//! What stands before a name and says what it means.

use super::DestinationKind;
use super::error::NameError;
use crate::core::excerpt::excerpt;

/// Who means the same by a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scope {
    /// Everybody: `/queue/`, `/topic/`.
    Shared,
    /// The connection that says it: `/temp-queue/`, `/temp-topic/`.
    Connection,
    /// Everybody again, of what a connection owns: `/remote-temp-queue/`, `/remote-temp-topic/`.
    Remote,
}

const SCOPES: [Scope; 3] = [Scope::Shared, Scope::Connection, Scope::Remote];
const KINDS: [DestinationKind; 2] = [DestinationKind::Queue, DestinationKind::Topic];

/// The text of a prefix.
pub(super) fn text_of(scope: Scope, kind: DestinationKind) -> &'static str {
    match (scope, kind) {
        (Scope::Shared, DestinationKind::Queue) => "/queue/",
        (Scope::Shared, DestinationKind::Topic) => "/topic/",
        (Scope::Connection, DestinationKind::Queue) => "/temp-queue/",
        (Scope::Connection, DestinationKind::Topic) => "/temp-topic/",
        (Scope::Remote, DestinationKind::Queue) => "/remote-temp-queue/",
        (Scope::Remote, DestinationKind::Topic) => "/remote-temp-topic/",
    }
}

/// Cuts the prefix off; a bare name is a queue's.
pub(super) fn split(text: &str) -> Result<(Scope, DestinationKind, &str), NameError> {
    if !text.starts_with('/') {
        return Ok((Scope::Shared, DestinationKind::Queue, text));
    }
    for scope in SCOPES {
        for kind in KINDS {
            if let Some(name) = text.strip_prefix(text_of(scope, kind)) {
                return Ok((scope, kind, name));
            }
        }
    }
    Err(NameError::UnknownPrefix(excerpt(text)))
}

/// Whether a name begins with a prefix that means something.
#[must_use]
pub fn has_prefix(text: &str) -> bool {
    text.starts_with('/') && split(text).is_ok()
}
