//! Numbers in properties, arithmetic, comparisons of properties with each other.

use super::*;

#[test]
fn text_is_a_number_if_all_of_it_is_one() {
    let number = |value: &str| {
        let message = Sample::of(&format!("p:{value}"));
        parse("p = p + 0").evaluate(&message) == T
    };
    for value in [
        "0",
        "1",
        "-1",
        "+1",
        "007",
        "1.5",
        "1.",
        ".5",
        "-.5",
        "+0.0",
        "1E3",
        "1e+3",
        "1e-3",
        "-1.5E10",
        "9223372036854775807",
        "-9223372036854775808",
        "9223372036854775808",
        "123456789012345678901234567890",
    ] {
        assert!(number(value), "{value}");
    }
    for value in [
        "", "+", "-", ".", "-.", "e1", "E", "1e", "1e+", "1.e", "1 ", " 1", "1 2", "1,5", "0x10",
        "1L", "1f", "1.5d", "NaN", "nan", "inf", "Infinity", "-inf", "1E400", "--1", "+-1",
        "1.2.3", "1e1.5", "١", "one", "true",
    ] {
        assert!(!number(value), "{value}");
    }
    assert!(number(&format!("1.{}", "0".repeat(62))));
    assert!(
        !number(&format!("1.{}", "0".repeat(63))),
        "longer than any number has to be"
    );
}

#[test]
fn integers_compare_exactly_and_with_floating_point_approximately() {
    check(
        &Sample::of(
            "big:9007199254740993|float:9007199254740992.0|huge:1e300|long:18446744073709551616|neg:-0.0",
        ),
        &[
            ("big = 9007199254740993", T),
            ("big = 9007199254740992", F),
            ("big > 9007199254740992", T),
            ("big = float", T),
            ("float = 9007199254740992", T),
            ("huge > 9223372036854775807", T),
            ("long > 9223372036854775807", T),
            ("long = 18446744073709551616.0", T),
            ("neg = 0", T),
            ("neg < 0", F),
        ],
    );
}

#[test]
fn arithmetic_computes() {
    check(
        &Sample::of("a:7|b:2|half:0.5|text:red|flag:true|empty:"),
        &[
            ("a + b = 9", T),
            ("a - b = 5", T),
            ("a * b = 14", T),
            ("a / b = 3.5", T),
            ("a % b = 1", T),
            ("-a % b = -1", T),
            ("a % -b = 1", T),
            ("a % half = 0", T),
            ("5.5 % b = 1.5", T),
            ("1 / 2 = 0.5", T),
            ("4 / 2 = 2", T),
            ("-a = -7", T),
            ("- -a = 7", T),
            ("+a = 7", T),
            ("-(a + b) = -9", T),
            ("a + half = 7.5", T),
            ("2 * (a - (b - 1)) = 12", T),
            ("a - b - 1 = 4", T),
            ("a - (b - 1) = 6", T),
            ("100 / 10 / 5 = 2", T),
            ("100 / (10 / 5) = 50", T),
            ("7 % 4 * 2 = 6", T),
            ("a + b = a + b", T),
            ("text + 1 = 1", U),
            ("text - text = 0", U),
            ("-text = 0", U),
            ("flag + 1 = 2", U),
            ("empty * 1 = 0", U),
            ("missing / 2 = 1", U),
        ],
    );
}

#[test]
fn what_does_not_fit_goes_on_as_floating_point() {
    check(
        &Sample::of("max:9223372036854775807|min:-9223372036854775808|one:1"),
        &[
            ("max + one > max", F),
            ("max + one = 9223372036854775808.0", T),
            ("max + one > 0", T),
            ("max * 2 > max", T),
            ("min - one < 0", T),
            ("-min = 9223372036854775808.0", T),
            ("min % -1 = 0", T),
            ("min / -1 > 0", T),
            ("9223372036854775807 + 1 > 0", T),
            ("9223372036854775807 * 9223372036854775807 > 8E37", T),
        ],
    );
}

#[test]
fn what_is_not_finite_is_null() {
    check(
        &Sample::of("zero:0|a:1|huge:1E308"),
        &[
            ("a / zero = 1", U),
            ("a / zero > 0", U),
            ("NOT a / zero = 1", U),
            ("a % zero = 0", U),
            ("zero / zero = zero / zero", U),
            ("a / 0.0 > 5", U),
            ("1 / 0 = 1", U),
            ("1 % 0 = 1", U),
            ("0 / 0 <> 1", U),
            ("huge * 10 > 1", U),
            ("huge * 10 / 10 > 1", U),
            ("1E308 * 10 > 1", U),
            ("1 / 0 = 1 OR a = 1", T),
            ("a BETWEEN 1 / 0 AND 5", U),
        ],
    );
}

#[test]
fn two_properties_compare_as_numbers_if_both_are_and_else_as_strings() {
    check(
        &Sample::of("a:10|b:9|c:10.0|red:red|rot:red|blue:blue|t:true|tt:TRUE|empty:|void:"),
        &[
            ("a > b", T),
            ("a = c", T),
            ("a <> c", F),
            ("a <= c", T),
            ("red = rot", T),
            ("red <> blue", T),
            ("red = blue", F),
            ("red > blue", F),
            ("red < blue", F),
            ("red >= rot", F),
            ("a = red", F),
            ("a <> red", T),
            ("a < red", F),
            ("t = tt", F),
            ("t <> tt", T),
            ("empty = void", T),
            ("empty = missing", U),
            ("red BETWEEN blue AND rot", F),
            ("b BETWEEN 1 AND a", T),
        ],
    );
}

#[test]
fn a_comparison_in_parentheses_is_a_boolean() {
    check(
        &Sample::of("a:1|t:true|f:false"),
        &[
            ("(a = 1) = TRUE", T),
            ("(a = 2) = FALSE", T),
            ("(a = 1) = t", T),
            ("t = (a = 1)", T),
            ("(a = 1) <> (a = 2)", T),
            ("(missing = 1) = TRUE", U),
            ("(missing IS NULL) = TRUE", T),
            ("((a) = (1))", T),
            ("(a = 1) = 1", F),
            ("(t AND f) = f", T),
            ("TRUE = (NOT f)", T),
            ("(NOT NOT t) = TRUE", T),
            ("(NOT NOT a) = a", F),
            ("(a) = a", T),
            ("(TRUE)", T),
            ("((t))", T),
        ],
    );
}

#[test]
fn a_condition_made_of_a_property_alone_holds_if_that_is_true() {
    check(
        &Sample::of("t:true|T:TRUE|f:false|x:yes|one:1"),
        &[
            ("t", T),
            ("T", T),
            ("f", F),
            ("x", F),
            ("NOT x", T),
            ("one", F),
            ("t AND T AND NOT f", T),
        ],
    );
}

#[test]
fn the_remainder_of_the_least_integer_by_minus_one_is_an_integer() {
    check(
        &Sample::of("least:-9223372036854775808|max:9223372036854775807|one:1"),
        &[
            ("-9223372036854775808 % -1 = 0", T),
            ("least % -one = 0", T),
            // As floating point it would swallow the difference of the two, and 1 / 0 is unknown.
            ("1 / (least % -one + max - 9223372036854775806) = 1", T),
            (
                "NOT 1 / (-9223372036854775808 % -1 + max - 9223372036854775806) = 0",
                T,
            ),
            ("least % 0 = 0", U),
        ],
    );
}
