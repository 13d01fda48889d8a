//! Canonical text.

use super::*;

#[test]
fn a_selector_is_displayed_in_one_way() {
    let check_display = |text: &str, expected: &str| {
        let selector = parse(text);
        assert_eq!(selector.to_string(), expected, "{text}");
        assert_eq!(parse(expected), selector, "{text}");
    };
    check_display("a=1", "a = 1");
    check_display("((a)=((1)))", "a = 1");
    check_display("a = 1 and (b = 2 or c = 3)", "a = 1 AND (b = 2 OR c = 3)");
    check_display("(a = 1 and b = 2) or c = 3", "a = 1 AND b = 2 OR c = 3");
    check_display("a and (b and (c and d))", "a AND b AND c AND d");
    check_display("not(a=1)", "NOT a = 1");
    check_display("not(a or b)", "NOT (a OR b)");
    check_display("not not not a", "NOT a");
    check_display("not not a", "a");
    check_display("(not not a) = b", "(NOT NOT a) = b");
    check_display("(not not not a) = b", "(NOT a) = b");
    check_display("(not not true) = b", "TRUE = b");
    check_display("a not between 1 and b+2", "a NOT BETWEEN 1 AND b + 2");
    check_display("a in ('z','b','it''s','b')", "a IN ('b', 'it''s', 'z')");
    check_display("a not in('x')", "a NOT IN ('x')");
    check_display("a like '!_%' escape '!'", "a LIKE '!_%' ESCAPE '!'");
    check_display(
        "a not like 'x''' escape ''''",
        "a NOT LIKE 'x''' ESCAPE ''''",
    );
    check_display("a is not null", "a IS NOT NULL");
    check_display("a is null", "a IS NULL");
    check_display("(a = 1) = true", "(a = 1) = TRUE");
    check_display("(a+b)*c = (d)", "(a + b) * c = d");
    check_display("(a*b)+c > -d", "a * b + c > -d");
    check_display("a-(b-c) = a-b-c", "a - (b - c) = a - b - c");
    check_display("a/(b*c) = (a/b)*c", "a / (b * c) = a / b * c");
    check_display("-(a+b) = - -a", "-(a + b) = - -a");
    check_display("a - -5 = -(-b)", "a - -5 = - -b");
    check_display("a = 0xFF", "a = 255");
    check_display(
        "a = 1.50 or a = 1e3 or a = 1e30",
        "a = 1.5 OR a = 1000.0 OR a = 1e30",
    );
    check_display("a = -9223372036854775808", "a = -9223372036854775808");
    check_display(
        "hyphenated_props:content-type='x'",
        "\"content-type\" = 'x'",
    );
    check_display(
        "\"a\" = 1 AND \"or\" = 2 AND \"x\"\"y\" = 3",
        "a = 1 AND \"or\" = 2 AND \"x\"\"y\" = 3",
    );
    check_display("convert_string_expressions:a = 1 /* x */", "a = 1");
    check_display("TRUE and a", "TRUE AND a");
}
