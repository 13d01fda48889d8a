//! Which subscribers have a pattern that matches a name: a tree of segments, one for queues and one for topics.
//!
//! It owns pairs of pattern and key, and knows nothing of what a key stands for. *Invariants.* A pair is in it once.
//! A node without a pair below it is removed, so that the tree is as large as what is in it. What it costs to find the
//! matches of a name follows the nodes whose path the beginning of the name matches, never the number of patterns
//! that begin otherwise; at the worst, with patterns made for it, every node is one of them.

use std::collections::{BTreeSet, HashMap};

use super::destination::{
    BROKERS_OWN, DestinationKind, DestinationName, Pattern, Segment, Tail, is_brokers_own,
};

/// Changes whenever what the index answers for queues, or for topics, may change; what was found under one holds as
/// long as it is the same.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Generation(u64);

/// Patterns and who has them.
#[derive(Debug)]
pub struct PatternIndex<K> {
    queues: Tree<K>,
    topics: Tree<K>,
}

#[derive(Debug)]
struct Tree<K> {
    root: Node<K>,
    generation: Generation,
    len: usize,
}

/// Where the patterns with the same first segments go on.
#[derive(Debug)]
struct Node<K> {
    literals: HashMap<Box<str>, Box<Node<K>>>,
    any: Option<Box<Node<K>>>,
    /// Those whose pattern ends here.
    ends: BTreeSet<K>,
    /// Those whose pattern goes on with any rest, also none.
    rests: BTreeSet<K>,
}

impl<K: Ord> PatternIndex<K> {
    /// Adds a pair; false if it is in already.
    pub fn insert(&mut self, pattern: &Pattern, key: K) -> bool {
        let tree = self.tree_mut(pattern.kind());
        let node = pattern
            .segments()
            .iter()
            .fold(&mut tree.root, Node::child_mut);
        let is_new = node.keys_mut(pattern.tail()).insert(key);
        if is_new {
            tree.len += 1;
            tree.generation.0 += 1;
        }
        is_new
    }

    /// Takes a pair out; false if it is not in.
    pub fn remove(&mut self, pattern: &Pattern, key: &K) -> bool {
        let tree = self.tree_mut(pattern.kind());
        let is_gone = tree.root.remove(pattern.segments(), pattern.tail(), key);
        if is_gone {
            tree.len -= 1;
            tree.generation.0 += 1;
        }
        is_gone
    }

    /// Calls `found` with the key of every pair whose pattern matches. A key that is in with several patterns comes
    /// once for each that does. The order depends on what is in alone, not on how it came in. Returns how many nodes
    /// it took.
    pub fn matches<'a>(&'a self, name: &DestinationName, mut found: impl FnMut(&'a K)) -> usize {
        if name.is_temporary() {
            return 0;
        }
        let root = &self.tree(name.kind()).root;
        if !is_brokers_own(name.name()) {
            return root.visit(Some(name.name()), &mut found);
        }
        root.literals.get(BROKERS_OWN).map_or(0, |own| {
            own.visit(behind_segment(name.name()).1, &mut found)
        })
    }

    /// What answers for names of this kind hold for.
    #[must_use]
    pub fn generation(&self, kind: DestinationKind) -> Generation {
        self.tree(kind).generation
    }

    /// Pairs.
    #[must_use]
    pub fn len(&self) -> usize {
        self.queues.len + self.topics.len
    }

    /// Whether it has no pair.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn tree(&self, kind: DestinationKind) -> &Tree<K> {
        match kind {
            DestinationKind::Queue => &self.queues,
            DestinationKind::Topic => &self.topics,
        }
    }

    fn tree_mut(&mut self, kind: DestinationKind) -> &mut Tree<K> {
        match kind {
            DestinationKind::Queue => &mut self.queues,
            DestinationKind::Topic => &mut self.topics,
        }
    }
}

impl<K: Ord> Node<K> {
    fn child_mut<'a>(&'a mut self, segment: &Segment) -> &'a mut Self {
        match segment {
            Segment::Literal(literal) => self.literals.entry(literal.clone()).or_default(),
            Segment::Any => self.any.get_or_insert_default(),
        }
    }

    fn keys_mut(&mut self, tail: Tail) -> &mut BTreeSet<K> {
        match tail {
            Tail::End => &mut self.ends,
            Tail::Rest => &mut self.rests,
        }
    }

    fn is_empty(&self) -> bool {
        self.literals.is_empty()
            && self.any.is_none()
            && self.ends.is_empty()
            && self.rests.is_empty()
    }

    fn remove(&mut self, segments: &[Segment], tail: Tail, key: &K) -> bool {
        let Some((segment, below)) = segments.split_first() else {
            return self.keys_mut(tail).remove(key);
        };
        match segment {
            Segment::Literal(literal) => {
                let Some(child) = self.literals.get_mut(literal) else {
                    return false;
                };
                let is_gone = child.remove(below, tail, key);
                if child.is_empty() {
                    self.literals.remove(literal);
                }
                is_gone
            }
            Segment::Any => {
                let Some(child) = &mut self.any else {
                    return false;
                };
                let is_gone = child.remove(below, tail, key);
                self.any.take_if(|child| child.is_empty());
                is_gone
            }
        }
    }

    /// As deep as the name has segments, and so at most as half a name has bytes. Returns how many nodes it took.
    fn visit<'a>(&'a self, name: Option<&str>, found: &mut impl FnMut(&'a K)) -> usize {
        self.rests.iter().for_each(&mut *found);
        let Some(name) = name else {
            self.ends.iter().for_each(found);
            return 1;
        };
        let (segment, below) = behind_segment(name);
        let children = [self.literals.get(segment), self.any.as_ref()];
        let below = children
            .into_iter()
            .flatten()
            .map(|child| child.visit(below, found));
        1 + below.sum::<usize>()
    }
}

/// Cuts the first segment off; [`None`] if it was the last.
fn behind_segment(name: &str) -> (&str, Option<&str>) {
    match name.split_once('.') {
        Some((segment, below)) => (segment, Some(below)),
        None => (name, None),
    }
}

impl<K> Default for PatternIndex<K> {
    fn default() -> Self {
        Self {
            queues: Tree::default(),
            topics: Tree::default(),
        }
    }
}

impl<K> Default for Tree<K> {
    fn default() -> Self {
        Self {
            root: Node::default(),
            generation: Generation::default(),
            len: 0,
        }
    }
}

impl<K> Default for Node<K> {
    fn default() -> Self {
        Self {
            literals: HashMap::new(),
            any: None,
            ends: BTreeSet::new(),
            rests: BTreeSet::new(),
        }
    }
}

#[cfg(test)]
mod tests;
