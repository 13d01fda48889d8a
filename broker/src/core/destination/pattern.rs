//! Patterns of destination names, as ActiveMQ has them: `.` separates segments, `*` stands for one, `>` for the rest,
//! also none. For topics `#` is another spelling of `>`.

use std::fmt;

use super::DestinationKind;
use super::error::NameError;
use super::name::{DestinationName, check};
use super::prefix::{self, Scope};
use crate::core::excerpt::excerpt;

/// Names that begin with this segment and a dot are the broker's own: no wildcard stands for it.
pub(in crate::core) const BROKERS_OWN: &str = "ActiveMQ";

/// Whether a name is one that only a pattern with [`BROKERS_OWN`] as its first segment matches.
pub(in crate::core) fn is_brokers_own(name: &str) -> bool {
    name.strip_prefix(BROKERS_OWN)
        .is_some_and(|rest| rest.starts_with('.'))
}

/// Whether a segment means more than itself, so that no name has it.
pub(super) fn is_wildcard(segment: &str) -> bool {
    matches!(segment, "*" | ">" | "#")
}

/// One segment of a pattern.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::core) enum Segment {
    /// This one.
    Literal(Box<str>),
    /// Any one.
    Any,
}

/// What may stand behind the segments of a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::core) enum Tail {
    /// Nothing.
    End,
    /// Any number of segments.
    Rest,
}

/// A pattern of the names of queues or of topics. At least one of its segments is a wildcard.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pattern {
    kind: DestinationKind,
    segments: Box<[Segment]>,
    tail: Tail,
}

impl Pattern {
    /// Reads a name of this kind, prefix cut off; [`None`] if it is no pattern.
    pub(super) fn parse(kind: DestinationKind, name: &str) -> Result<Option<Self>, NameError> {
        check(name)?;
        if !name.split('.').any(is_wildcard) {
            return Ok(None);
        }
        let mut segments = Vec::new();
        let mut tail = Tail::End;
        for segment in name.split('.') {
            if tail == Tail::Rest {
                return Err(NameError::RestNotLast(excerpt(name)));
            }
            match (segment, kind) {
                ("*", _) => segments.push(Segment::Any),
                (">", _) | ("#", DestinationKind::Topic) => tail = Tail::Rest,
                ("#", DestinationKind::Queue) => {
                    return Err(NameError::HashOfQueues(excerpt(name)));
                }
                (literal, _) => segments.push(Segment::Literal(literal.into())),
            }
        }
        Ok(Some(Self {
            kind,
            segments: segments.into_boxed_slice(),
            tail,
        }))
    }

    /// Whether it is about queues or about topics.
    #[must_use]
    pub fn kind(&self) -> DestinationKind {
        self.kind
    }

    /// Its segments, the rest not among them.
    pub(in crate::core) fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// What may follow them.
    pub(in crate::core) fn tail(&self) -> Tail {
        self.tail
    }

    /// Whether it matches a destination.
    #[must_use]
    pub fn matches(&self, name: &DestinationName) -> bool {
        if name.kind() != self.kind || name.is_temporary() {
            return false;
        }
        if is_brokers_own(name.name()) && self.segments.first().is_none_or(|s| *s == Segment::Any) {
            return false;
        }
        let mut parts = name.name().split('.');
        let is_begun = self.segments.iter().all(|segment| match segment {
            Segment::Literal(literal) => parts.next() == Some(literal),
            Segment::Any => parts.next().is_some(),
        });
        is_begun
            && match self.tail {
                Tail::End => parts.next().is_none(),
                Tail::Rest => true,
            }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(prefix::text_of(Scope::Shared, self.kind))?;
        for (index, segment) in self.segments.iter().enumerate() {
            let dot = if index == 0 { "" } else { "." };
            match segment {
                Segment::Literal(literal) => write!(f, "{dot}{literal}")?,
                Segment::Any => write!(f, "{dot}*")?,
            }
        }
        match (self.tail, self.segments.is_empty()) {
            (Tail::End, _) => Ok(()),
            (Tail::Rest, true) => f.write_str(">"),
            (Tail::Rest, false) => f.write_str(".>"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Pattern {
        let (_, kind, name) = prefix::split(text).expect("a prefix");
        Pattern::parse(kind, name)
            .expect("well-formed")
            .expect("a pattern")
    }

    fn check(text: &str, name: &str, expected: bool) {
        let name = DestinationName::parse(name.as_bytes()).expect("a name");
        assert_eq!(pattern(text).matches(&name), expected, "{text} on {name}");
    }

    #[test]
    fn patterns_match_as_in_activemq() {
        check(">", "a", true);
        check(">", "a.b.c", true);
        check("a.>", "a", true);
        check("a.>", "a.b.c", true);
        check("a.>", "ab", false);
        check("a.*", "a", false);
        check("a.*", "a.b", true);
        check("a.*", "a.b.c", false);
        check("*.b", "a.b", true);
        check("*.b", "b", false);
        check("a.*.c", "a.b.c", true);
        check("a.*.>", "a.b", true);
        check("a.*.>", "a", false);
        check("/topic/a.#", "/topic/a", true);
        check("/topic/#", "/topic/a.b", true);
    }

    #[test]
    fn a_pattern_of_topics_matches_no_queue() {
        check("/topic/>", "/queue/a", false);
        check("/queue/>", "/topic/a", false);
    }

    #[test]
    fn a_wildcard_is_a_whole_segment() {
        check("a*.*", "a*.b", true);
        check("a*.*", "ab.b", false);
    }

    #[test]
    fn the_brokers_own_names_are_matched_only_by_patterns_that_say_so() {
        for (text, expected) in [
            (">", false),
            ("*.DLQ", false),
            ("*.>", false),
            ("ActiveMQ.>", true),
            ("ActiveMQ.*", true),
        ] {
            check(text, "ActiveMQ.DLQ", expected);
        }
        check(">", "ActiveMQ", true);
        check(">", "ActiveMQs.DLQ", true);
    }

    #[test]
    fn a_temporary_destination_is_never_matched() {
        let temporary = DestinationName::temporary(DestinationKind::Queue, "8f3a.1");
        for text in [">", "*.*", "8f3a.*"] {
            assert!(!pattern(text).matches(&temporary), "{text}");
        }
    }

    #[test]
    fn malformed_patterns_are_refused() {
        let refused = |kind, name: &str| Pattern::parse(kind, name).expect_err(name);
        let queue = DestinationKind::Queue;
        assert_eq!(
            refused(queue, ">.a"),
            NameError::RestNotLast(">.a".to_owned())
        );
        assert_eq!(
            refused(DestinationKind::Topic, "a.#.>"),
            NameError::RestNotLast("a.#.>".to_owned())
        );
        assert_eq!(
            refused(queue, "a.#"),
            NameError::HashOfQueues("a.#".to_owned())
        );
        assert_eq!(refused(queue, "a..>"), NameError::EmptySegment);
        assert_eq!(refused(queue, ""), NameError::Empty);
        let long = format!("{}.>", "x".repeat(254));
        assert_eq!(refused(queue, &long), NameError::TooLong { bytes: 256 });
        assert_eq!(Pattern::parse(queue, "a.b"), Ok(None));
    }

    #[test]
    fn a_pattern_is_written_as_it_was_read_with_one_spelling_of_the_rest() {
        for text in ["/queue/>", "/topic/a.*.>", "/queue/*.b"] {
            assert_eq!(pattern(text).to_string(), text);
        }
        assert_eq!(pattern("/topic/a.#").to_string(), "/topic/a.>");
        assert_eq!(pattern("/topic/a.#"), pattern("/topic/a.>"));
    }
}
