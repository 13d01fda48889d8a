//! Destination names as clients write them (dialect, Destinations).

use std::fmt;
use std::hash::{Hash, Hasher};

pub use stompbox_store::DestinationKind;

/// Bytes of a name, without its prefix.
pub const NAME_BYTES_MAX: usize = 255;
const QUEUE_PREFIX: &str = "/queue/";
const TOPIC_PREFIX: &str = "/topic/";

/// The concrete name of a queue or topic, checked.
#[derive(Debug, Clone)]
pub struct DestinationName {
    kind: DestinationKind,
    wire: Box<str>,
}

impl DestinationName {
    /// Makes a name from its parts; what is kept in the database and in the configuration.
    #[must_use]
    pub fn new(kind: DestinationKind, name: &str) -> Self {
        let prefix = match kind {
            DestinationKind::Queue => QUEUE_PREFIX,
            DestinationKind::Topic => TOPIC_PREFIX,
        };
        Self {
            kind,
            wire: format!("{prefix}{name}").into_boxed_str(),
        }
    }

    /// Reads a `destination` header.
    ///
    /// # Errors
    /// When it names nothing that can exist.
    pub fn parse(text: &[u8]) -> Result<Self, NameError> {
        let text = std::str::from_utf8(text).map_err(|_| NameError::NotUtf8)?;
        let (kind, name) = if let Some(name) = text.strip_prefix(QUEUE_PREFIX) {
            (DestinationKind::Queue, name)
        } else if let Some(name) = text.strip_prefix(TOPIC_PREFIX) {
            (DestinationKind::Topic, name)
        } else if text.starts_with('/') {
            return Err(NameError::UnknownPrefix(text.chars().take(40).collect()));
        } else {
            (DestinationKind::Queue, text)
        };
        check(name)?;
        Ok(Self::new(kind, name))
    }

    /// Queue or topic.
    #[must_use]
    pub fn kind(&self) -> DestinationKind {
        self.kind
    }

    /// With its prefix, as in a MESSAGE's `destination`.
    #[must_use]
    pub fn wire(&self) -> &str {
        &self.wire
    }

    /// Without its prefix.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.wire[QUEUE_PREFIX.len()..]
    }
}

fn check(name: &str) -> Result<(), NameError> {
    if name.is_empty() {
        return Err(NameError::Empty);
    }
    if name.len() > NAME_BYTES_MAX {
        return Err(NameError::TooLong { bytes: name.len() });
    }
    if name.chars().any(char::is_control) {
        return Err(NameError::ControlCharacter);
    }
    if name.contains(',') {
        return Err(NameError::Composite);
    }
    if name.contains('?') {
        return Err(NameError::Options);
    }
    for segment in name.split('.') {
        match segment {
            "" => return Err(NameError::EmptySegment),
            "*" | ">" | "#" => return Err(NameError::Wildcard),
            _ => {}
        }
    }
    Ok(())
}

impl PartialEq for DestinationName {
    fn eq(&self, other: &Self) -> bool {
        self.wire == other.wire
    }
}

impl Eq for DestinationName {}

impl Hash for DestinationName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.wire.hash(state);
    }
}

impl PartialOrd for DestinationName {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for DestinationName {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.wire.cmp(&other.wire)
    }
}

impl fmt::Display for DestinationName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.wire)
    }
}

/// Why a `destination` names nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Bytes that are no text.
    #[error("the destination is not UTF-8")]
    NotUtf8,
    /// Nothing behind the prefix.
    #[error("the destination has no name: write /queue/NAME or /topic/NAME")]
    Empty,
    /// `a..b`, `.a`, `a.`
    #[error("the destination has an empty segment: no two dots in a row, none at either end")]
    EmptySegment,
    /// Over 255 bytes.
    #[error("the destination's name has {bytes} bytes, at most 255 are allowed")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// A control character.
    #[error("the destination contains a control character")]
    ControlCharacter,
    /// `/something/` that is no type of destination.
    #[error(
        "'{0}' has a prefix that is not known: write /queue/NAME or /topic/NAME, or NAME alone for a queue"
    )]
    UnknownPrefix(String),
    /// A pattern where a name is needed.
    #[error("wildcard destinations are not supported by this version: name one destination")]
    Wildcard,
    /// Options where a name is needed.
    #[error("a destination takes options behind '?' in SUBSCRIBE only: name it without them")]
    Options,
    /// Several names where one is needed.
    #[error("composite destinations are not supported by this version: name one destination")]
    Composite,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<(DestinationKind, &str), NameError>) {
        let parsed = DestinationName::parse(text.as_bytes());
        let seen = parsed
            .as_ref()
            .map(|name| (name.kind(), name.name()))
            .map_err(Clone::clone);
        assert_eq!(seen, expected, "{text:?}");
    }

    #[test]
    fn prefixes_choose_the_kind_and_a_bare_name_is_a_queue() {
        check("/queue/a.b", Ok((DestinationKind::Queue, "a.b")));
        check("/topic/a", Ok((DestinationKind::Topic, "a")));
        check("orders", Ok((DestinationKind::Queue, "orders")));
        check("/queue/a/b", Ok((DestinationKind::Queue, "a/b")));
        check("/queue/größe", Ok((DestinationKind::Queue, "größe")));
    }

    #[test]
    fn names_that_cannot_exist_are_refused() {
        check("", Err(NameError::Empty));
        check("/queue/", Err(NameError::Empty));
        check("/topic/a..b", Err(NameError::EmptySegment));
        check("/queue/.a", Err(NameError::EmptySegment));
        check("/queue/a.", Err(NameError::EmptySegment));
        check(
            "/nonsense/a",
            Err(NameError::UnknownPrefix("/nonsense/a".into())),
        );
        check("/queue/a\nb", Err(NameError::ControlCharacter));
        check("/queue/a.>", Err(NameError::Wildcard));
        check("/queue/a,b", Err(NameError::Composite));
        check("/queue/a?b=1", Err(NameError::Options));
        let long = format!("/queue/{}", "x".repeat(256));
        check(&long, Err(NameError::TooLong { bytes: 256 }));
        check(
            &long[..long.len() - 1],
            Ok((DestinationKind::Queue, &long[7..long.len() - 1])),
        );
        assert_eq!(
            DestinationName::parse(b"/queue/\xff"),
            Err(NameError::NotUtf8)
        );
    }
}
