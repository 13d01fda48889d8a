//! What holds for every text, and the names that a pattern finds.

use std::cell::Cell;
use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// Texts that often are destinations, and often nearly so.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        proptest::collection::vec(
            prop_oneof![
                Just("/queue/"),
                Just("/topic/"),
                Just("/temp-queue/"),
                Just("/remote-temp-topic/"),
                Just("/"),
                Just("a"),
                Just("ActiveMQ"),
                Just("größe"),
                Just("."),
                Just(","),
                Just(" "),
                Just("*"),
                Just(">"),
                Just("#"),
                Just("?consumer.priority=1"),
                Just("\n"),
            ],
            0..8
        )
        .prop_map(|parts| parts.concat()),
    ]
}

fn wire(address: &Address) -> String {
    match address {
        Address::Named(name) => name.wire().to_owned(),
        Address::Temporary(name) => match name.kind() {
            DestinationKind::Queue => format!("/temp-queue/{}", name.name()),
            DestinationKind::Topic => format!("/temp-topic/{}", name.name()),
        },
        Address::RemoteTemporary(remote) => remote.name().wire().to_owned(),
    }
}

fn is_sound(name: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&name.len())
        && !name.contains([',', '?'])
        && !name.chars().any(char::is_control)
        && name.split('.').all(|s| !matches!(s, "" | "*" | ">" | "#"))
}

proptest! {
    #[test]
    fn what_was_read_for_a_send_is_sound_and_reads_the_same_again(text in text()) {
        if let Ok(target) = SendTarget::parse(text.as_bytes()) {
            let wires: Vec<String> = target.addresses().iter().map(wire).collect();
            prop_assert!(!wires.is_empty() && wires.len() <= COMPOSITE_NAMES_MAX);
            for address in target.addresses() {
                let name = match address {
                    Address::Named(name) => name.name(),
                    Address::Temporary(name) => name.name(),
                    Address::RemoteTemporary(remote) => remote.name().name(),
                };
                prop_assert!(is_sound(name), "{name:?}");
            }
            prop_assert_eq!(SendTarget::parse(wires.join(",").as_bytes()), Ok(target));
        }
    }

    #[test]
    fn what_was_read_for_a_subscribe_reads_the_same_again(text in text()) {
        if let Ok(target) = SubscribeTarget::parse(text.as_bytes()) {
            let written: Vec<String> = target
                .sources
                .iter()
                .map(|source| match source {
                    Source::One(address) => wire(address),
                    Source::Matching(pattern) => pattern.to_string(),
                })
                .collect();
            let again = SubscribeTarget::parse(written.join(",").as_bytes()).expect("a target");
            prop_assert_eq!(again.sources, target.sources);
        }
    }

    #[test]
    fn a_send_takes_what_a_subscribe_takes_but_patterns_and_options(text in text()) {
        let send = SendTarget::parse(text.as_bytes());
        match SubscribeTarget::parse(text.as_bytes()) {
            Ok(SubscribeTarget { sources, .. }) => {
                let is_plain = !text.contains('?')
                    && sources.iter().all(|source| matches!(source, Source::One(_)));
                prop_assert_eq!(send.is_ok(), is_plain);
            }
            Err(_) => prop_assert!(send.is_err()),
        }
    }
}

fn pattern(text: &str) -> Pattern {
    let target = SubscribeTarget::parse(text.as_bytes()).expect("a target");
    match target.sources.first() {
        Some(Source::Matching(pattern)) => pattern.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_pattern_finds_its_names_among_all() {
    let names: BTreeMap<DestinationName, ()> = [
        "a",
        "a.b",
        "a.b.c",
        "a-b",
        "a.",
        "ab",
        "b.c",
        "/topic/a.b",
        "ActiveMQ.DLQ",
    ]
    .iter()
    .filter_map(|text| Some((DestinationName::parse(text.as_bytes()).ok()?, ())))
    .chain([(
        DestinationName::temporary(DestinationKind::Queue, "a.b"),
        (),
    )])
    .collect();
    let found = |text: &str| -> Vec<String> {
        names_matching(&pattern(text), &names, &Cell::new(0))
            .map(|(name, ())| name.wire().to_owned())
            .collect()
    };
    assert_eq!(found("a.>"), ["/queue/a", "/queue/a.b", "/queue/a.b.c"]);
    assert_eq!(found("a.*"), ["/queue/a.b"]);
    assert_eq!(found("*.c"), ["/queue/b.c"]);
    assert_eq!(found("a.b.>"), ["/queue/a.b", "/queue/a.b.c"]);
    assert_eq!(found("/topic/>"), ["/topic/a.b"]);
    assert_eq!(found("ActiveMQ.>"), ["/queue/ActiveMQ.DLQ"]);
    assert_eq!(found("none.>"), [] as [&str; 0]);
    assert_eq!(found(">").len(), 6);
}

#[test]
fn a_reply_to_is_the_connections_own_only_with_a_temporary_prefix() {
    let own = |value: &[u8]| {
        TemporaryName::in_reply_to(value).map(|name| name.map(|name| name.name().to_owned()))
    };
    assert_eq!(own(b"/temp-queue/answers"), Ok(Some("answers".to_owned())));
    assert_eq!(own(b"/temp-topic/answers"), Ok(Some("answers".to_owned())));
    for verbatim in [
        &b"/queue/answers"[..],
        b"/remote-temp-queue/8f3a",
        b"/temp-box/a",
        b"a..b",
        b"\xff",
    ] {
        assert_eq!(own(verbatim), Ok(None));
    }
    assert_eq!(own(b"/temp-queue/"), Err(NameError::Empty));
    assert_eq!(own(b"/temp-queue/a,b"), Err(NameError::ReplyToList));
    assert_eq!(own(b"/temp-queue/a?b"), Err(NameError::Options));
    assert_eq!(own(b"/temp-queue/\xff"), Err(NameError::NotUtf8));
}
