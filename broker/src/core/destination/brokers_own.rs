//! Names that the broker itself speaks through: advisory topics, on which it alone publishes, the names that ask it for
//! statistics, and the topic that manages the schedule. Names alone say so; nothing is declared.

use super::DestinationKind;
use super::SendTarget;
use super::address::Address;
use super::error::NameError;
use super::name::{DestinationName, check};
use super::pattern::{BROKERS_OWN, Pattern, Segment, Tail};
use super::prefix::{self, Scope};
use crate::core::excerpt::excerpt;

/// The second segment of every advisory topic.
const ADVISORY: &str = "Advisory";

const ADVISORY_BEGINNING: &str = "ActiveMQ.Advisory.";
const STATISTICS_BEGINNING: &str = "ActiveMQ.Statistics.";
const SCHEDULER: &str = "ActiveMQ.Scheduler.Management";
const OF_BROKER: &str = "Broker";
const OF_SUBSCRIPTIONS: &str = "Subscription";
const OF_DESTINATIONS: &str = "Destination";

/// Whether it is a topic on which the broker alone publishes.
#[must_use]
pub fn is_advisory_topic(name: &DestinationName) -> bool {
    name.kind() == DestinationKind::Topic
        && !name.is_temporary()
        && name.name().starts_with(ADVISORY_BEGINNING)
}

/// Whether requests of the schedule are sent there: nothing lies in it.
#[must_use]
pub fn is_schedule_topic(name: &DestinationName) -> bool {
    name.kind() == DestinationKind::Topic && !name.is_temporary() && name.name() == SCHEDULER
}

/// Whether no client's message ever lies there.
#[must_use]
pub fn is_reserved(name: &DestinationName) -> bool {
    is_advisory_topic(name) || is_schedule_topic(name) || StatisticsQuery::is_asked_by(name)
}

/// Whether some advisory topic may match a pattern.
#[must_use]
pub fn may_match_advisories(pattern: &Pattern) -> bool {
    let is =
        |segment: &Segment, text: &str| matches!(segment, Segment::Literal(own) if **own == *text);
    pattern.kind() == DestinationKind::Topic
        && match pattern.segments() {
            [] => false,
            [first] => is(first, BROKERS_OWN) && pattern.tail() == Tail::Rest,
            [first, second, ..] => {
                is(first, BROKERS_OWN) && (*second == Segment::Any || is(second, ADVISORY))
            }
        }
}

/// What a SEND to one of the names that begin `ActiveMQ.Statistics.` asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StatisticsQuery {
    /// `ActiveMQ.Statistics.Broker`
    Broker,
    /// `ActiveMQ.Statistics.Subscription`: each of them.
    Subscriptions,
    /// `ActiveMQ.Statistics.Destination.NAME`, also without the last dot, as ActiveMQ has it.
    One(DestinationName),
    /// The same of a pattern.
    Matching(Pattern),
}

impl StatisticsQuery {
    /// Reads a decoded `destination` header; [`None`] if it asks for no statistics. Its name may be a pattern, so that
    /// it may be none that a message can lie in.
    ///
    /// # Errors
    /// When what it asks about cannot exist.
    pub fn name_in(text: &[u8]) -> Result<Option<DestinationName>, NameError> {
        let Ok(text) = std::str::from_utf8(text) else {
            return Ok(None);
        };
        let Ok((Scope::Shared, kind, name)) = prefix::split(text.trim()) else {
            return Ok(None);
        };
        if !name.starts_with(STATISTICS_BEGINNING) || name.contains([',', '?']) {
            return Ok(None);
        }
        let name = DestinationName::new(kind, name);
        match Self::read(&name)? {
            Some(_) => Ok(Some(name)),
            None => Ok(None),
        }
    }

    /// What a name of [`Self::name_in`] asks for.
    #[must_use]
    pub fn of(name: &DestinationName) -> Option<Self> {
        Self::read(name).ok().flatten()
    }

    /// Whether a name asks for anything.
    #[must_use]
    pub fn is_asked_by(name: &DestinationName) -> bool {
        name.name().starts_with(STATISTICS_BEGINNING) && Self::of(name).is_some()
    }

    fn read(name: &DestinationName) -> Result<Option<Self>, NameError> {
        if name.is_temporary() {
            return Ok(None);
        }
        let about = match name.name().strip_prefix(STATISTICS_BEGINNING) {
            Some(OF_BROKER) => return Ok(Some(Self::Broker)),
            Some(OF_SUBSCRIPTIONS) => return Ok(Some(Self::Subscriptions)),
            Some(rest) => match rest.strip_prefix(OF_DESTINATIONS) {
                Some(about) => about.strip_prefix('.').unwrap_or(about),
                None => return Ok(None),
            },
            None => return Ok(None),
        };
        check(about)?;
        Ok(Some(match Pattern::parse(name.kind(), about)? {
            Some(pattern) => Self::Matching(pattern),
            None => Self::One(DestinationName::new(name.kind(), about)),
        }))
    }
}

