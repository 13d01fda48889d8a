//! Random selectors over random messages, against the naive evaluator; and random texts, which must not harm.
//!
//! `STOMPBOX_SELECTOR_SEED` repeats a run, `STOMPBOX_SELECTOR_CASES` makes it longer.

use std::time::SystemTime;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::naive::{Message, Tree, Worth, header_of, judge, write};
use super::*;

/// Few, so that they meet.
const NAMES: [&str; 8] = [
    "a",
    "b",
    "c",
    "d",
    "_e$",
    "JMSPriority",
    "JMSRedelivered",
    "JMSType",
];
const TEXTS: [&str; 22] = [
    "",
    "a",
    "b",
    "ab",
    "aab",
    "abab",
    "a_b",
    "a%",
    "ü",
    "aüb",
    "it's",
    "true",
    "FALSE",
    "0",
    "1",
    "2",
    "-1",
    "1.0",
    "0.5",
    "1e3",
    "9223372036854775807",
    "NaN",
];
const INTEGERS: [i64; 10] = [
    0,
    1,
    2,
    -1,
    3,
    10,
    i64::MAX,
    i64::MIN,
    i64::MAX - 1,
    1 << 53,
];
const FLOATS: [f64; 8] = [0.0, 0.5, 1.0, -1.0, 2.5, 1e3, 1e300, 9007199254740993.0];

/// Runs a property with a seed that is printed, and that can be given.
fn check_random<S: Strategy>(cases: u32, strategy: &S, property: impl Fn(S::Value))
where
    S::Value: Clone,
{
    let given = |name: &str| {
        std::env::var(name)
            .ok()
            .and_then(|value| value.parse::<u64>().ok())
    };
    let seed = given("STOMPBOX_SELECTOR_SEED").unwrap_or_else(fresh_seed);
    let cases = given("STOMPBOX_SELECTOR_CASES").map_or(cases, |cases| cases as u32);
    eprintln!("STOMPBOX_SELECTOR_SEED={seed}, {cases} cases");
    let mut seed_bytes = [0; 32];
    for (octet, random) in seed_bytes.iter_mut().zip(seed.to_le_bytes()) {
        *octet = random;
    }
    let config = Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    let random = TestRng::from_seed(RngAlgorithm::ChaCha, &seed_bytes);
    let result = TestRunner::new_with_rng(config, random).run(strategy, |value| {
        property(value);
        Ok(())
    });
    if let Err(error) = result {
        panic!("STOMPBOX_SELECTOR_SEED={seed}: {error}");
    }
}

/// Another one each time.
fn fresh_seed() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.expect("a clock after 1970").as_nanos() as u64
}

fn name() -> impl Strategy<Value = String> {
    select(NAMES.to_vec()).prop_map(str::to_owned)
}

fn text() -> impl Strategy<Value = String> {
    select(TEXTS.to_vec()).prop_map(str::to_owned)
}

fn message() -> impl Strategy<Value = Message> {
    let properties = vec(
        (select(NAMES[..5].to_vec()), text().prop_map(Worth::Header)),
        0..6,
    );
    let priority = option::of((0..10_i64).prop_map(Worth::Integer));
    let redelivered = option::of(any::<bool>().prop_map(Worth::Boolean));
    let kind = option::of(text().prop_map(Worth::Header));
    (properties, priority, redelivered, kind).prop_map(
        |(properties, priority, redelivered, kind)| {
            let headers = [
                ("JMSPriority", priority),
                ("JMSRedelivered", redelivered),
                ("JMSType", kind),
            ];
            let headers = headers
                .into_iter()
                .filter_map(|(name, worth)| Some((name, worth?)));
            let all = properties.into_iter().chain(headers);
            all.map(|(name, worth)| (name.to_owned(), worth)).collect()
        },
    )
}

fn sample(message: &Message) -> Sample {
    let mut sample = Sample::default();
    for (name, worth) in message {
        let value = match worth {
            Worth::Boolean(value) => HeaderValue::Boolean(*value),
            Worth::Integer(value) => HeaderValue::Integer(*value),
            Worth::Header(text) => HeaderValue::Text(text.clone().into_bytes().into()),
            other => panic!("not in a message: {other:?}"),
        };
        match (header_of(name), value) {
            (Some(header), value) => sample = sample.with(header, value),
            (None, HeaderValue::Text(text)) => {
                sample.properties.push((name.clone(), text.into_owned()));
            }
            (None, value) => panic!("not a property: {value:?}"),
        }
    }
    sample
}

