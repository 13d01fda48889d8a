//! The existing names that a pattern matches, found in an ordered map of all names.

use std::borrow::Borrow;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::ops::Bound;

use super::name::DestinationName;
use super::pattern::{Pattern, Segment, Tail};

/// The entries of `names` that `pattern` matches, in order. It walks the names that begin with the pattern's segments
/// before its first wildcard, so that `a.*` costs what lies under `a.`, and `*.a` costs every name of its kind. Each of
/// them is counted in `walked`.
pub fn names_matching<'a, K, V>(
    pattern: &'a Pattern,
    names: &'a BTreeMap<K, V>,
    walked: &'a Cell<usize>,
) -> impl Iterator<Item = (&'a K, &'a V)>
where
    K: Borrow<DestinationName> + Ord,
{
    let beginning = Beginning::of(pattern);
    let itself = beginning.itself.and_then(|name| names.get_key_value(&name));
    let first = beginning.below.clone();
    let below = names
        .range((Bound::Included(beginning.below), Bound::Unbounded))
        .take_while(move |(name, _)| (*name).borrow().wire().starts_with(first.wire()))
        .inspect(|_| walked.set(walked.get().saturating_add(1)))
        .filter(|(name, _)| pattern.matches((*name).borrow()));
    itself.into_iter().chain(below)
}

/// Where the names that a pattern matches can be.
struct Beginning {
    /// `a` of `a.>`.
    itself: Option<DestinationName>,
    /// What the others begin with: `a.` of `a.>` and of `a.*.b`. No name that can exist: one dot too many.
    below: DestinationName,
}

impl Beginning {
    fn of(pattern: &Pattern) -> Self {
        let literals: Vec<&str> = pattern
            .segments()
            .iter()
            .map_while(|segment| match segment {
                Segment::Literal(literal) => Some(&**literal),
                Segment::Any => None,
            })
            .collect();
        let joined = literals.join(".");
        let is_whole = literals.len() == pattern.segments().len() && !literals.is_empty();
        let itself = (is_whole && pattern.tail() == Tail::Rest)
            .then(|| DestinationName::new(pattern.kind(), &joined));
        let dot = if literals.is_empty() { "" } else { "." };
        let below = DestinationName::new(pattern.kind(), &format!("{joined}{dot}"));
        Self { itself, below }
    }
}
