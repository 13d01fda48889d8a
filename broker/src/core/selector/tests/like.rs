//! LIKE.

use std::time::{Duration, Instant};

use super::*;

/// Whether the text is like the pattern, asked both ways.
#[track_caller]
fn check_like(cases: &[(&str, &str, bool)]) {
    for (text, like, expected) in cases {
        let message = Sample {
            properties: vec![("p".to_owned(), text.as_bytes().to_vec())],
            ..Sample::default()
        };
        let affirmed = parse(&format!("p LIKE {like}"));
        assert_eq!(
            affirmed.evaluate(&message),
            Truth::from(*expected),
            "{text} LIKE {like}"
        );
        let negated = parse(&format!("p NOT LIKE {like}"));
        assert_eq!(
            negated.evaluate(&message),
            Truth::from(!*expected),
            "{text} NOT LIKE {like}"
        );
        assert_eq!(parse(&affirmed.to_string()), affirmed);
    }
}

#[test]
fn an_underscore_is_one_character_and_a_percent_sign_any() {
    check_like(&[
        ("12993", "'12%3'", true),
        ("123", "'12%3'", true),
        ("1234", "'12%3'", false),
        ("lose", "'l_se'", true),
        ("loose", "'l_se'", false),
        ("", "''", true),
        ("x", "''", false),
        ("", "'%'", true),
        ("", "'_'", false),
        ("abc", "'abc'", true),
        ("abc", "'ABC'", false),
        ("abc", "'ab'", false),
        ("ab", "'abc'", false),
        ("abc", "'%'", true),
        ("abc", "'%%'", true),
        ("abc", "'a%'", true),
        ("abc", "'%c'", true),
        ("abc", "'%b%'", true),
        ("abc", "'b%'", false),
        ("abc", "'%b'", false),
        ("abc", "'%d%'", false),
        ("abc", "'___'", true),
        ("abc", "'__'", false),
        ("abc", "'____'", false),
        ("abc", "'_%_'", true),
        ("a", "'_%_'", false),
        ("ab", "'_%_'", true),
        ("a\nb", "'a_b'", true),
        ("a\nb", "'a%b'", true),
        ("a.c", "'a.c'", true),
        ("abc", "'a.c'", false),
        ("[a-z]*", "'[a-z]*'", true),
        ("it's", "'it''s'", true),
    ]);
}

#[test]
fn a_pattern_s_end_may_not_overlap_its_beginning() {
    check_like(&[
        ("aba", "'ab%ba'", false),
        ("abba", "'ab%ba'", true),
        ("a", "'a%a'", false),
        ("aa", "'a%a'", true),
        ("abcabc", "'%abc%abc'", true),
        ("abcbc", "'%abc%bc'", true),
        ("abc", "'%abc%bc'", false),
        ("abcab", "'abc%cab'", false),
    ]);
}

#[test]
fn stretches_between_percent_signs_come_one_after_another() {
    check_like(&[
        ("aXbYc", "'a%b%c'", true),
        ("acb", "'a%b%c'", false),
        ("ababab", "'%ab%ab%ab%'", true),
        ("abab", "'%ab%ab%ab%'", false),
        ("mississippi", "'m%iss%ip%i'", true),
        ("mississippi", "'m%issip%iss%i'", false),
        ("xaxbxc", "'%a_b%c'", true),
        ("xaaxb", "'%a_b%'", true),
        ("aab", "'%a_b%'", true),
        ("ab", "'%a_b%'", false),
        ("aXcXbXc", "'%X_X%'", true),
        ("aabaab", "'%_ab_ab%'", true),
        ("abaab", "'%_ab_ab%'", false),
        ("aabaabx", "'%ab_ab%'", true),
        ("abc", "'%_%_%_%'", true),
        ("ab", "'%_%_%_%'", false),
        ("abcdef", "'%__c%'", true),
        ("cdef", "'%__c%'", false),
        ("aéb", "'%a_b%'", true),
        ("xéyéz", "'%é_é%'", true),
        ("xéyyéz", "'%é_é%'", false),
        ("xÙy", "'%é_%'", false),
        ("日本語", "'_本_'", true),
        ("日本語", "'%_語%'", true),
        ("日本語", "'%本_'", true),
        ("日本語", "'日%__'", true),
        ("日本語", "'日%___'", false),
        ("😀", "'_'", true),
    ]);
}

#[test]
fn an_escape_character_makes_the_next_one_literal() {
    check_like(&[
        ("_foo", "'!_%' ESCAPE '!'", true),
        ("foo", "'!_%' ESCAPE '!'", false),
        ("100%", "'%!%' ESCAPE '!'", true),
        ("100", "'%!%' ESCAPE '!'", false),
        ("a!b", "'a!!b' ESCAPE '!'", true),
        ("a!b", "'a!b' ESCAPE '!'", true),
        ("ab", "'a!b' ESCAPE '!'", false),
        ("a!", "'a!' ESCAPE '!'", true),
        ("a_b", "'a\\_b' ESCAPE '\\'", true),
        ("axb", "'a\\_b' ESCAPE '\\'", false),
        ("a\\xb", "'a\\_b'", true),
        ("a_b", "'aé_b' ESCAPE 'é'", true),
        ("it's%", "'it''s''%' ESCAPE ''''", true),
        ("it%", "'it''%' ESCAPE ''''", true),
        ("_", "'__' ESCAPE '_'", true),
        ("a", "'__' ESCAPE '_'", false),
        ("ab", "'a_' ESCAPE '_'", true),
        ("%", "'%%' ESCAPE '%'", true),
        ("a", "'%%' ESCAPE '%'", false),
        ("!_", "'!!_' ESCAPE '!'", true),
        ("!x", "'!!_' ESCAPE '!'", true),
        ("x!_", "'%!!!_%' ESCAPE '!'", true),
    ]);
}

#[test]
fn a_stretch_of_as_many_characters_as_there_are_bits_is_found() {
    let named = "a".repeat(63);
    check_like(&[
        (&format!("b{named}a"), &format!("'%_{named}%'"), true),
        (&format!("bb{named}b"), &format!("'%{named}_%'"), true),
        (&named, &format!("'%_{named}%'"), false),
        (&"é".repeat(64), &format!("'%{}%'", "_".repeat(64)), true),
        (&"é".repeat(63), &format!("'%{}%'", "_".repeat(64)), false),
    ]);
}

/// Nothing is tried twice: what makes backtracking matchers slow is quick.
#[test]
fn matching_takes_time_in_proportion_to_the_text() {
    let value = "a".repeat(1 << 20);
    let message = Sample {
        properties: vec![("p".to_owned(), value.into_bytes())],
        ..Sample::default()
    };
    let began = Instant::now();
    for pattern in [
        format!("{}b", "%a".repeat(2_000)),
        format!("%{}b%", "a".repeat(4_000)),
        format!("%{}b%", "a_".repeat(31)),
        format!("{}b%", "%a_a".repeat(1_000)),
        format!("%{}b", "_".repeat(60)),
    ] {
        assert_eq!(
            parse(&format!("p LIKE '{pattern}'")).evaluate(&message),
            F,
            "{pattern}"
        );
    }
    // A matcher that tries again takes at least 2^20 times 60 steps, and the first one of them for ever.
    let took = began.elapsed();
    assert!(took < Duration::from_secs(20), "{took:?}");
}
