//! What it costs to find the patterns that match a name: `cargo run --release -p stompbox-broker --example
//! pattern_index`.
//!
//! Prints a line a figure, `name value`. `match_*` are nanoseconds a name over 100,000 names of four segments, with so
//! many patterns, `*_found` how many of them matched on average; `plain_*` is the same by asking each pattern in turn.
//! `hostile_*` is the one name for which every node of the index must be looked at. `scan_*` is the other way: the
//! names that a new pattern matches.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::hint::black_box;
use std::io::{Write, stdout};
use std::time::Instant;

use stompbox_broker::core::destination::{
    DestinationName, Pattern, Source, SubscribeTarget, names_matching,
};
use stompbox_broker::core::pattern_index::PatternIndex;

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

const NAMES: usize = 100_000;

fn name(index: usize) -> Outcome<DestinationName> {
    let (region, site, device) = (index / 5_000, index / 50 % 100, index % 50);
    let text = format!("/topic/region{region}.site{site}.device{device}.reading");
    Ok(DestinationName::parse(text.as_bytes())?)
}

fn pattern(text: &str) -> Outcome<Pattern> {
    match SubscribeTarget::parse(text.as_bytes())?.sources.first() {
        Some(Source::Matching(pattern)) => Ok(pattern.clone()),
        _ => Err(format!("{text} is no pattern").into()),
    }
}

/// In each region as many of one site's devices, of one device at every site, and three times of what nobody sends.
fn patterns(count: usize) -> Outcome<Vec<Pattern>> {
    (0..count)
        .map(|index| {
            let (region, kind, rest) = (index % 20, index / 20 % 5, index / 100);
            pattern(&match kind {
                0 => format!("/topic/region{region}.site{}.>", rest % 100),
                1 => format!("/topic/region{region}.*.device{}.reading", rest % 50),
                2 => format!("/topic/region{region}.*.elsewhere{rest}.*"),
                3 => format!("/topic/region{region}.nowhere{rest}.>"),
                _ => format!("/topic/*.nowhere{rest}.device{}.*", rest % 50),
            })
        })
        .collect()
}

fn index_of(patterns: &[Pattern]) -> PatternIndex<usize> {
    let mut index = PatternIndex::default();
    for (key, pattern) in patterns.iter().enumerate() {
        index.insert(pattern, key);
    }
    index
}

/// Nanoseconds a call, the best of five rounds.
fn measure(calls: usize, mut round: impl FnMut()) -> u128 {
    (0..5)
        .map(|_| {
            let start = Instant::now();
            round();
            start.elapsed().as_nanos() / calls as u128
        })
        .min()
        .unwrap_or(0)
}

fn main() -> Outcome<()> {
    let mut out = stdout().lock();
    let names = (0..NAMES).map(name).collect::<Outcome<Vec<_>>>()?;
    for count in [100, 1_000, 10_000, 100_000] {
        let patterns = patterns(count)?;
        let index = index_of(&patterns);
        let mut matches = 0_usize;
        let ns = measure(NAMES, || {
            matches = 0;
            for name in &names {
                index.matches(name, |key| matches += usize::from(black_box(*key) < count));
            }
        });
        writeln!(out, "match_{count} {ns} ns")?;
        let each = matches as f64 / NAMES as f64;
        writeln!(out, "match_{count}_found {each:.2} a name")?;
        if count <= 10_000 {
            let some = &names[..200];
            let ns = measure(some.len(), || {
                for name in some {
                    black_box(patterns.iter().filter(|p| p.matches(name)).count());
                }
            });
            writeln!(out, "plain_{count} {ns} ns")?;
        }
    }
    hostile(&mut out)?;
    scan(&mut out, names)
}

/// Thirteen segments, each `a` or `*`, and a last one that the name has not.
fn hostile(out: &mut impl Write) -> Outcome<()> {
    let segments = 13;
    let patterns = (1..1_usize << segments)
        .map(|bits| {
            let segment = |at: usize| if bits >> at & 1 == 1 { "*." } else { "a." };
            pattern(&format!(
                "/topic/{}z",
                (0..segments).map(segment).collect::<String>()
            ))
        })
        .collect::<Outcome<Vec<_>>>()?;
    let index = index_of(&patterns);
    let text = format!("/topic/{}b", "a.".repeat(segments));
    let name = DestinationName::parse(text.as_bytes())?;
    let ns = measure(100, || {
        for _ in 0..100 {
            index.matches(black_box(&name), |key| {
                black_box(key);
            });
        }
    });
    writeln!(out, "hostile_{} {ns} ns", patterns.len())?;
    Ok(())
}

fn scan(out: &mut impl Write, names: Vec<DestinationName>) -> Outcome<()> {
    let names: BTreeMap<DestinationName, ()> = names.into_iter().map(|name| (name, ())).collect();
    for (figure, text) in [
        ("scan_one_site", "/topic/region7.site7.>"),
        ("scan_one_region", "/topic/region7.*.device7.>"),
        ("scan_all", "/topic/*.site7.>"),
    ] {
        let pattern = pattern(text)?;
        let mut found = 0;
        let ns = measure(1, || {
            found = names_matching(&pattern, &names, &Cell::new(0)).count()
        });
        writeln!(out, "{figure} {ns} ns for {found} names")?;
    }
    Ok(())
}
