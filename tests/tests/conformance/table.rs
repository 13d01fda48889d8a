//! `docs/conformance.md` and the tests agree: every rule has a number, every number its tests, every test its rules.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Rules of each section of the dialect that is in the table.
const SECTIONS: [(u32, u32); 9] = [
    (1, 57),
    (2, 19),
    (3, 28),
    (4, 30),
    (5, 30),
    (6, 49),
    (7, 9),
    (8, 15),
    (9, 10),
];

/// What a row may say of its rule.
const RESULTS: [&str; 2] = ["holds", "not yet"];

type Rule = (u32, u32);

#[derive(Debug)]
struct Row {
    rule: Rule,
    statement: String,
    tests: BTreeSet<String>,
    result: String,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// `D6.12`
fn rule(text: &str) -> Option<Rule> {
    let (section, number) = text.strip_prefix('D')?.split_once('.')?;
    Some((section.parse().ok()?, number.parse().ok()?))
}

fn rows() -> Vec<Row> {
    let page = read(&root().join("../docs/conformance.md"));
    let lines = page.lines().filter(|line| line.starts_with("| D"));
    lines
        .map(|line| {
            let cells: Vec<_> = line.trim_matches('|').split(" | ").map(str::trim).collect();
            let [number, statement, tests, result] = cells[..] else {
                panic!("not four cells: {line}");
            };
            let tests = tests.split('`').filter(|name| name.contains("::"));
            Row {
                rule: rule(number).unwrap_or_else(|| panic!("no rule: {line}")),
                statement: statement.to_owned(),
                tests: tests.map(str::to_owned).collect(),
                result: result.to_owned(),
            }
        })
        .collect()
}

/// The rules of each test, from the comments above them in the modules that `main.rs` names.
fn tests() -> BTreeMap<String, BTreeSet<Rule>> {
    let folder = root().join("tests/conformance");
    let main = read(&folder.join("main.rs"));
    let modules = main.lines().filter_map(|line| line.strip_prefix("mod "));
    let mut found = BTreeMap::new();
    for module in modules.map(|name| name.trim_end_matches(';')) {
        let mut rules = BTreeSet::new();
        let mut is_test = false;
        for line in read(&folder.join(format!("{module}.rs"))).lines() {
            if let Some(comment) = line.strip_prefix("/// D") {
                let names = format!("D{comment}");
                rules = names
                    .split(", ")
                    .map(|name| rule(name).unwrap_or_else(|| panic!("{module}: {line}")))
                    .collect();
            } else if line == "#[test]" {
                is_test = true;
            } else if let Some(rest) = line.strip_prefix("fn ") {
                let (name, _) = rest.split_once('(').expect("a function has parameters");
                if std::mem::take(&mut is_test) {
                    let rules = std::mem::take(&mut rules);
                    found.insert(format!("{module}::{name}"), rules);
                }
            }
        }
    }
    found.retain(|name, _| !name.starts_with("table::"));
    found
}

#[test]
fn every_rule_stands_in_the_table_once_and_in_order() {
    let expected: Vec<Rule> = SECTIONS
        .iter()
        .flat_map(|(section, count)| (1..=*count).map(move |number| (*section, number)))
        .collect();
    let found: Vec<Rule> = rows().iter().map(|row| row.rule).collect();
    assert_eq!(found, expected);
}

#[test]
fn every_row_says_what_is_true_and_how_that_is_known() {
    for row in rows() {
        assert!(!row.statement.is_empty(), "{row:?}");
        let result = row.result.split(':').next().unwrap_or_default();
        assert!(RESULTS.contains(&result), "{row:?}");
        assert!(!row.tests.is_empty() || result == "not yet", "{row:?}");
    }
}

#[test]
fn the_table_and_the_comments_above_the_tests_name_the_same_pairs() {
    let mut in_table = BTreeSet::new();
    for row in rows() {
        in_table.extend(row.tests.into_iter().map(|test| (test, row.rule)));
    }
    let mut in_sources = BTreeSet::new();
    for (test, rules) in tests() {
        assert!(!rules.is_empty(), "{test} names no rule");
        in_sources.extend(rules.into_iter().map(|rule| (test.clone(), rule)));
    }
    assert!(in_sources.len() > 200, "the sources were not understood");
    let missing: Vec<_> = in_sources.difference(&in_table).collect();
    let invented: Vec<_> = in_table.difference(&in_sources).collect();
    assert!(
        missing.is_empty() && invented.is_empty(),
        "not in the table: {missing:#?}\nnot in the sources: {invented:#?}"
    );
}
