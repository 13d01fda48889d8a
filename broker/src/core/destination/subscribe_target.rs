//! The `destination` of a SUBSCRIBE.

use super::address::Address;
use super::error::NameError;
use super::name::DestinationName;
use super::option::ConsumerOptions;
use super::pattern::{Pattern, is_wildcard};
use super::prefix::{self, Scope};
use super::topic_set::{TopicPart, name_of_set};
use super::{DestinationKind, list};
use crate::core::excerpt::excerpt;

/// What a SUBSCRIBE takes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscribeTarget {
    /// Where from: at least one, each once, in the order in which they were named. A name may be matched by a pattern
    /// that stands beside it.
    pub sources: Box<[Source]>,
    /// How, for all of them: as in ActiveMQ a list has its options once, at its end.
    pub options: ConsumerOptions,
}

/// One of the places that a subscription takes from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Source {
    /// This one.
    One(Address),
    /// Whatever matches, now and later.
    Matching(Pattern),
}

impl SubscribeTarget {
    /// Reads a `destination` header.
    ///
    /// # Errors
    /// When one of its names is neither a name nor a pattern, or an option means nothing.
    pub fn parse(text: &[u8]) -> Result<Self, NameError> {
        let text = std::str::from_utf8(text).map_err(|_| NameError::NotUtf8)?;
        let (names, options) = text.split_once('?').unwrap_or((text, ""));
        Ok(Self {
            sources: list::parse(names, Source::parse)?,
            options: ConsumerOptions::parse(options)?,
        })
    }

    /// The name of the topics that it takes from, where those are a pattern or a list.
    #[must_use]
    pub fn topic_set(&self) -> Option<DestinationName> {
        name_of_set(self.sources.iter().map(|source| match source {
            Source::One(Address::Named(name)) => Some(TopicPart::One(name.clone())),
            Source::One(_) => None,
            Source::Matching(pattern) => Some(TopicPart::Matching(pattern.clone())),
        }))
    }
}

impl Source {
    fn parse(text: &str) -> Result<Self, NameError> {
        let (scope, kind, name) = prefix::split(text)?;
        if scope == Scope::Shared {
            if let Some(pattern) = Pattern::parse(kind, name)? {
                return Ok(Self::Matching(pattern));
            }
        } else if name.split('.').any(is_wildcard) {
            return Err(NameError::TemporaryPattern(excerpt(text)));
        }
        Address::parse(text).map(Self::One)
    }

    /// Queue or topic.
    #[must_use]
    pub fn kind(&self) -> DestinationKind {
        match self {
            Self::One(address) => address.kind(),
            Self::Matching(pattern) => pattern.kind(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(text: &str) -> Vec<String> {
        let target = SubscribeTarget::parse(text.as_bytes()).expect(text);
        let show = |source: &Source| match source {
            Source::One(Address::Named(name)) => name.wire().to_owned(),
            Source::One(Address::Temporary(name)) => format!("own {}", name.name()),
            Source::One(Address::RemoteTemporary(remote)) => remote.name().wire().to_owned(),
            Source::Matching(pattern) => format!("pattern {pattern}"),
        };
        target.sources.iter().map(show).collect()
    }

    fn refused(text: &str) -> NameError {
        SubscribeTarget::parse(text.as_bytes()).expect_err(text)
    }

    #[test]
    fn names_and_patterns_stand_side_by_side() {
        assert_eq!(
            sources("a.>,/topic/b.*,/topic/c.#,d,/temp-queue/e"),
            [
                "pattern /queue/a.>",
                "pattern /topic/b.*",
                "pattern /topic/c.>",
                "/queue/d",
                "own e"
            ]
        );
        assert_eq!(sources("/remote-temp-topic/f"), ["/remote-temp-topic/f"]);
    }

    #[test]
    fn what_is_repeated_counts_once_also_in_another_spelling() {
        assert_eq!(
            sources("/topic/a.#,/topic/a.>,b,/queue/b,/queue/a.>"),
            ["pattern /topic/a.>", "/queue/b", "pattern /queue/a.>"]
        );
    }

    #[test]
    fn options_hold_for_the_whole_list() {
        let target =
            SubscribeTarget::parse(b"a,b.*?consumer.priority=7&consumer.selector=x IN ('1','2')")
                .expect("a target");
        assert_eq!(target.sources.len(), 2);
        assert_eq!(target.options.priority, Some(7));
        assert_eq!(target.options.selector.as_deref(), Some("x IN ('1','2')"));
        let bare = SubscribeTarget::parse(b"a?").expect("a target");
        assert_eq!(bare.options, ConsumerOptions::default());
    }

    #[test]
    fn options_before_the_end_of_a_list_are_refused() {
        let text = refused("a?consumer.priority=1,b").to_string();
        assert!(text.contains("stand once, at its end"), "{text}");
    }

    #[test]
    fn a_temporary_destination_is_no_pattern() {
        assert_eq!(
            refused("/temp-queue/>"),
            NameError::TemporaryPattern("/temp-queue/>".to_owned())
        );
        assert_eq!(
            refused("/remote-temp-topic/a.*"),
            NameError::TemporaryPattern("/remote-temp-topic/a.*".to_owned())
        );
    }

    #[test]
    fn names_and_patterns_that_cannot_be_are_refused() {
        assert_eq!(refused("?consumer.priority=1"), NameError::Empty);
        assert_eq!(
            refused("/queue/a.#"),
            NameError::HashOfQueues("a.#".to_owned())
        );
        assert_eq!(
            refused("/topic/>.a"),
            NameError::RestNotLast(">.a".to_owned())
        );
        assert_eq!(
            refused(&vec!["a"; 65].join(",")),
            NameError::TooMany { count: 65 }
        );
        assert!(matches!(refused("a?b=c"), NameError::Option(_)));
        assert!(matches!(
            refused("a,/stream/b"),
            NameError::InList { position: 2, .. }
        ));
    }
}
