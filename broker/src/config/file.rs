//! The configuration file: TOML into what was given, with the line of everything.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use stompbox_store::DestinationKind;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::Origin;
use super::form::{Refusal, Scalar, quote};
use super::given::{DestinationGiven, Given, SectionName, refusal_text};
use super::pattern::Pattern;
use super::policy::{Policy, PolicyGiven};
use super::route::{self, RouteGiven};
use super::section::Section;
use super::suggestion::nearest;
use crate::core::destination::{DestinationName, NAME_BYTES_MAX, has_prefix};

/// The name of the tables that override the policy.
const DESTINATION: &str = "destination";

/// The name of the tables that route messages.
const ROUTE: &str = "route";

/// The keys of such a table besides those of the policy.
const MATCH: &str = "match";
const KIND: &str = "kind";

/// Reads the text of a file into `given`.
pub(super) fn read(path: &Path, text: &str, given: &mut Given) {
    let file = File {
        path: path.into(),
        text,
    };
    match DeTable::parse(text) {
        Ok(root) => file.read_root(root.get_ref(), given),
        Err(error) => {
            let line = error.span().unwrap_or(0..0);
            given.refuse(file.origin(line), String::new(), error.message().to_owned());
        }
    }
}

struct File<'a> {
    path: Arc<Path>,
    text: &'a str,
}

impl File<'_> {
    fn read_root(&self, root: &DeTable<'_>, given: &mut Given) {
        for (name, value) in root {
            let origin = self.origin(name.span());
            let name = name.get_ref().as_ref();
            match (SectionName::parse(name), value.get_ref()) {
                (Some(section), DeValue::Table(table)) => self.read_section(section, table, given),
                (Some(_), _) => {
                    given.refuse(
                        origin,
                        name.to_owned(),
                        format!("write it as a table, [{name}]"),
                    );
                }
                (None, DeValue::Array(tables)) if name == DESTINATION => {
                    for table in tables.iter() {
                        self.read_destination(table, given);
                    }
                }
                (None, DeValue::Array(tables)) if name == ROUTE => {
                    for table in tables.iter() {
                        self.read_route(table, given);
                    }
                }
                (None, _) if name == DESTINATION || name == ROUTE => {
                    let text = format!("write it as one of several tables, [[{name}]]");
                    given.refuse(origin, name.to_owned(), text);
                }
                (None, _) => given.refuse(origin, name.to_owned(), unknown_section(name)),
            }
        }
    }

    fn read_section(&self, section: SectionName, table: &DeTable<'_>, given: &mut Given) {
        for (key, value) in table {
            let origin = self.origin(key.span());
            given.set(section, key.get_ref(), &scalar(value.get_ref()), origin);
        }
    }

    fn read_destination(&self, table: &Spanned<DeValue<'_>>, given: &mut Given) {
        let origin = self.origin(table.span());
        let DeValue::Table(keys) = table.get_ref() else {
            let text = "write it as one of several tables, [[destination]]".to_owned();
            given.refuse(origin, DESTINATION.to_owned(), text);
            return;
        };
        let mut pattern = None;
        let mut kind = None;
        let mut policy = PolicyGiven::default();
        for (key, value) in keys {
            let name = key.get_ref().as_ref();
            let value = scalar(value.get_ref());
            let result = match name {
                MATCH => read_match(&value).map(|read| pattern = Some(read)),
                KIND => read_kind(&value).map(|read| kind = Some(read)),
                _ => Policy::set(&mut policy, name, &value),
            };
            if let Err(refusal) = result {
                let known: Vec<&str> = [MATCH, KIND].iter().chain(Policy::KEYS).copied().collect();
                let text = refusal_text(refusal, name, &known, None);
                given.refuse(
                    self.origin(key.span()),
                    format!("{DESTINATION}.{name}"),
                    text,
                );
            }
        }
        match pattern {
            Some(pattern) if kind.is_some() && !may_be_made(&pattern) => {
                let text = format!(
                    "`{pattern}` with a kind declares a destination, and cannot be the name of one: \
                     use up to {NAME_BYTES_MAX} bytes without control characters and '?'"
                );
                given.refuse(origin, format!("{DESTINATION}.{MATCH}"), text);
            }
            Some(pattern) => {
                given.add_destination(DestinationGiven {
                    pattern,
                    kind,
                    policy,
                    origin,
                });
            }
            None if keys.contains_key(MATCH) => {}
            None => {
                let text = format!("{MATCH} is missing; allowed is {MATCH_ALLOWED}");
                given.refuse(origin, DESTINATION.to_owned(), text);
            }
        }
    }

    fn read_route(&self, table: &Spanned<DeValue<'_>>, given: &mut Given) {
        let origin = self.origin(table.span());
        let DeValue::Table(keys) = table.get_ref() else {
            let text = "write it as one of several tables, [[route]]".to_owned();
            given.refuse(origin, ROUTE.to_owned(), text);
            return;
        };
        let mut route = RouteGiven::new(origin);
        let mut is_refused = false;
        for (key, value) in keys {
            let name = key.get_ref().as_ref();
            if let Err(refusal) = route.set(name, &scalar(value.get_ref())) {
                is_refused = true;
                let text = refusal_text(refusal, name, &route::KEYS, None);
                given.refuse(self.origin(key.span()), format!("{ROUTE}.{name}"), text);
            }
        }
        if !is_refused {
            given.add_route(route);
        }
    }

    fn origin(&self, span: Range<usize>) -> Origin {
        let before = self.text.as_bytes().iter().take(span.start);
        let line = 1 + before.filter(|byte| **byte == b'\n').count();
        Origin::File {
            path: Arc::clone(&self.path),
            line,
        }
    }
}

