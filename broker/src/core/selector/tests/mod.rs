//! Selectors against messages: tables of cases by area, and the language at random.

mod compatible;
mod condition;
mod display;
mod document;
mod error;
mod identifier;
mod like;
mod limit;
mod literal;
mod naive;
mod random;
mod value;

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;

use super::{HeaderValue, JmsHeader, Properties, Selector, Truth};

const T: Truth = Truth::True;
const F: Truth = Truth::False;
const U: Truth = Truth::Unknown;

/// A message that counts what it is asked.
#[derive(Debug, Default, Clone)]
struct Sample {
    properties: Vec<(String, Vec<u8>)>,
    headers: Vec<(JmsHeader, HeaderValue<'static>)>,
    asked: RefCell<HashMap<String, usize>>,
}

impl Sample {
    /// From `name:value` pairs, separated by `|`.
    fn of(pairs: &str) -> Self {
        let pairs = pairs.split('|').filter(|pair| !pair.is_empty());
        let pair = |pair: &str| {
            let (name, value) = pair.split_once(':').expect("name:value");
            (name.to_owned(), value.as_bytes().to_vec())
        };
        Self {
            properties: pairs.map(pair).collect(),
            ..Self::default()
        }
    }

    fn with(mut self, header: JmsHeader, value: HeaderValue<'static>) -> Self {
        self.headers.push((header, value));
        self
    }

    fn count(&self, name: &str) {
        *self.asked.borrow_mut().entry(name.to_owned()).or_default() += 1;
    }
}

impl Properties for Sample {
    fn property(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        self.count(name);
        let found = self.properties.iter().find(|(it, _)| it == name);
        found.map(|(_, value)| Cow::Borrowed(value.as_slice()))
    }

    fn header(&self, header: JmsHeader) -> HeaderValue<'_> {
        self.count(header.name());
        let found = self.headers.iter().find(|(it, _)| *it == header);
        found.map_or(HeaderValue::Absent, |(_, value)| value.clone())
    }
}

fn text(value: &'static str) -> HeaderValue<'static> {
    HeaderValue::Text(Cow::Borrowed(value.as_bytes()))
}

fn parse(text: &str) -> Selector {
    match Selector::parse(text) {
        Ok(Some(selector)) => selector,
        other => panic!("{text}: {other:?}"),
    }
}

/// Each case also holds for the selector's canonical text.
#[track_caller]
fn check(message: &Sample, cases: &[(&str, Truth)]) {
    let mut wrong = Vec::new();
    for (text, expected) in cases {
        let selector = parse(text);
        let canonical = selector.to_string();
        assert_eq!(
            parse(&canonical),
            selector,
            "{text} is displayed as {canonical}"
        );
        let found = selector.evaluate(message);
        if found != *expected {
            wrong.push(format!("{text}: {found:?}, not {expected:?}"));
        }
        assert_eq!(selector.matches(message), *expected == T, "{text}");
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
