//! The `destination` of a SEND.

use super::address::Address;
use super::error::NameError;
use super::list;

/// Where a SEND goes: at least one destination, each once, in the order in which they were named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendTarget(Box<[Address]>);

impl SendTarget {
    /// Reads a `destination` header.
    ///
    /// # Errors
    /// When one of its names is none, is a pattern, or there are options.
    pub fn parse(text: &[u8]) -> Result<Self, NameError> {
        let text = std::str::from_utf8(text).map_err(|_| NameError::NotUtf8)?;
        if text.contains('?') {
            return Err(NameError::Options);
        }
        list::parse(text, Address::parse).map(Self)
    }

    /// The destinations; never none.
    #[must_use]
    pub fn addresses(&self) -> &[Address] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::destination::{DestinationKind, DestinationName};

    fn wires(text: &str) -> Vec<String> {
        let target = SendTarget::parse(text.as_bytes()).expect(text);
        let wire = |address: &Address| match address {
            Address::Named(name) => name.wire().to_owned(),
            Address::Temporary(name) => format!("own {:?} {}", name.kind(), name.name()),
            Address::RemoteTemporary(remote) => remote.name().wire().to_owned(),
        };
        target.addresses().iter().map(wire).collect()
    }

    fn refused(text: &str) -> NameError {
        SendTarget::parse(text.as_bytes()).expect_err(text)
    }

    #[test]
    fn one_name_is_one_destination() {
        assert_eq!(wires("/topic/a.b"), ["/topic/a.b"]);
        assert_eq!(wires("a"), ["/queue/a"]);
        assert_eq!(wires(" /queue/a "), ["/queue/a"]);
    }

    #[test]
    fn a_list_keeps_its_order_and_each_name_is_read_by_itself() {
        assert_eq!(
            wires("/topic/b,a, /queue/c,/temp-queue/d,/remote-temp-topic/e"),
            [
                "/topic/b",
                "/queue/a",
                "/queue/c",
                "own Queue d",
                "/remote-temp-topic/e"
            ]
        );
    }

    #[test]
    fn a_name_that_is_repeated_counts_once() {
        assert_eq!(
            wires("b,a,/queue/b,/topic/a,a"),
            ["/queue/b", "/queue/a", "/topic/a"]
        );
    }

    #[test]
    fn temporary_destinations_are_told_apart_by_whose_name_it_is() {
        let target = SendTarget::parse(b"/remote-temp-queue/8f3a").expect("a target");
        let [Address::RemoteTemporary(remote)] = target.addresses() else {
            panic!("{target:?}");
        };
        let made = DestinationName::temporary(DestinationKind::Queue, "8f3a");
        assert_eq!(*remote.name(), made);
        let target = SendTarget::parse(b"/temp-queue/answers").expect("a target");
        let [Address::Temporary(own)] = target.addresses() else {
            panic!("{target:?}");
        };
        assert_eq!(own.made_as("8f3a"), made);
    }

    #[test]
    fn at_most_sixty_four_names_are_taken() {
        let list = |count: usize| vec!["a"; count].join(",");
        assert_eq!(wires(&list(64)), ["/queue/a"]);
        assert_eq!(refused(&list(65)), NameError::TooMany { count: 65 });
        assert!(refused(&list(65)).to_string().contains("at most 64"));
    }

    #[test]
    fn a_pattern_and_options_are_refused() {
        assert_eq!(
            refused("/topic/a.>"),
            NameError::Pattern("/topic/a.>".to_owned())
        );
        assert_eq!(refused("a.*"), NameError::Pattern("a.*".to_owned()));
        assert_eq!(
            refused("/temp-queue/#"),
            NameError::Pattern("/temp-queue/#".to_owned())
        );
        assert_eq!(refused("a?consumer.priority=1"), NameError::Options);
    }

    #[test]
    fn of_a_list_the_error_says_which_name_it_is() {
        assert_eq!(refused(""), NameError::Empty);
        assert_eq!(
            refused("a,,b").to_string(),
            "name 2 of the destination's list: the destination has no name: write /queue/NAME or \
             /topic/NAME"
        );
        assert_eq!(
            refused("a,/topic/b.*"),
            NameError::InList {
                position: 2,
                error: Box::new(NameError::Pattern("/topic/b.*".to_owned())),
            }
        );
    }

    #[test]
    fn names_that_cannot_exist_are_refused() {
        assert_eq!(refused("/temp-queue/"), NameError::Empty);
        assert_eq!(refused("/remote-temp-queue/a..b"), NameError::EmptySegment);
        assert_eq!(
            refused("/temp/a"),
            NameError::UnknownPrefix("/temp/a".to_owned())
        );
        assert_eq!(refused("a\u{7f}"), NameError::ControlCharacter);
        assert_eq!(refused(&"x".repeat(256)), NameError::TooLong { bytes: 256 });
        assert_eq!(SendTarget::parse(b"\xff"), Err(NameError::NotUtf8));
    }
}
