//! How conditions are put together, and what an evaluation asks for.

use super::*;

#[test]
fn many_terms_do_not_nest() {
    let message = Sample::of("a:699");
    for (operator, expected) in [(" OR ", T), (" AND ", F)] {
        let terms: Vec<_> = (0..700).map(|number| format!("a={number}")).collect();
        assert_eq!(parse(&terms.join(operator)).evaluate(&message), expected);
    }
    let sum = format!("a = {}", ["1"; 699].join("+"));
    assert_eq!(parse(&sum).evaluate(&message), T);
    let sum = format!("a + 699 = {}", ["a"; 2].join("+"));
    assert_eq!(parse(&sum).evaluate(&message), T);
    let flags = ["f"; 1_500].join(" OR ");
    assert_eq!(parse(&flags).evaluate(&Sample::of("f:false")), F);
    assert_eq!(
        parse(&format!("{}t", "NOT ".repeat(2_000))).evaluate(&Sample::of("t:true")),
        T
    );
}

#[test]
fn a_message_is_asked_once_for_each_identifier() {
    let check_once = |identifiers: usize| {
        let terms: Vec<_> = (0..identifiers)
            .map(|number| format!("p{number} = 1 OR p{number} LIKE '%2%' OR p{number} IN ('3')"))
            .collect();
        let message = Sample::default();
        assert_eq!(parse(&terms.join(" OR ")).evaluate(&message), U);
        let asked = message.asked.borrow();
        assert_eq!(asked.len(), identifiers);
        assert!(asked.values().all(|count| *count == 1), "{asked:?}");
    };
    for identifiers in [1, 4, 5, 32] {
        check_once(identifiers);
    }
    let message = Sample::default().with(JmsHeader::Priority, HeaderValue::Integer(4));
    assert_eq!(
        parse("JMSPriority > 1 AND JMSPriority < 9").evaluate(&message),
        T
    );
    assert_eq!(message.asked.borrow()["JMSPriority"], 1);
}

#[test]
fn nothing_is_asked_for_once_the_answer_is_known() {
    let check_unasked = |selector: &str, expected: Truth| {
        let message = Sample::of("t:true|f:false");
        assert_eq!(parse(selector).evaluate(&message), expected);
        assert!(!message.asked.borrow().contains_key("late"), "{selector}");
    };
    check_unasked("f AND late = 1", F);
    check_unasked("t OR late = 1", T);
    check_unasked("FALSE AND late", F);
    check_unasked("missing = 1 AND f AND late", F);
}

#[test]
fn literals_are_computed_once() {
    let check_folded = |selector: &str, expected: &str| {
        assert_eq!(parse(selector).to_string(), expected);
    };
    check_folded("a = 2 * 3 + 4", "a = 10");
    check_folded("a = -(2 - 7)", "a = 5");
    check_folded("1 + 2 + a = 3", "3 + a = 3");
    check_folded("a + 1 + 2 = 3", "a + 1 + 2 = 3");
    check_folded("a > 60 * 60 * 24", "a > 86400");
    check_folded("1 = 1", "TRUE");
    check_folded("'2' = 2", "FALSE");
    check_folded("NOT 1 = 1", "FALSE");
    check_folded("NOT NOT a = 1", "a = 1");
    check_folded("a = 1 / 0", "a = 1 / 0");
    check_folded("a = 1 / 3", "a = 0.3333333333333333");
    check_folded("a = 1E308 * 10", "a = 1e308 * 10");
}

#[test]
fn a_property_may_hold_any_bytes() {
    let message = Sample {
        properties: vec![
            ("a".to_owned(), vec![0, 0xFF, 0x80, b'x']),
            ("b".to_owned(), vec![0x80, 0x80]),
        ],
        ..Sample::default()
    };
    check(
        &message,
        &[
            ("a = 1", F),
            ("a = TRUE", F),
            ("a", F),
            ("a + 1 = 1", U),
            ("a = b", F),
            ("a LIKE '%x'", T),
            ("a LIKE '___'", T),
            ("a IN ('x')", F),
            ("b LIKE '_'", T),
            ("b LIKE '%_%'", T),
            ("b LIKE '%_'", T),
            ("b LIKE '__'", F),
        ],
    );
}
