//! `docs/selectors.md` is true: its examples are tried, its limits and names are those of the code.

use super::super::SelectorLimit;
use super::*;

const PAGE: &str = include_str!("../../../../../docs/selectors.md");

/// The message whose STOMP headers these are.
fn message(headers: &str) -> Sample {
    let mut message = Sample::default();
    for line in headers.lines() {
        let (name, value) = line.split_once(':').expect("name:value");
        let integer = || HeaderValue::Integer(value.parse().expect("an integer"));
        let text = || HeaderValue::Text(value.as_bytes().to_vec().into());
        message = match name {
            "priority" => message.with(JmsHeader::Priority, integer()),
            "persistent" if value == "true" => {
                message.with(JmsHeader::DeliveryMode, HeaderValue::PERSISTENT)
            }
            "type" => message.with(JmsHeader::Type, text()),
            "correlation-id" => message.with(JmsHeader::CorrelationId, text()),
            _ => message,
        };
        message
            .properties
            .push((name.to_owned(), value.as_bytes().to_vec()));
    }
    message
}

fn said(selector: &str, message: &Sample) -> String {
    match Selector::parse(selector) {
        Ok(Some(selector)) => format!("{:?}", selector.evaluate(message)).to_lowercase(),
        Ok(None) => "everything".to_owned(),
        Err(error) => format!("ERROR {error}"),
    }
}

#[test]
fn the_pages_examples_say_what_it_says() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for block in PAGE.split("```selector\n").skip(1) {
        let (block, _) = block.split_once("\n```").expect("an end of the block");
        let (headers, lines) = block.split_once("\n\n").expect("an empty line");
        let message = message(headers);
        for line in lines.lines() {
            let (selector, expected) = line.split_once(" -> ").expect("an arrow");
            let found = said(selector, &message);
            if found != expected {
                wrong.push(format!("{line}\n    says {found}"));
            }
            count += 1;
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count > 50, "only {count} examples were found");
}

#[test]
fn the_pages_limits_are_the_codes() {
    let limits = [
        ("bytes of a selector", SelectorLimit::Bytes),
        ("words, literals and signs", SelectorLimit::Tokens),
        (
            "levels of parentheses and minus signs",
            SelectorLimit::Nesting,
        ),
        ("strings of one IN", SelectorLimit::Members),
        ("different names", SelectorLimit::Identifiers),
        ("LIKE", SelectorLimit::Patterns),
        (
            "characters between two `%` of a LIKE if a `_` is among them",
            SelectorLimit::Stretch,
        ),
    ];
    let (_, table) = PAGE
        .split_once("| limit | value |\n|---|---|\n")
        .expect("the table");
    let rows = table.lines().take_while(|line| line.starts_with('|'));
    let written: Vec<String> = rows.map(|row| row.replace(',', "")).collect();
    let expected: Vec<String> = limits
        .iter()
        .map(|(name, limit)| format!("| {} | {} |", name.replace(',', ""), limit.max()))
        .collect();
    assert_eq!(written, expected);
}

#[test]
fn the_page_names_every_identifier_of_jms() {
    for header in JmsHeader::ALL {
        assert!(
            PAGE.contains(&format!("`{}`", header.name())),
            "{}",
            header.name()
        );
    }
}
