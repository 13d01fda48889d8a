//! Whose turn it is to have a page of a queue read, as there is one at a time: the head's and the others', and of those
//! one kind after the other and one browser after the other.
//!
//! Wishes are those of one turn and are made anew in the next, but those of browsers, which stand until they are met.

use std::collections::VecDeque;

use stompbox_store::Rank;

use super::key::SubscriptionKey;
use super::queue::Purpose;

/// A page that is wished for.
type Wish = (Rank, Purpose);

/// Pages that are wished for.
#[derive(Debug, Default)]
pub(super) struct PageTurn {
    head: Option<Wish>,
    scan: Option<Wish>,
    group: Option<Wish>,
    values: Option<Wish>,
    /// Browsers that wait for a page.
    walks: VecDeque<SubscriptionKey>,
    was_head: bool,
    last: Other,
}

/// Who wishes for a page beside the head, in the order of their turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Other {
    Scan,
    Group,
    Values,
    #[default]
    Walk,
}

impl Other {
    fn next(self) -> Self {
        match self {
            Other::Scan => Other::Group,
            Other::Group => Other::Values,
            Other::Values => Other::Walk,
            Other::Walk => Other::Scan,
        }
    }
}

impl PageTurn {
    /// A turn of the queue begins.
    pub(super) fn begin(&mut self) {
        (self.head, self.scan, self.group, self.values) = (None, None, None, None);
    }

    /// Somebody wishes for a page; of one kind the first one counts.
    pub(super) fn wish(&mut self, rank: Rank, purpose: Purpose) {
        let place = match purpose {
            Purpose::Head => &mut self.head,
            Purpose::Scan(..) => &mut self.scan,
            Purpose::Group(..) => &mut self.group,
            Purpose::Values(..) => &mut self.values,
            Purpose::Walk(walker, _) => return self.walks.push_back(walker),
        };
        place.get_or_insert((rank, purpose));
    }

    /// A browser's wish is met.
    pub(super) fn walked(&mut self, walker: SubscriptionKey) {
        self.walks.retain(|waiting| *waiting != walker);
    }

    /// The wish whose turn it is. `walk` says where a browser stands, if it still wants to go on.
    pub(super) fn next(&mut self, walk: impl Fn(SubscriptionKey) -> Option<Wish>) -> Option<Wish> {
        if !self.was_head && self.head.is_some() {
            self.was_head = true;
            return self.head.take();
        }
        let mut kind = self.last;
        for _ in 0..4 {
            kind = kind.next();
            let wish = match kind {
                Other::Scan => self.scan.take(),
                Other::Group => self.group.take(),
                Other::Values => self.values.take(),
                Other::Walk => self.next_walk(&walk),
            };
            if wish.is_some() {
                (self.last, self.was_head) = (kind, false);
                return wish;
            }
        }
        self.head.take()
    }

    fn next_walk(&mut self, walk: impl Fn(SubscriptionKey) -> Option<Wish>) -> Option<Wish> {
        while let Some(walker) = self.walks.front() {
            if let Some(wish) = walk(*walker) {
                return Some(wish);
            }
            self.walks.pop_front();
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use stompbox_store::Sequence;

    use super::*;
    use crate::core::dispatcher::key::ScanKey;

    #[test]
    fn the_head_has_every_other_turn_and_the_others_the_rest_in_turn() {
        let (rank, at) = (Rank(5), Sequence(1));
        let walk = |walker| Some((rank, Purpose::Walk(walker, at)));
        let mut turn = PageTurn::default();
        for walker in [1, 2] {
            turn.wish(rank, Purpose::Walk(SubscriptionKey(walker), at));
        }
        let mut served = Vec::new();
        for _ in 0..8 {
            turn.begin();
            turn.wish(rank, Purpose::Head);
            turn.wish(rank, Purpose::Scan(ScanKey(1), at));
            turn.wish(rank, Purpose::Scan(ScanKey(2), at));
            let Some((_, purpose)) = turn.next(walk) else {
                panic!("a wish");
            };
            if let Purpose::Walk(walker, _) = purpose {
                turn.walked(walker);
                turn.wish(rank, Purpose::Walk(walker, at));
            }
            served.push(purpose);
        }
        let walker = |key| Purpose::Walk(SubscriptionKey(key), at);
        let scan = Purpose::Scan(ScanKey(1), at);
        let head = Purpose::Head;
        let expected = [
            head.clone(),
            scan.clone(),
            head.clone(),
            walker(1),
            head.clone(),
            scan,
            head,
            walker(2),
        ];
        assert_eq!(served, expected);
    }

    #[test]
    fn a_browser_that_has_gone_is_passed() {
        let mut turn = PageTurn::default();
        let walk = |walker| (walker == SubscriptionKey(2)).then_some((Rank(1), Purpose::Head));
        for walker in [1, 2] {
            turn.wish(Rank(1), Purpose::Walk(SubscriptionKey(walker), Sequence(1)));
        }
        assert_eq!(turn.next(walk), Some((Rank(1), Purpose::Head)));
        turn.walked(SubscriptionKey(2));
        assert_eq!(turn.next(walk), None);
    }
}