fn number() -> BoxedStrategy<Tree> {
    let leaf = prop_oneof![
        3 => (-1..3_i64).prop_map(Tree::Integer),
        1 => select(INTEGERS.to_vec()).prop_map(Tree::Integer),
        2 => select(FLOATS.to_vec()).prop_map(Tree::Float),
        4 => name().prop_map(Tree::Name),
    ];
    leaf.prop_recursive(4, 12, 2, |inner| {
        let sign = select(vec!['+', '-', '*', '/', '%']);
        prop_oneof![
            1 => inner.clone().prop_map(|inner| Tree::Minus(Box::new(inner))),
            3 => (sign, inner.clone(), inner)
                .prop_map(|(sign, left, right)| Tree::Compute(sign, Box::new(left), Box::new(right))),
        ]
    })
    .boxed()
}

/// What may stand on a side of `=`.
fn side(condition: BoxedStrategy<Tree>) -> BoxedStrategy<Tree> {
    prop_oneof![
        6 => number(),
        3 => text().prop_map(Tree::Text),
        2 => any::<bool>().prop_map(Tree::Boolean),
        1 => condition,
    ]
    .boxed()
}

fn pattern() -> impl Strategy<Value = String> {
    let pieces = vec![
        "%", "_", "a", "b", "ü", "!", "'", "ab", "%%", "!_", "!%", "!!",
    ];
    vec(select(pieces), 0..7).prop_map(|pieces| pieces.concat())
}

fn condition() -> BoxedStrategy<Tree> {
    let order = select(vec!["=", "<>", "<", "<=", ">", ">="]);
    let escape = option::of(select(vec!['!', '_', '%', 'a']));
    let boxed = |tree: Tree| Box::new(tree);
    let leaf = prop_oneof![
        4 => (order, number(), number()).prop_map(move |(sign, left, right)| Tree::Compare(sign, boxed(left), boxed(right))),
        2 => (any::<bool>(), number(), number(), number())
            .prop_map(move |(negated, value, low, high)| Tree::Between(negated, boxed(value), boxed(low), boxed(high))),
        2 => (any::<bool>(), name(), vec(text(), 1..6)).prop_map(|(negated, name, members)| Tree::In(negated, name, members)),
        3 => (any::<bool>(), name(), pattern(), escape)
            .prop_map(|(negated, name, pattern, escape)| Tree::Like(negated, name, pattern, escape)),
        1 => (any::<bool>(), name()).prop_map(|(negated, name)| Tree::IsNull(negated, name)),
        1 => name().prop_map(Tree::Name),
        1 => any::<bool>().prop_map(Tree::Boolean),
    ];
    leaf.prop_recursive(5, 40, 2, move |inner| {
        let equality = select(vec!["=", "<>"]);
        let pair = (inner.clone(), inner.clone());
        prop_oneof![
            2 => inner.clone().prop_map(move |inner| Tree::Not(boxed(inner))),
            3 => pair.clone().prop_map(move |(left, right)| Tree::And(boxed(left), boxed(right))),
            3 => pair.prop_map(move |(left, right)| Tree::Or(boxed(left), boxed(right))),
            3 => (equality, side(inner.clone()), side(inner))
                .prop_map(move |(sign, left, right)| Tree::Compare(sign, boxed(left), boxed(right))),
        ]
    })
    .boxed()
}

#[test]
fn a_random_selector_says_what_the_naive_evaluator_says() {
    let strategy = (condition(), vec(message(), 1..4), any::<u64>());
    check_random(3_000, &strategy, |(tree, messages, mut spare)| {
        let text = write(&tree, &mut spare);
        let selector = parse(&text);
        for message in &messages {
            let found = selector.evaluate(&sample(message));
            assert_eq!(
                found,
                judge(&tree, message),
                "{text} ({selector}) over {message:?}"
            );
        }
    });
}