/// The one destination that a decoded `reply-to` header names, where the broker itself is to answer. A temporary one
/// goes by the name that everybody knows.
///
/// # Errors
/// When it names none, several, or one that only the broker may send to.
pub fn reply_name(text: &[u8]) -> Result<DestinationName, NameError> {
    let target = SendTarget::parse(text)?;
    let name = match target.addresses() {
        [Address::Named(name)] => name.clone(),
        [Address::RemoteTemporary(remote)] => remote.name().clone(),
        _ => return Err(NameError::ReplyToList),
    };
    if is_reserved(&name) {
        return Err(NameError::BrokersOwn(excerpt(name.wire())));
    }
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::destination::{Source, SubscribeTarget};

    #[test]
    fn a_pattern_may_match_advisories_by_its_first_two_segments() {
        for (text, expected) in [
            ("/topic/ActiveMQ.>", true),
            ("/topic/ActiveMQ.*.Connection", true),
            ("/topic/ActiveMQ.Advisory.>", true),
            ("/topic/ActiveMQ.Advisory.*", true),
            ("/topic/ActiveMQ.Other.>", false),
            ("/topic/ActiveMQ.*", true),
            ("/topic/>", false),
            ("/topic/*.Advisory.Connection", false),
            ("/queue/ActiveMQ.>", false),
        ] {
            let target = SubscribeTarget::parse(text.as_bytes()).expect(text);
            let [Source::Matching(pattern)] = &*target.sources else {
                panic!("{text} is no pattern");
            };
            assert_eq!(may_match_advisories(pattern), expected, "{text}");
        }
    }

    #[test]
    fn a_topic_is_advisory_by_its_beginning() {
        for (text, expected) in [
            ("/topic/ActiveMQ.Advisory.Connection", true),
            ("/topic/ActiveMQ.Advisory", false),
            ("/queue/ActiveMQ.Advisory.Connection", false),
            ("/topic/ActiveMQ.DLQ", false),
        ] {
            let name = DestinationName::parse(text.as_bytes()).expect(text);
            assert_eq!(is_advisory_topic(&name), expected, "{text}");
        }
    }

    #[test]
    fn a_name_says_what_statistics_it_asks_for() {
        let asked = |text: &str| {
            let name = StatisticsQuery::name_in(text.as_bytes()).expect(text)?;
            StatisticsQuery::of(&name)
        };
        let one = |kind, name| Some(StatisticsQuery::One(DestinationName::new(kind, name)));
        let queue = DestinationKind::Queue;
        for (text, expected) in [
            ("ActiveMQ.Statistics.Broker", Some(StatisticsQuery::Broker)),
            (
                "/topic/ActiveMQ.Statistics.Broker",
                Some(StatisticsQuery::Broker),
            ),
            (
                "/queue/ActiveMQ.Statistics.Subscription",
                Some(StatisticsQuery::Subscriptions),
            ),
            (
                "/queue/ActiveMQ.Statistics.Destination.a.b",
                one(queue, "a.b"),
            ),
            (
                "/queue/ActiveMQ.Statistics.Destinationa.b",
                one(queue, "a.b"),
            ),
            (
                "/topic/ActiveMQ.Statistics.Destination.a",
                one(DestinationKind::Topic, "a"),
            ),
            ("/queue/ActiveMQ.Statistics.Other", None),
            ("/queue/ActiveMQ.Statistics", None),
            ("/temp-queue/ActiveMQ.Statistics.Broker", None),
            ("a,/queue/ActiveMQ.Statistics.Broker", None),
        ] {
            assert_eq!(asked(text), expected, "{text}");
        }
        let pattern = asked("/queue/ActiveMQ.Statistics.Destination.>");
        assert!(matches!(pattern, Some(StatisticsQuery::Matching(_))));
    }

    #[test]
    fn statistics_of_what_cannot_exist_are_refused() {
        for text in [
            "ActiveMQ.Statistics.Destination",
            "ActiveMQ.Statistics.Destination.",
            "ActiveMQ.Statistics.Destination.a..b",
            "ActiveMQ.Statistics.Destination.>.a",
        ] {
            StatisticsQuery::name_in(text.as_bytes()).expect_err(text);
        }
    }
}
