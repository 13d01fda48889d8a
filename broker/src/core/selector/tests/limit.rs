//! Each limit: what just fits, what does not, and what the error says. And that none can be a way to the stack's end.

use super::super::*;
use super::{Sample, T, parse};

#[track_caller]
fn check_limit(limit: SelectorLimit, text_of: impl Fn(usize) -> String, column: usize) {
    let max = limit.max();
    let fits = Selector::parse(&text_of(max));
    assert!(matches!(fits, Ok(Some(_))), "{limit}: {fits:?}");
    let error = Selector::parse(&text_of(max + 1)).expect_err("over the limit");
    assert_eq!(error, SelectorError::OverLimit { column, limit });
    assert_eq!(
        error.to_string(),
        format!("column {column}: this goes over the limit of {limit}")
    );
}

#[test]
fn a_text_has_a_longest_length() {
    let text = |bytes: usize| format!("a = '{}'", "x".repeat(bytes - 6));
    check_limit(SelectorLimit::Bytes, text, SELECTOR_BYTES_MAX + 1);
    let text = "é".repeat(SELECTOR_BYTES_MAX / 2 + 1);
    let error = Selector::parse(&text).expect_err("too long");
    assert_eq!(error.column(), SELECTOR_BYTES_MAX / 2 + 1);
    assert_eq!(
        error.to_string(),
        "column 4097: this goes over the limit of 8192 bytes a selector (SELECTOR_BYTES_MAX)"
    );
}

#[test]
fn tokens_are_limited() {
    // The end counts too.
    let text = |tokens: usize| format!("{}a = 1", "+".repeat(tokens - 4));
    check_limit(SelectorLimit::Tokens, text, TOKENS_MAX + 3);
}

#[test]
fn nesting_is_limited() {
    let parentheses = |levels: usize| format!("{}a{}", "(".repeat(levels), ")".repeat(levels));
    check_limit(SelectorLimit::Nesting, parentheses, NESTING_MAX + 2);
    let signs = |levels: usize| format!("{}a = 1", "- ".repeat(levels));
    check_limit(SelectorLimit::Nesting, signs, 2 * (NESTING_MAX + 1) + 1);
    let both = |levels: usize| {
        let (open, close) = ("-(".repeat(levels / 2), ")".repeat(levels / 2));
        let sign = "-".repeat(levels % 2);
        format!("{open}{sign}a{close} = 1")
    };
    check_limit(SelectorLimit::Nesting, both, NESTING_MAX + 2);
}

#[test]
fn members_are_limited() {
    let text = |members: usize| format!("a IN ({})", vec!["'x'"; members].join(","));
    check_limit(SelectorLimit::Members, text, 6 + 4 * MEMBERS_MAX + 1);
}

#[test]
fn different_identifiers_are_limited() {
    let text = |count: usize| {
        let names: Vec<_> = (10..10 + count)
            .map(|number| format!("p{number}"))
            .collect();
        format!("p10 OR {}", names.join(" OR "))
    };
    check_limit(
        SelectorLimit::Identifiers,
        text,
        7 * (IDENTIFIERS_MAX + 1) + 1,
    );
}

#[test]
fn patterns_are_limited() {
    let text = |count: usize| vec!["a LIKE 'x'"; count].join(" OR ");
    check_limit(SelectorLimit::Patterns, text, 14 * PATTERNS_MAX + 8);
}

#[test]
fn what_a_pattern_looks_for_is_limited_where_it_has_underscores() {
    let text = |characters: usize| format!("a LIKE '%_{}%'", "x".repeat(characters - 1));
    check_limit(SelectorLimit::Stretch, text, 8);
    for pattern in [
        "x".repeat(1_000),
        "_".repeat(1_000),
        format!("{}%", "_".repeat(1_000)),
    ] {
        parse(&format!("a LIKE '{pattern}'"));
    }
    parse(&format!("a LIKE '%{}%'", "x".repeat(1_000)));
    parse(&format!("a LIKE '%{}'", "_x".repeat(500)));
}

#[test]
fn the_limits_have_their_names() {
    let limits = [
        (SelectorLimit::Bytes, "SELECTOR_BYTES_MAX"),
        (SelectorLimit::Tokens, "TOKENS_MAX"),
        (SelectorLimit::Nesting, "NESTING_MAX"),
        (SelectorLimit::Members, "MEMBERS_MAX"),
        (SelectorLimit::Identifiers, "IDENTIFIERS_MAX"),
        (SelectorLimit::Patterns, "PATTERNS_MAX"),
        (SelectorLimit::Stretch, "STRETCH_MAX"),
    ];
    for (limit, name) in limits {
        let text = limit.to_string();
        assert!(
            text.ends_with(&format!("({name})")) && text.starts_with(&limit.max().to_string()),
            "{text}"
        );
    }
}

/// Everything that recurses, at its deepest and without optimisation, on half the stack that a thread here has.
#[test]
fn the_deepest_selector_needs_little_stack() {
    const STACK_BYTES: usize = 1024 * 1024;
    let deepest = || {
        let (mut open, mut close) = (String::new(), String::new());
        for _ in 0..NESTING_MAX {
            open.push_str("FALSE OR NOT 2 + 3 = 4 AND TRUE = (");
            close.push(')');
        }
        let text = format!("{open}a = 1 + 2 * 3{close}");
        let selector = parse(&text);
        assert_eq!(parse(&selector.to_string()), selector);
        let _ = selector.evaluate(&Sample::of("a:7"));
        let sums = format!(
            "{}a{} = 7",
            "1 + 2 * (0 * 1 + ".repeat(NESTING_MAX),
            ")".repeat(NESTING_MAX)
        );
        let selector = parse(&sums);
        assert_eq!(parse(&selector.to_string()), selector.clone());
        let _ = selector.evaluate(&Sample::of("a:7"));
        let signs = format!("{}a = 7", "- ".repeat(NESTING_MAX));
        assert_eq!(parse(&signs).evaluate(&Sample::of("a:7")), T);
    };
    let thread = std::thread::Builder::new()
        .stack_size(STACK_BYTES)
        .spawn(deepest);
    thread.expect("a thread").join().expect("it ends well");
}