#[test]
fn a_random_text_is_like_what_the_naive_matcher_says() {
    let text = vec(select(vec!['a', 'a', 'b', 'ü', '_', '%', '!']), 0..12);
    let escape = option::of(select(vec!['!', '_', '%', 'a']));
    check_random(
        10_000,
        &(text, pattern(), escape),
        |(text, pattern, escape)| {
            let tree = Tree::Like(false, "p".to_owned(), pattern, escape);
            let text: String = text.into_iter().collect();
            let like = write(&tree, &mut 0);
            let message = vec![("p".to_owned(), Worth::Header(text.clone()))];
            let found = parse(&like).evaluate(&sample(&message));
            assert_eq!(found, judge(&tree, &message), "{like}: {text}");
        },
    );
}

#[test]
fn a_random_selector_is_displayed_as_an_equal_one() {
    check_random(1_500, &(condition(), any::<u64>()), |(tree, mut spare)| {
        let text = write(&tree, &mut spare);
        let selector = parse(&text);
        let canonical = selector.to_string();
        assert_eq!(parse(&canonical), selector, "{text}");
        assert_eq!(parse(&canonical).to_string(), canonical, "{text}");
    });
}

/// Words and signs of the language in any order, some of them broken.
fn word_salad() -> impl Strategy<Value = String> {
    let words = vec![
        "AND",
        "or",
        "NOT",
        "BETWEEN",
        "IN",
        "LIKE",
        "ESCAPE",
        "IS",
        "NULL",
        "TRUE",
        "false",
        "a",
        "b",
        "JMSPriority",
        "$x",
        "é",
        "'x'",
        "''",
        "'",
        "'%_'",
        "\"",
        "\"a b\"",
        "\"\"",
        "1",
        "0",
        "08",
        "0x",
        "0xFf",
        "1.",
        ".5",
        "1e5",
        "1E",
        "9223372036854775808",
        "99999999999999999999",
        "1L",
        "(",
        ")",
        ",",
        "=",
        "<>",
        "<",
        "<=",
        ">",
        ">=",
        "+",
        "-",
        "--",
        "*",
        "/",
        "/*",
        "*/",
        "%",
        "!",
        ".",
        ";",
        "\n",
        " ",
        "\t",
        "\0",
        "XPATH",
        "hyphenated_props:",
        "convert_string_expressions:",
    ];
    vec((select(words), select(vec!["", " "])), 0..40).prop_map(|words| {
        words
            .into_iter()
            .map(|(word, blank)| format!("{word}{blank}"))
            .collect()
    })
}

#[test]
fn no_text_panics_and_what_is_a_selector_is_displayed_as_an_equal_one() {
    let message = Sample::of("a:1|b:x|$x:true").with(JmsHeader::Priority, HeaderValue::Integer(4));
    check_random(5_000, &word_salad(), |text| match Selector::parse(&text) {
        Ok(Some(selector)) => {
            assert_eq!(parse(&selector.to_string()), selector, "{text}");
            let _ = selector.evaluate(&message);
        }
        Ok(None) => {}
        Err(error) => {
            let characters = text.chars().count();
            assert!(
                (1..=characters + 1).contains(&error.column()),
                "{text}: {error}"
            );
        }
    });
}

#[test]
fn no_bytes_panic() {
    let bytes = prop_oneof![
        vec(any::<u8>(), 0..60),
        (word_salad(), vec(any::<u8>(), 0..4))
            .prop_map(|(text, bytes)| [text.as_bytes(), &bytes].concat()),
    ];
    check_random(
        2_000,
        &(bytes.clone(), bytes, pattern()),
        |(bytes, value, pattern)| {
            let message = Sample {
                properties: vec![("a".to_owned(), value.clone()), ("b".to_owned(), value)],
                ..Sample::default()
            };
            if let Ok(Some(selector)) = Selector::parse_header(&bytes) {
                let _ = selector.evaluate(&message);
            }
            let pattern = pattern.replace('\'', "''");
            let _ = parse(&format!("a LIKE '{pattern}' OR a = b OR a + 1 > 0")).evaluate(&message);
        },
    );
}
