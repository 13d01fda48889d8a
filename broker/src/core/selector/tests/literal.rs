//! Literals, white space, names.

use super::*;

#[test]
fn integers_are_java_s() {
    check(
        &Sample::default(),
        &[
            ("0 = 0L", T),
            ("0x0 = 00", T),
            ("0xabCD = 43981", T),
            ("0x7FFFFFFFFFFFFFFF = 9223372036854775807", T),
            ("0777777777777777777777 = 9223372036854775807", T),
            ("0xFFFFFFFF = 4294967295", T),
            ("-0x8000000000000000 = -9223372036854775808", T),
            ("- 5 = -5", T),
            ("+ + 5 = 5", T),
            ("- - 5 = 5", T),
            ("- + - 5 = 5", T),
            ("-9223372036854775808L + 1 = -9223372036854775807", T),
            ("- -9223372036854775808 = 9223372036854775808.0", T),
        ],
    );
}

#[test]
fn floating_point_is_java_s() {
    check(
        &Sample::default(),
        &[
            ("1. = 1", T),
            (".5 = 0.5", T),
            ("09.5 = 9.5", T),
            ("5e0 = 5", T),
            ("5E+2 = 500", T),
            ("5e-1 = .5", T),
            ("1.E1 = 10", T),
            (".5E1 = 5", T),
            ("1f = 1", T),
            ("1.5F = 1.5", T),
            ("1D = 1.0", T),
            (".1d = 0.1", T),
            ("1e2f = 100", T),
            ("1.7976931348623157E308 > 1", T),
            ("1E-400 = 0", T),
            ("0.0 = -0.0", T),
            ("9007199254740993 = 9007199254740992.0", T),
            ("9007199254740993 = 9007199254740992", F),
        ],
    );
}

#[test]
fn strings_hold_whatever_is_between_quotes() {
    let message = Sample {
        properties: vec![
            ("a".to_owned(), b"it's".to_vec()),
            ("b".to_owned(), "täglich\n\t/* -- \" \\".as_bytes().to_vec()),
            ("c".to_owned(), b"'".to_vec()),
            ("d".to_owned(), b"AND".to_vec()),
            ("e".to_owned(), Vec::new()),
            ("f".to_owned(), vec![0xFF]),
        ],
        ..Sample::default()
    };
    check(
        &message,
        &[
            ("a = 'it''s'", T),
            ("b = 'täglich\n\t/* -- \" \\'", T),
            ("c = ''''", T),
            ("c = ''''''", F),
            ("d = 'AND'", T),
            ("d = 'and'", F),
            ("e = ''", T),
            ("f = '\u{FF}'", F),
            ("f <> '\u{FF}'", T),
            ("f = f", T),
        ],
    );
}

#[test]
fn white_space_and_comments_separate_and_need_not_stand_between_signs() {
    check(
        &Sample::of("a:1|b:2"),
        &[
            ("a=1", T),
            (" a\t=\n1\r\x0C", T),
            ("(a)=(1)", T),
            ("a/**/=/**/1/**/", T),
            ("a+b=3", T),
            ("a<b", T),
            ("a<>b", T),
            ("a<=b", T),
            ("b>=a", T),
            ("a-b=-1", T),
            ("a- -b=3", T),
            ("a*-b=-2", T),
            ("a IN('1')AND b IN('2','3')", T),
            ("NOT(a=2)", T),
            ("a IS/* really */NOT--\nNULL", T),
        ],
    );
}

#[test]
fn keywords_are_case_insensitive() {
    check(
        &Sample::of("a:x|b:1"),
        &[
            ("a = 'x' And b = 1", T),
            ("a = 'y' oR b = 1", T),
            ("nOt a = 'y'", T),
            ("b bEtWeEn 0 aNd 2", T),
            ("a iN ('x')", T),
            ("a lIkE '!x' eScApE '!'", F),
            ("a iS nOt NuLl", T),
            ("tRuE", T),
            ("faLSe", F),
        ],
    );
}

#[test]
fn a_name_in_double_quotes_is_an_identifier() {
    check(
        &Sample::of("content-type:text/plain|foo.bar:1|and:x|a\"b:y|é€:z"),
        &[
            ("\"content-type\" = 'text/plain'", T),
            ("\"foo.bar\" = 1", T),
            ("\"and\" = 'x'", T),
            ("\"AND\" IS NULL", T),
            ("\"a\"\"b\" = 'y'", T),
            ("\"é€\" LIKE '_'", T),
            ("\"foo.bar\"", F),
            ("\"no such\" = 1", U),
        ],
    );
    let typed = Sample::default().with(JmsHeader::Type, text("x"));
    check(&typed, &[("\"JMSType\" = 'x'", T)]);
}
