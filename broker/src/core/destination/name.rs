//! The name of one destination.

use std::fmt;
use std::hash::{Hash, Hasher};

use super::DestinationKind;
use super::error::NameError;
use super::pattern::is_wildcard;
use super::prefix::{self, Scope};
use crate::core::excerpt::excerpt;

/// Bytes of a name, without its prefix.
pub const NAME_BYTES_MAX: usize = 255;

/// Whether a destination outlives the connection that made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lifetime {
    Lasting,
    Temporary,
}

impl Lifetime {
    fn prefix(self, kind: DestinationKind) -> &'static str {
        match self {
            Lifetime::Lasting => prefix::text_of(Scope::Shared, kind),
            Lifetime::Temporary => prefix::text_of(Scope::Remote, kind),
        }
    }
}

/// The concrete name of a queue or topic, checked. Names are equal if their wire forms are.
#[derive(Debug, Clone)]
pub struct DestinationName {
    kind: DestinationKind,
    lifetime: Lifetime,
    wire: Box<str>,
}

impl DestinationName {
    /// Makes a name from its parts; what is kept in the database and in the configuration.
    #[must_use]
    pub fn new(kind: DestinationKind, name: &str) -> Self {
        Self::of(Lifetime::Lasting, kind, name)
    }

    /// The name by which everybody knows a temporary destination: `/remote-temp-queue/ID`.
    #[must_use]
    pub fn temporary(kind: DestinationKind, id: &str) -> Self {
        Self::of(Lifetime::Temporary, kind, id)
    }

    fn of(lifetime: Lifetime, kind: DestinationKind, name: &str) -> Self {
        let prefix = lifetime.prefix(kind);
        Self {
            kind,
            lifetime,
            wire: format!("{prefix}{name}").into_boxed_str(),
        }
    }

    /// Reads a `destination` header that names one queue or topic.
    ///
    /// # Errors
    /// When it names nothing that can exist.
    pub fn parse(text: &[u8]) -> Result<Self, NameError> {
        let text = std::str::from_utf8(text).map_err(|_| NameError::NotUtf8)?;
        let (Scope::Shared, kind, name) = prefix::split(text)? else {
            return Err(NameError::UnknownPrefix(excerpt(text)));
        };
        check(name)?;
        if name.contains(',') {
            return Err(NameError::Composite);
        }
        if name.contains('?') {
            return Err(NameError::Options);
        }
        if name.split('.').any(is_wildcard) {
            return Err(NameError::Wildcard);
        }
        Ok(Self::new(kind, name))
    }

    /// Queue or topic.
    #[must_use]
    pub fn kind(&self) -> DestinationKind {
        self.kind
    }

    /// Whether it goes with the connection that made it.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        self.lifetime == Lifetime::Temporary
    }

    /// With its prefix, as in a MESSAGE's `destination`.
    #[must_use]
    pub fn wire(&self) -> &str {
        &self.wire
    }

    /// Without its prefix.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.wire[self.lifetime.prefix(self.kind).len()..]
    }
}

/// What holds for names and patterns alike.
pub(super) fn check(name: &str) -> Result<(), NameError> {
    if name.is_empty() {
        return Err(NameError::Empty);
    }
    if name.len() > NAME_BYTES_MAX {
        return Err(NameError::TooLong { bytes: name.len() });
    }
    if name.chars().any(char::is_control) {
        return Err(NameError::ControlCharacter);
    }
    if name.split('.').any(str::is_empty) {
        return Err(NameError::EmptySegment);
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
        check(
            "/temp-queue/a",
            Err(NameError::UnknownPrefix("/temp-queue/a".into())),
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

    #[test]
    fn a_temporary_name_is_its_own_with_the_wire_form_that_others_see() {
        let temporary = DestinationName::temporary(DestinationKind::Topic, "8f3a");
        assert_eq!(temporary.wire(), "/remote-temp-topic/8f3a");
        assert_eq!(temporary.name(), "8f3a");
        assert_eq!(temporary.kind(), DestinationKind::Topic);
        assert!(temporary.is_temporary());
        let lasting = DestinationName::new(DestinationKind::Topic, "8f3a");
        assert!(!lasting.is_temporary());
        assert_ne!(temporary, lasting);
    }
}
