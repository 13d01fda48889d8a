//! Several topics as one: what a durable subscription takes from when that is a pattern or a list.
//!
//! *Invariants.* A set has one name, whatever the order in which its parts were written: that is how it is stored and
//! found again. No topic has the name of a set, since a comma and a wildcard stand in no topic's name.

use super::DestinationKind;
use super::name::DestinationName;
use super::pattern::{Pattern, is_wildcard};
use super::prefix::{self, Scope};

/// One part of a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TopicPart {
    /// This topic.
    One(DestinationName),
    /// Whatever matches, now and later.
    Matching(Pattern),
}

/// The name of a set of these parts; [`None`] if that is one topic, or something in it is no topic that everybody means
/// the same by.
pub fn name_of_set(parts: impl IntoIterator<Item = Option<TopicPart>>) -> Option<DestinationName> {
    let mut names = Vec::new();
    for part in parts {
        names.push(part?.into_name()?);
    }
    names.sort_unstable();
    names.dedup();
    let name = DestinationName::new(DestinationKind::Topic, &names.join(","));
    is_topic_set(&name).then_some(name)
}

/// Whether a name is that of a set.
#[must_use]
pub fn is_topic_set(name: &DestinationName) -> bool {
    name.kind() == DestinationKind::Topic
        && !name.is_temporary()
        && (name.name().contains(',') || name.name().split('.').any(is_wildcard))
}

/// The parts of a set of this name; none if it is not the name of one.
pub fn parts_of_set(name: &DestinationName) -> Vec<TopicPart> {
    if !is_topic_set(name) {
        return Vec::new();
    }
    let kind = DestinationKind::Topic;
    let parts = name.name().split(',');
    let parts = parts.filter_map(|part| match Pattern::parse(kind, part) {
        Ok(Some(pattern)) => Some(TopicPart::Matching(pattern)),
        Ok(None) => Some(TopicPart::One(DestinationName::new(kind, part))),
        Err(_) => None,
    });
    parts.collect()
}

impl TopicPart {
    fn into_name(self) -> Option<String> {
        match self {
            Self::One(name) => (name.kind() == DestinationKind::Topic && !name.is_temporary())
                .then(|| name.name().to_owned()),
            Self::Matching(pattern) => {
                let prefix = prefix::text_of(Scope::Shared, DestinationKind::Topic);
                let text = pattern.to_string();
                text.strip_prefix(prefix).map(str::to_owned)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::destination::SubscribeTarget;

    fn set(text: &str) -> Option<String> {
        let target = SubscribeTarget::parse(text.as_bytes()).expect(text);
        target.topic_set().map(|name| name.wire().to_owned())
    }

    #[test]
    fn a_set_has_one_name_however_it_is_written() {
        for text in [
            "/topic/b.#,/topic/a",
            "/topic/a,/topic/b.>",
            "/topic/a , /topic/b.>,/topic/a",
        ] {
            assert_eq!(set(text).as_deref(), Some("/topic/a,b.>"), "{text}");
        }
        assert_eq!(set("/topic/a.*.c").as_deref(), Some("/topic/a.*.c"));
        assert_eq!(set("/topic/>").as_deref(), Some("/topic/>"));
    }

    #[test]
    fn what_is_one_topic_or_no_topic_is_no_set() {
        for text in [
            "/topic/a",
            "/topic/a,/topic/a",
            "/topic/a,/queue/b",
            "/queue/a.>",
            "/topic/a,/temp-topic/b",
            "/topic/a,/remote-temp-topic/b",
        ] {
            assert_eq!(set(text), None, "{text}");
        }
    }

    #[test]
    fn a_name_tells_its_parts() {
        let name = DestinationName::new(DestinationKind::Topic, "a,b.>");
        let parts = parts_of_set(&name);
        let [TopicPart::One(one), TopicPart::Matching(pattern)] = &parts[..] else {
            panic!("{parts:?}");
        };
        assert_eq!(
            (one.wire(), &*pattern.to_string()),
            ("/topic/a", "/topic/b.>")
        );
        let again = name_of_set(parts.into_iter().map(Some));
        assert_eq!(again, Some(name));
        let plain = DestinationName::new(DestinationKind::Topic, "a.b");
        assert!(parts_of_set(&plain).is_empty());
    }
}