const MATCH_ALLOWED: &str = "a name without prefix, in which a segment may be * and the last one >";

fn read_match(value: &Scalar) -> Result<Pattern, Refusal> {
    let text = value.text().unwrap_or_default();
    let pattern = Pattern::parse(text).filter(|_| !has_prefix(text));
    pattern.ok_or_else(|| Refusal::Value {
        given: value.to_string(),
        allowed: format!("{MATCH_ALLOWED}{}", instead_of(text)),
    })
}

/// What to write in place of a name with its prefix.
fn instead_of(text: &str) -> String {
    let kinds = [("/queue/", "queue"), ("/topic/", "topic")];
    let mut meant = kinds
        .into_iter()
        .filter_map(|(prefix, kind)| Some((text.strip_prefix(prefix)?, kind)));
    meant.next().map_or_else(String::new, |(name, kind)| {
        format!("; write {} and kind = \"{kind}\"", quote(name))
    })
}

/// Whether a pattern without a wildcard can be the name of a destination.
fn may_be_made(pattern: &Pattern) -> bool {
    let is_name =
        |name: String| DestinationName::parse(format!("/queue/{name}").as_bytes()).is_ok();
    pattern.literal().is_none_or(is_name)
}

fn read_kind(value: &Scalar) -> Result<DestinationKind, Refusal> {
    match value.text() {
        Some("queue") => Ok(DestinationKind::Queue),
        Some("topic") => Ok(DestinationKind::Topic),
        _ => Err(Refusal::Value {
            given: value.to_string(),
            allowed: "\"queue\" or \"topic\"".to_owned(),
        }),
    }
}

fn unknown_section(name: &str) -> String {
    let sections = || {
        SectionName::ALL
            .into_iter()
            .map(SectionName::as_str)
            .chain([DESTINATION, ROUTE])
    };
    if let Some(similar) = nearest(name, sections()) {
        return format!("unknown section; did you mean [{similar}]?");
    }
    let home = SectionName::ALL
        .into_iter()
        .find(|section| section.keys().contains(&name));
    match home {
        Some(section) => format!("this key belongs to a section, [{}]", section.as_str()),
        None => {
            let names: Vec<&str> = sections().collect();
            format!("unknown section; allowed are {}", names.join(", "))
        }
    }
}

fn scalar(value: &DeValue<'_>) -> Scalar {
    match value {
        DeValue::String(text) => Scalar::Text(text.clone().into_owned()),
        DeValue::Integer(integer) => i64::from_str_radix(integer.as_str(), integer.radix())
            .map_or(Scalar::Other("a number out of range"), Scalar::Integer),
        DeValue::Float(float) => float
            .as_str()
            .parse()
            .map_or(Scalar::Other("a malformed number"), Scalar::Float),
        DeValue::Boolean(boolean) => Scalar::Boolean(*boolean),
        DeValue::Datetime(_) => Scalar::Other("a date"),
        DeValue::Array(items) => {
            Scalar::List(items.iter().map(|item| scalar(item.get_ref())).collect())
        }
        DeValue::Table(_) => Scalar::Other("a table"),
    }
}
