//! What it costs to try a selector on a message, and the most that a peer can make it cost:
//!
//! ```text
//! cargo run --release -p stompbox-broker --example selector_speed
//! ```

#![allow(clippy::print_stdout)] // it is there to print

use std::borrow::Cow;
use std::hint::black_box;
use std::time::{Duration, Instant};

use stompbox_broker::core::selector::{
    HeaderValue, JmsHeader, PATTERNS_MAX, Properties, Selector, Truth,
};
use stompbox_protocol::canonical;

const SELECTOR: &str = "price > 10 AND region IN ('eu','us') AND name LIKE 'a%'";

/// A stored header block.
struct Block(Vec<u8>);

impl Block {
    fn of(headers: &[(&str, &str)]) -> Self {
        let mut block = Vec::new();
        for (name, value) in headers {
            canonical::push_decoded(&mut block, name.as_bytes(), value.as_bytes());
        }
        Self(block)
    }
}

impl Properties for Block {
    fn property(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        let is_it = |(it, _): &(Cow<'_, [u8]>, _)| **it == *name.as_bytes();
        canonical::headers(&self.0)
            .find(is_it)
            .map(|(_, value)| value)
    }

    fn header(&self, _: JmsHeader) -> HeaderValue<'_> {
        HeaderValue::Absent
    }
}

/// A message that is asked at next to no cost: what remains is the selector's own.
struct Known;

impl Properties for Known {
    fn property(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        match name {
            "price" => Some(Cow::Borrowed(b"12.5")),
            "region" => Some(Cow::Borrowed(b"eu")),
            "name" => Some(Cow::Borrowed(b"apple")),
            _ => None,
        }
    }

    fn header(&self, _: JmsHeader) -> HeaderValue<'_> {
        HeaderValue::Absent
    }
}

/// The least time of several rounds, each long enough for the clock.
fn time(what: &str, mut step: impl FnMut()) {
    const ROUNDS: usize = 9;
    const ROUND: Duration = Duration::from_millis(60);
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        let (began, mut steps) = (Instant::now(), 0_u32);
        while began.elapsed() < ROUND {
            for _ in 0..16 {
                step();
            }
            steps += 16;
        }
        best = best.min(began.elapsed().as_nanos() as f64 / f64::from(steps));
    }
    println!("{best:>12.0} ns  {what}");
}

fn parse(text: &str) -> Selector {
    match Selector::parse(text) {
        Ok(Some(selector)) => selector,
        other => panic!("{text}: {other:?}"),
    }
}

fn time_evaluation(what: &str, text: &str, message: &impl Properties, expected: Truth) {
    let selector = parse(text);
    assert_eq!(selector.evaluate(message), expected);
    time(what, || {
        black_box(black_box(&selector).evaluate(black_box(message)));
    });
}

fn main() {
    let headers = |price, name| {
        Block::of(&[
            ("content-type", "text/plain"),
            ("correlation-id", "order-4711"),
            ("region", "eu"),
            ("price", price),
            ("name", name),
            ("trace", "00-4bf92f3577b34da6a3ce929d0e0e4736"),
        ])
    };
    println!("{SELECTOR}");
    time("to parse", || {
        black_box(Selector::parse(black_box(SELECTOR)).is_ok());
    });
    time_evaluation(
        "selected, 6 headers",
        SELECTOR,
        &headers("12.5", "apple"),
        Truth::True,
    );
    time_evaluation(
        "the last condition is false",
        SELECTOR,
        &headers("12.5", "pear"),
        Truth::False,
    );
    time_evaluation(
        "the first condition is false",
        SELECTOR,
        &headers("9", "apple"),
        Truth::False,
    );
    time_evaluation(
        "selected, without the search for headers",
        SELECTOR,
        &Known,
        Truth::True,
    );
    time_evaluation(
        "one string, a = 'x'",
        "region = 'eu'",
        &headers("9", "apple"),
        Truth::True,
    );

    println!("the dearest that the limits allow, with a header of 10 KiB");
    let long = "a".repeat(10 * 1024 - 3);
    let message = Block::of(&[("a", &long), ("b", &long)]);
    let like = format!("a LIKE '%{}b%'", "a_".repeat(31));
    time_evaluation(
        "as many LIKE as there may be",
        &vec![like; PATTERNS_MAX].join(" OR "),
        &message,
        Truth::False,
    );
    let same = vec!["a=b"; 1_000].join(" AND ");
    time_evaluation(
        "1,000 comparisons of two headers",
        &same,
        &message,
        Truth::True,
    );
    let numbers = "1".repeat(64);
    let message = Block::of(&[("a", &numbers), ("b", &numbers)]);
    time_evaluation(
        "the same, with numbers of 64 digits",
        &same,
        &message,
        Truth::True,
    );
}
