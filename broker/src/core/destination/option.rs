//! What stands behind the `?` of a SUBSCRIBE's destination.

use super::error::OptionError;
use super::percent;
use crate::core::excerpt::excerpt;

const PREFETCH_SIZE: &str = "consumer.prefetchSize";
const EXCLUSIVE: &str = "consumer.exclusive";
const PRIORITY: &str = "consumer.priority";
const SELECTOR: &str = "consumer.selector";
const NO_LOCAL: &str = "consumer.noLocal";
const RETROACTIVE: &str = "consumer.retroactive";
const PENDING_LIMIT: &str = "consumer.maximumPendingMessageLimit";
const DISPATCH_ASYNC: &str = "consumer.dispatchAsync";

const NAMES: [&str; 8] = [
    PREFETCH_SIZE,
    EXCLUSIVE,
    PRIORITY,
    SELECTOR,
    NO_LOCAL,
    RETROACTIVE,
    PENDING_LIMIT,
    DISPATCH_ASYNC,
];

/// What a consumer wants, each the same as the header `activemq.` of that name says. Of a repeated option the first
/// counts, as with headers. `consumer.dispatchAsync` is read and means nothing: dispatch never waits here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConsumerOptions {
    /// `consumer.prefetchSize`: 0 is one at a time.
    pub prefetch_size: Option<u32>,
    /// `consumer.exclusive`.
    pub exclusive: Option<bool>,
    /// `consumer.priority`: the greater the sooner.
    pub priority: Option<i32>,
    /// `consumer.selector`, decoded and not empty; not yet known to be one.
    pub selector: Option<Box<str>>,
    /// `consumer.noLocal`.
    pub no_local: Option<bool>,
    /// `consumer.retroactive`.
    pub retroactive: Option<bool>,
    /// `consumer.maximumPendingMessageLimit`: 0 is the policy's.
    pub maximum_pending_message_limit: Option<u32>,
}

impl ConsumerOptions {
    /// Reads `NAME=VALUE&NAME=VALUE`.
    pub(super) fn parse(text: &str) -> Result<Self, OptionError> {
        let mut options = Self::default();
        for option in text.split('&').filter(|option| !option.is_empty()) {
            options.read(option)?;
        }
        Ok(options)
    }

    fn read(&mut self, option: &str) -> Result<(), OptionError> {
        let (written, value) = match option.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (option, None),
        };
        let name = NAMES
            .into_iter()
            .find(|name| *name == written)
            .ok_or_else(|| OptionError::Unknown {
                name: excerpt(written),
                allowed: NAMES.join(", "),
            })?;
        let value = percent::decode(value.ok_or(OptionError::NoValue { name })?)?;
        let value = value.as_str();
        match name {
            PREFETCH_SIZE => first(&mut self.prefetch_size, count(name, value)?),
            EXCLUSIVE => first(&mut self.exclusive, flag(name, value)?),
            PRIORITY => first(&mut self.priority, integer(name, value)?),
            SELECTOR if value.trim().is_empty() => {}
            SELECTOR => first(&mut self.selector, value.into()),
            NO_LOCAL => first(&mut self.no_local, flag(name, value)?),
            RETROACTIVE => first(&mut self.retroactive, flag(name, value)?),
            PENDING_LIMIT => first(&mut self.maximum_pending_message_limit, count(name, value)?),
            _ => drop(flag(name, value)?),
        }
        Ok(())
    }
}

fn first<T>(field: &mut Option<T>, value: T) {
    field.get_or_insert(value);
}

fn count(name: &'static str, value: &str) -> Result<u32, OptionError> {
    value.parse().map_err(|_| {
        name_behind(name, value).unwrap_or_else(|| OptionError::NotNumber {
            name,
            range: "a whole number, 0 or more",
            value: excerpt(value),
        })
    })
}

