//! What is refused, where, and in which words.

use super::*;

/// `(selector, message)`; the message names the column.
#[track_caller]
fn check_refused(cases: &[(&str, &str)]) {
    let mut wrong = Vec::new();
    for (text, expected) in cases {
        let found = match Selector::parse(text) {
            Ok(selector) => format!("accepted: {selector:?}"),
            Err(error) => {
                let message = error.to_string();
                assert!(
                    message.starts_with(&format!("column {}: ", error.column())),
                    "{message}"
                );
                message
            }
        };
        if found != *expected {
            wrong.push(format!("{text}\n    {found}\nnot {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

const VALUE: &str =
    "expected a value: an identifier, a number, a string in ', TRUE, FALSE or (, found";

#[test]
fn what_jms_forbids_is_refused_at_its_place() {
    check_refused(&[
        ("=TEST 'test'", &format!("column 1: {VALUE} =")),
        (
            "a = 1 AMD b = 2",
            "column 7: expected an operator, AND, OR or the end, found AMD",
        ),
        (
            "3+5",
            "column 1: expected a condition such as price > 10, found a number",
        ),
        (
            "True AND 3+5",
            "column 10: expected a condition such as price > 10, found a number",
        ),
        (
            "foo.bar = 1",
            "column 4: unexpected '.': a name with other characters than letters, digits, _ and $ stands in double \
             quotes",
        ),
        (") foo = 'bar' (", &format!("column 1: {VALUE} )")),
        (
            "'a' AND 1",
            "column 1: expected a condition such as price > 10, found a string",
        ),
        (
            "a AND 1",
            "column 7: expected a condition such as price > 10, found a number",
        ),
        (
            "NOT 'a'",
            "column 5: expected a condition such as price > 10, found a string",
        ),
        (
            "'a'",
            "column 1: expected a condition such as price > 10, found a string",
        ),
        (
            "-a",
            "column 1: expected a condition such as price > 10, found a number",
        ),
        (
            "a OR b + 1",
            "column 6: expected a condition such as price > 10, found a number",
        ),
    ]);
}

#[test]
fn an_incomplete_selector_says_what_is_missing() {
    check_refused(&[
        ("a =", &format!("column 4: {VALUE} the end")),
        ("a = ", &format!("column 5: {VALUE} the end")),
        ("a = 1 AND", &format!("column 10: {VALUE} the end")),
        ("NOT", &format!("column 4: {VALUE} the end")),
        (
            "(a = 1",
            "column 7: expected an operator, AND, OR or ), found the end",
        ),
        (
            "((a = 1)",
            "column 9: expected an operator, AND, OR or ), found the end",
        ),
        (
            "a = 1)",
            "column 6: expected an operator, AND, OR or the end, found )",
        ),
        ("()", &format!("column 2: {VALUE} )")),
        (
            "a BETWEEN 1",
            "column 12: expected AND and the upper bound of BETWEEN, found the end",
        ),
        (
            "a BETWEEN 1 OR 2",
            "column 13: expected AND and the upper bound of BETWEEN, found OR",
        ),
        ("a BETWEEN 1 AND", &format!("column 16: {VALUE} the end")),
        ("a NOT 1", "column 7: expected BETWEEN, IN or LIKE, found 1"),
        (
            "a NOT = 1",
            "column 7: expected BETWEEN, IN or LIKE, found =",
        ),
        ("a IS", "column 5: expected NULL or NOT NULL, found the end"),
        ("a IS 1", "column 6: expected NULL or NOT NULL, found 1"),
        (
            "a IS NOT TRUE",
            "column 10: expected NULL or NOT NULL, found TRUE",
        ),
        (
            "a IN",
            "column 5: expected ( and the list of IN, found the end",
        ),
        (
            "a IN 'x'",
            "column 6: expected ( and the list of IN, found 'x'",
        ),
        (
            "a IN ()",
            "column 7: expected a string in ', since IN lists strings, found )",
        ),
        (
            "a IN (1, 2)",
            "column 7: expected a string in ', since IN lists strings, found 1",
        ),
        (
            "a IN ('x' 'y')",
            "column 11: expected a comma or ) in the list of IN, found 'y'",
        ),
        (
            "a IN ('x',)",
            "column 11: expected a string in ', since IN lists strings, found )",
        ),
        ("a LIKE", "column 7: expected a pattern in ', found the end"),
        ("a LIKE b", "column 8: expected a pattern in ', found b"),
        (
            "a LIKE 'x' ESCAPE",
            "column 18: expected a string of one character, found the end",
        ),
        (
            "a LIKE 'x' ESCAPE ''",
            "column 19: expected a string of one character, found ''",
        ),
        (
            "a LIKE 'x' ESCAPE '!!'",
            "column 19: expected a string of one character, found '!!'",
        ),
        ("ESCAPE = 1", &format!("column 1: {VALUE} ESCAPE")),
    ]);
}

#[test]
fn an_operand_of_the_wrong_type_is_refused() {
    const ORDER: &str =
        "expected a number or an identifier, since strings and booleans only compare by = and <>";
    const COMPUTE: &str =
        "expected a number or an identifier, since + - * / % compute with numbers";
    const BETWEEN: &str = "expected a number or an identifier, since BETWEEN is about numbers";
    const IDENTIFIER: &str = "expected an identifier before IN, LIKE and IS";
    check_refused(&[
        ("a < 'x'", &format!("column 5: {ORDER}, found a string")),
        ("'x' >= a", &format!("column 1: {ORDER}, found a string")),
        ("a > TRUE", &format!("column 5: {ORDER}, found a boolean")),
        (
            "(a = 1) < 2",
            &format!("column 1: {ORDER}, found a boolean"),
        ),
        (
            "a + 'x' = 1",
            &format!("column 5: {COMPUTE}, found a string"),
        ),
        (
            "name + '!' = 'James!'",
            &format!("column 8: {COMPUTE}, found a string"),
        ),
        (
            "TRUE * 2 = 1",
            &format!("column 1: {COMPUTE}, found a boolean"),
        ),
        ("-'x' = 1", &format!("column 2: {COMPUTE}, found a string")),
        ("+TRUE", &format!("column 2: {COMPUTE}, found a boolean")),
        (
            "a BETWEEN 'a' AND 'b'",
            &format!("column 11: {BETWEEN}, found a string"),
        ),
        (
            "a BETWEEN 1 AND TRUE",
            &format!("column 17: {BETWEEN}, found a boolean"),
        ),
        (
            "'b' NOT BETWEEN 1 AND 2",
            &format!("column 1: {BETWEEN}, found a string"),
        ),
        (
            "'x' IN ('x')",
            &format!("column 1: {IDENTIFIER}, found a string"),
        ),
        (
            "5 NOT IN ('x')",
            &format!("column 1: {IDENTIFIER}, found a number"),
        ),
        (
            "'x' LIKE 'x'",
            &format!("column 1: {IDENTIFIER}, found a string"),
        ),
        (
            "a + 1 LIKE 'x'",
            &format!("column 1: {IDENTIFIER}, found a number"),
        ),
        (
            "(a = 1) IS NULL",
            &format!("column 1: {IDENTIFIER}, found a boolean"),
        ),
        (
            "NULL IS NULL",
            "column 1: expected a value: whether there is none is asked by IS NULL, found NULL",
        ),
        (
            "a = NULL",
            "column 5: expected a value: whether there is none is asked by IS NULL, found NULL",
        ),
        (
            "a <> null",
            "column 6: expected a value: whether there is none is asked by IS NULL, found null",
        ),
    ]);
}

#[test]
fn comparisons_do_not_chain() {
    const CHAIN: &str =
        "expected AND, OR or the end: a comparison within another needs parentheses, found";
    check_refused(&[
        ("1 < a < 3", &format!("column 7: {CHAIN} <")),
        ("a = b = c", &format!("column 7: {CHAIN} =")),
        ("a = 1 IS NULL", &format!("column 7: {CHAIN} IS")),
        ("a IN ('x') = TRUE", &format!("column 12: {CHAIN} =")),
        ("a LIKE 'x' LIKE 'y'", &format!("column 12: {CHAIN} LIKE")),
        (
            "a BETWEEN 1 AND 2 BETWEEN 3 AND 4",
            &format!("column 19: {CHAIN} BETWEEN"),
        ),
        ("a = NOT b", &format!("column 5: {VALUE} NOT")),
    ]);
}

#[test]
fn a_literal_that_is_none_is_refused() {
    const NUMBER: &str = "is not a number: integers have 64 bit, 0x begins hexadecimal and 0 octal ones; 1.5 and 2E3 are \
                          floating point";
    check_refused(&[
        ("a = 08", &format!("column 5: 08 {NUMBER}")),
        ("a = 0x", &format!("column 5: 0x {NUMBER}")),
        ("a = 0b1", &format!("column 5: 0b1 {NUMBER}")),
        ("a = 5kg", &format!("column 5: 5kg {NUMBER}")),
        ("a = 1e", &format!("column 5: 1e {NUMBER}")),
        ("a = 1_000", &format!("column 5: 1_000 {NUMBER}")),
        ("a = 1E400", &format!("column 5: 1E400 {NUMBER}")),
        (
            "a = 99999999999999999999",
            &format!("column 5: 99999999999999999999 {NUMBER}"),
        ),
        (
            "a = 9223372036854775808",
            &format!("column 5: 9223372036854775808 {NUMBER}"),
        ),
        (
            "a = - 9223372036854775809",
            &format!("column 7: 9223372036854775809 {NUMBER}"),
        ),
        (
            "a = -(9223372036854775808)",
            &format!("column 7: 9223372036854775808 {NUMBER}"),
        ),
        (
            "a = 0x8000000000000000",
            &format!("column 5: 0x8000000000000000 {NUMBER}"),
        ),
        ("a = .5.x", &format!("column 5: .5.x {NUMBER}")),
        ("a = 1.5.5", &format!("column 5: 1.5.5 {NUMBER}")),
        ("a = 1..5", &format!("column 5: 1..5 {NUMBER}")),
        (
            "a = 'x",
            "column 5: the string that begins here has no end: close it with ', and write a ' within it as ''",
        ),
        (
            "a = 'it's'",
            "column 10: the string that begins here has no end: close it with ', and write a ' within it as ''",
        ),
        (
            "\"a = 1",
            "column 1: the name that begins here has no end: close it with \", and write a \" within it as \"\"",
        ),
        (
            "\"\"\" = 1",
            "column 1: the name that begins here has no end: close it with \", and write a \" within it as \"\"",
        ),
        (
            "\"\" = 1",
            "column 1: expected a name in double quotes, found an empty one",
        ),
        (
            "a = 1 /* x",
            "column 7: the comment that begins here has no end: close it with */",
        ),
        (
            "a = 5--1",
            "column 6: the comment that begins here has no end: it goes to the end of its line; two minus signs are - -",
        ),
    ]);
}

#[test]
fn a_character_that_begins_nothing_is_refused_with_a_hint() {
    check_refused(&[
        ("a != 1", "column 3: unexpected '!': not equal is <>"),
        ("a = 1 && b = 2", "column 7: unexpected '&': write AND"),
        ("a = 1 || b = 2", "column 7: unexpected '|': write OR"),
        ("a == 1", &format!("column 4: {VALUE} =")),
        ("a => 1", &format!("column 4: {VALUE} >")),
        ("a = ?", "column 5: unexpected '?': there are no parameters"),
        (
            "a = :name",
            "column 5: unexpected ':': there are no parameters",
        ),
        (
            "a = ‘x’",
            "column 5: unexpected '‘': a string stands in ', a name in \"",
        ),
        (
            "`a` = 1",
            "column 1: unexpected '`': a string stands in ', a name in \"",
        ),
        ("a = 1;", "column 6: unexpected ';'"),
        ("a = [1]", "column 5: unexpected '['"),
        ("a = \0", "column 5: unexpected '\\0'"),
        ("a = 1 \u{A0}AND b", "column 7: unexpected '\\u{a0}'"),
        (
            "größe = 'ü' ! 1",
            "column 13: unexpected '!': not equal is <>",
        ),
        (
            "hyphenated_props:a ! 1",
            "column 20: unexpected '!': not equal is <>",
        ),
    ]);
}

#[test]
fn what_other_brokers_have_is_refused_by_name() {
    check_refused(&[
        (
            "XPATH '//a'",
            "column 1: selecting by what is in the body is not supported",
        ),
        (
            "a = 1 OR xquery '//a'",
            "column 10: selecting by what is in the body is not supported",
        ),
        ("REGEX('^a', b)", "column 1: functions are not supported"),
        (
            "a = 1 AND inlist(x)",
            "column 11: functions are not supported",
        ),
    ]);
    check(&Sample::of("XPATH:1"), &[("XPATH = 1", T)]);
}

#[test]
fn a_text_that_is_not_utf_8_is_refused_at_its_character() {
    let refused = |text: &[u8]| Selector::parse_header(text).map_err(|error| error.to_string());
    assert_eq!(
        refused(b"a = '\xFF'"),
        Err("column 6: the text is not UTF-8 here".to_owned())
    );
    assert_eq!(
        refused("ü = '".as_bytes()).map_err(|it| it.len() > 20),
        Err(true)
    );
    assert_eq!(
        refused(b"\xC3\xBC\xC3"),
        Err("column 2: the text is not UTF-8 here".to_owned())
    );
}

#[test]
fn what_a_peer_wrote_is_shown_short_and_printable() {
    let error = Selector::parse(&format!("a = 1 '{}\n'", "x".repeat(100)));
    let message = error.expect_err("a second string").to_string();
    assert_eq!(
        message,
        format!(
            "column 7: expected an operator, AND, OR or the end, found '{}",
            "x".repeat(39)
        )
    );
    let error = Selector::parse("a = 1 'x\ny'");
    let message = error.expect_err("a second string").to_string();
    assert!(message.ends_with("found 'x y'"), "{message}");
}
