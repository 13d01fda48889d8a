//! The index against a matcher that is so simple that one can see that it is right.

use std::cell::Cell;
use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::core::destination::{Source, SubscribeTarget, names_matching};

fn pattern(text: &str) -> Pattern {
    let target = SubscribeTarget::parse(text.as_bytes()).expect("a target");
    match target.sources.first() {
        Some(Source::Matching(pattern)) => pattern.clone(),
        other => panic!("{other:?}"),
    }
}

fn name(text: &str) -> DestinationName {
    DestinationName::parse(text.as_bytes()).expect("a name")
}

fn found(index: &PatternIndex<u8>, name: &DestinationName) -> Vec<u8> {
    let mut keys = Vec::new();
    index.matches(name, |key| keys.push(*key));
    keys.sort_unstable();
    keys
}

/// Straight from the rules, on text.
fn is_match(pattern: &[&str], name: &[&str]) -> bool {
    match (pattern, name) {
        ([], []) | ([">"], _) => true,
        ([first, pattern @ ..], [segment, name @ ..]) => {
            (*first == "*" || first == segment) && is_match(pattern, name)
        }
        _ => false,
    }
}

fn is_match_of(pattern: &str, name: &str) -> bool {
    let (Some((pattern_kind, pattern)), Some((kind, name))) =
        (pattern.rsplit_once('/'), name.rsplit_once('/'))
    else {
        return false;
    };
    let is_hidden = name.starts_with("ActiveMQ.") && !pattern.starts_with("ActiveMQ.");
    let pattern: Vec<&str> = pattern.split('.').collect();
    let name: Vec<&str> = name.split('.').collect();
    pattern_kind == kind && !is_hidden && is_match(&pattern, &name)
}

fn segments(wildcards: bool) -> impl Strategy<Value = Vec<&'static str>> {
    let literal = prop_oneof![Just("a"), Just("b"), Just("ActiveMQ")];
    let segment = if wildcards {
        prop_oneof![2 => literal, 2 => Just("*")].boxed()
    } else {
        literal.boxed()
    };
    proptest::collection::vec(segment, 1..5)
}

fn prefix() -> impl Strategy<Value = &'static str> {
    prop_oneof![Just("/queue/"), Just("/topic/")]
}

fn a_pattern() -> impl Strategy<Value = String> {
    (prefix(), segments(true), any::<bool>()).prop_map(|(prefix, mut segments, is_open)| {
        if is_open || !segments.contains(&"*") {
            segments.pop();
            segments.push(">");
        }
        format!("{prefix}{}", segments.join("."))
    })
}

fn a_name() -> impl Strategy<Value = String> {
    (prefix(), segments(false))
        .prop_map(|(prefix, segments)| format!("{prefix}{}", segments.join(".")))
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Insert,
    Remove,
}

fn steps() -> impl Strategy<Value = Vec<(Step, String, u8)>> {
    let step = prop_oneof![3 => Just(Step::Insert), 2 => Just(Step::Remove)];
    // Few patterns, so that some are removed that are in.
    proptest::collection::vec(a_pattern(), 1..12).prop_flat_map(move |patterns| {
        let pattern = proptest::sample::select(patterns);
        proptest::collection::vec((step.clone(), pattern, 0..3u8), 0..40)
    })
}

proptest! {
    #[test]
    fn it_answers_as_the_rules_do_whatever_came_and_went(
        steps in steps(),
        names in proptest::collection::vec(a_name(), 1..8),
    ) {
        let mut index = PatternIndex::default();
        let mut model: BTreeSet<(String, u8)> = BTreeSet::new();
        for (step, text, key) in steps {
            let pattern = pattern(&text);
            let (kind, before) = (pattern.kind(), index.generation(pattern.kind()));
            let has_changed = match step {
                Step::Insert => {
                    let is_new = index.insert(&pattern, key);
                    prop_assert_eq!(is_new, model.insert((text, key)));
                    is_new
                }
                Step::Remove => {
                    let is_gone = index.remove(&pattern, &key);
                    prop_assert_eq!(is_gone, model.remove(&(text, key)));
                    is_gone
                }
            };
            prop_assert_eq!(index.generation(kind) != before, has_changed);
            prop_assert_eq!(index.len(), model.len());
            for text in &names {
                let mut expected: Vec<u8> = model
                    .iter()
                    .filter(|(pattern, _)| is_match_of(pattern, text))
                    .map(|(_, key)| *key)
                    .collect();
                expected.sort_unstable();
                prop_assert_eq!(found(&index, &name(text)), expected, "{}", text);
            }
        }
        for (text, key) in model {
            prop_assert!(index.remove(&pattern(&text), &key));
        }
        prop_assert!(index.queues.root.is_empty() && index.topics.root.is_empty());
    }

    #[test]
    fn a_pattern_finds_among_all_names_those_that_it_matches(
        text in a_pattern(),
        names in proptest::collection::btree_set(a_name(), 0..40),
    ) {
        let map: BTreeMap<DestinationName, ()> =
            names.iter().map(|text| (name(text), ())).collect();
        let pattern = pattern(&text);
        let found: Vec<String> = names_matching(&pattern, &map, &Cell::new(0))
            .map(|(name, ())| name.wire().to_owned())
            .collect();
        let expected: Vec<String> = names
            .into_iter()
            .filter(|name| is_match_of(&text, name))
            .collect();
        prop_assert_eq!(found, expected);
    }
}

#[test]
fn a_key_comes_once_for_each_of_its_patterns_that_matches() {
    let mut index = PatternIndex::default();
    for text in ["/topic/a.>", "/topic/*.b", "/topic/b.>"] {
        assert!(index.insert(&pattern(text), 1));
    }
    assert_eq!(found(&index, &name("/topic/a.b")), [1, 1]);
    assert!(!index.insert(&pattern("/topic/a.#"), 1), "another spelling");
}

#[test]
fn queues_and_topics_have_generations_of_their_own() {
    let mut index = PatternIndex::default();
    let topics = index.generation(DestinationKind::Topic);
    index.insert(&pattern("/queue/a.>"), 1);
    assert_eq!(index.generation(DestinationKind::Topic), topics);
}

#[test]
fn a_temporary_destination_is_never_found() {
    let mut index = PatternIndex::default();
    index.insert(&pattern(">"), 1);
    let temporary = DestinationName::temporary(DestinationKind::Queue, "8f3a");
    assert_eq!(found(&index, &temporary), [] as [u8; 0]);
}