fn integer(name: &'static str, value: &str) -> Result<i32, OptionError> {
    value.parse().map_err(|_| {
        name_behind(name, value).unwrap_or_else(|| OptionError::NotNumber {
            name,
            range: "a whole number",
            value: excerpt(value),
        })
    })
}

/// `true` or `false`, also capitalised as Python writes them.
fn flag(name: &'static str, value: &str) -> Result<bool, OptionError> {
    if value.eq_ignore_ascii_case("true") {
        return Ok(true);
    }
    if value.eq_ignore_ascii_case("false") {
        return Ok(false);
    }
    Err(
        name_behind(name, value).unwrap_or_else(|| OptionError::NotFlag {
            name,
            value: excerpt(value),
        }),
    )
}

/// The usual way to get a comma into a value.
fn name_behind(name: &'static str, value: &str) -> Option<OptionError> {
    value.contains(',').then(|| OptionError::NameBehind {
        name,
        value: excerpt(value),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        ConsumerOptions::parse(text).expect_err(text).to_string()
    }

    #[test]
    fn every_option_of_activemq_is_read() {
        let text = "consumer.prefetchSize=10&consumer.exclusive=true&consumer.priority=-3\
                    &consumer.selector=a%3D'1,2'&consumer.noLocal=True&consumer.retroactive=false\
                    &consumer.maximumPendingMessageLimit=50&consumer.dispatchAsync=true";
        let expected = ConsumerOptions {
            prefetch_size: Some(10),
            exclusive: Some(true),
            priority: Some(-3),
            selector: Some("a='1,2'".into()),
            no_local: Some(true),
            retroactive: Some(false),
            maximum_pending_message_limit: Some(50),
        };
        assert_eq!(ConsumerOptions::parse(text), Ok(expected));
    }

    #[test]
    fn a_selector_may_be_written_plainly_and_an_empty_one_is_none() {
        let plain = ConsumerOptions::parse("consumer.selector=a = 'x' OR b >= 3").expect("options");
        assert_eq!(plain.selector.as_deref(), Some("a = 'x' OR b >= 3"));
        for text in ["", "&", "consumer.selector=", "consumer.selector=+"] {
            assert_eq!(
                ConsumerOptions::parse(text),
                Ok(ConsumerOptions::default()),
                "{text}"
            );
        }
    }

    #[test]
    fn of_a_repeated_option_the_first_counts() {
        let options = ConsumerOptions::parse("consumer.priority=1&consumer.priority=2");
        assert_eq!(options.expect("options").priority, Some(1));
    }

    #[test]
    fn what_is_no_option_is_refused_with_those_that_there_are() {
        let text = refused("consumer.prefetch=1");
        assert!(
            text.starts_with("'consumer.prefetch' is no option"),
            "{text}"
        );
        for name in NAMES {
            assert!(text.contains(name), "{text}");
        }
        assert!(refused("browser=true").contains("'browser'"));
    }

    #[test]
    fn values_that_mean_nothing_are_refused_with_what_they_may_be() {
        let cases = [
            (
                "consumer.prefetchSize=-1",
                "the option consumer.prefetchSize must be a whole number, 0 or more, not '-1'",
            ),
            (
                "consumer.priority=high",
                "the option consumer.priority must be a whole number, not 'high'",
            ),
            (
                "consumer.exclusive=yes",
                "the option consumer.exclusive must be true or false, not 'yes'",
            ),
            (
                "consumer.dispatchAsync=1",
                "the option consumer.dispatchAsync must be true or false, not '1'",
            ),
            (
                "consumer.exclusive",
                "the option consumer.exclusive has no value: write consumer.exclusive=VALUE, and '&' before the next one",
            ),
            (
                "consumer.priority=1,/queue/b",
                "'1,/queue/b' stands behind the option consumer.priority: options hold for the whole list and stand once, at its end, as in a,b?consumer.priority=VALUE",
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(refused(text), expected);
        }
        assert!(refused("consumer.selector=a LIKE 'b%'").contains("write %25 for '%'"));
    }
}
