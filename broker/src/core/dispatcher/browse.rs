//! Browsers: a walk through what waits in a queue, in its order, that takes nothing (`browser:true`).
//!
//! Owns how far each walk has come. It shows what waited when it began and is still there when it comes by: what others
//! take meanwhile is not shown, what comes meanwhile is not either. *Invariant*: nothing is shown twice.

use stompbox_store::{Page, Rank, Sequence};

use super::Dispatcher;
use super::delivery::Origin;
use super::entry::Entry;
use super::key::{QueueKey, SubscriptionKey};
use super::property::{Place, Seen};
use super::queue::{LANE_COUNT, Purpose};
use super::subscription::Subscription;
use crate::core::clock::Now;
use crate::core::port::Reply;

/// Messages that one turn looks at for one walk.
const STEPS_MAX: usize = 1_000;

/// How far a walk has come.
#[derive(Debug)]
pub(super) struct Walk {
    /// Whose it is.
    key: SubscriptionKey,
    pub(super) queue: QueueKey,
    rank: Rank,
    /// In this rank everything before this was looked at.
    at: Sequence,
    /// What was allocated after this came after the beginning.
    end: Sequence,
    /// Whether it stands among those that wait for a page.
    waits_for_page: bool,
    has_ended: bool,
}

impl Walk {
    /// A walk through what waits in a queue now.
    pub(super) fn new(key: SubscriptionKey, queue: QueueKey, end: Sequence) -> Self {
        Self {
            key,
            queue,
            rank: Rank(0),
            at: Sequence(i64::MIN),
            end,
            waits_for_page: false,
            has_ended: false,
        }
    }

    /// Whether there is more to come.
    pub(super) fn goes_on(&self) -> bool {
        !self.has_ended
    }

    /// The page of this queue that it waits for.
    pub(super) fn wish(&self, queue: QueueKey) -> Option<(Rank, Purpose)> {
        let waits = self.waits_for_page && self.queue == queue;
        waits.then_some((self.rank, Purpose::Walk(self.key, self.at)))
    }

    fn next_rank(&mut self) {
        self.rank = Rank(self.rank.0 + 1);
        self.at = Sequence(i64::MIN);
    }
}

/// What comes next on a walk.
enum Step {
    Show(Sequence, Entry),
    /// Not to be seen: it is passed.
    Pass(Sequence),
    /// Something that is on disk only.
    Paged,
    NextRank,
    End,
}

impl Dispatcher {
    /// A subscription is to walk through what waits in a queue now.
    pub(super) fn begin_walk(&mut self, key: SubscriptionKey, queue: QueueKey) {
        let walk = Walk::new(key, queue, self.last_sequence);
        self.subscriptions[key.0].walk = Some(Box::new(walk));
        self.queues[queue.0].browser_count += 1;
    }

    /// A subscription has ended, and its walk with it. Its queue is there as long as somebody browses it.
    pub(super) fn leave_walk(&mut self, subscription: &Subscription) {
        if let Some(walk) = &subscription.walk
            && let Some(queue) = self.queues.get_mut(walk.queue.0)
        {
            queue.browser_count = queue.browser_count.saturating_sub(1);
        }
    }

    /// Walks on, as far as the credit goes.
    pub(super) fn walk_on(&mut self, key: SubscriptionKey, now: Now) {
        for _ in 0..STEPS_MAX {
            let Some(subscription) = self.subscriptions.get(key.0) else {
                return;
            };
            let Some(walk) = subscription.walk.as_ref().filter(|walk| walk.goes_on()) else {
                return;
            };
            if walk.waits_for_page {
                return;
            }
            let has_credit = subscription.credit.is_left();
            let (rank, queue, at) = (walk.rank, walk.queue, walk.at);
            match self.next_step(walk, now) {
                Step::Show(..) | Step::Paged if !has_credit || self.browser_waits(key) => return,
                Step::Show(sequence, entry) => {
                    self.passed(key, sequence);
                    self.show(key, sequence, entry);
                }
                Step::Pass(sequence) => self.passed(key, sequence),
                Step::NextRank => {
                    if let Some(walk) = self.walk_mut(key) {
                        walk.next_rank();
                    }
                }
                Step::Paged => {
                    if let Some(walk) = self.walk_mut(key) {
                        walk.waits_for_page = true;
                    }
                    self.want_page(queue, rank, Purpose::Walk(key, at));
                    return self.mark(queue);
                }
                Step::End => return self.end_walk(key),
            }
        }
        // Others first.
        self.walks_unfinished.push(key);
    }

    fn next_step(&self, walk: &Walk, now: Now) -> Step {
        if usize::from(walk.rank.0) >= LANE_COUNT {
            return Step::End;
        }
        let Some(queue) = self.queues.get(walk.queue.0) else {
            return Step::End;
        };
        let lane = queue.lane(walk.rank);
        let parked = queue.groups.parked().first_from(walk.rank, walk.at);
        let resident = lane.resident_from(walk.at);
        let resident = match (resident, parked) {
            (Some((sequence, _)), Some((before, entry))) if before < sequence => {
                Some((before, entry))
            }
            (None, Some(parked)) => Some(parked),
            (resident, _) => resident.map(|(sequence, entry)| (sequence, Some(entry))),
        };
        let resident = resident.filter(|(sequence, _)| *sequence <= walk.end);
        let paged = lane
            .paged()
            .filter(|range| range.last >= walk.at)
            .map(|range| range.first.max(walk.at));
        let returning = queue.first_returning(walk.rank, walk.at);
        let paged = [paged, returning].into_iter().flatten().min();
        let paged = paged.filter(|first| *first <= walk.end);
        match (resident, paged) {
            (None, None) => Step::NextRank,
            (None, Some(_)) => Step::Paged,
            (Some((sequence, _)), Some(paged)) if paged < sequence => Step::Paged,
            (Some((_, None)), _) => Step::Paged,
            (Some((sequence, Some(entry))), _) => {
                if self.is_shown(entry, now) {
                    Step::Show(sequence, entry.clone())
                } else {
                    Step::Pass(sequence)
                }
            }
        }
    }

    fn is_shown(&self, entry: &Entry, now: Now) -> bool {
        entry.visible_after <= self.watermark && !entry.is_expired(now.wall_ms)
    }

    fn walk_mut(&mut self, key: SubscriptionKey) -> Option<&mut Walk> {
        self.subscriptions.get_mut(key.0)?.walk.as_deref_mut()
    }

    fn passed(&mut self, key: SubscriptionKey, sequence: Sequence) {
        if let Some(walk) = self.walk_mut(key) {
            walk.at = sequence.next();
        }
    }

    fn show(&mut self, key: SubscriptionKey, sequence: Sequence, entry: Entry) {
        let subscription = &self.subscriptions[key.0];
        let Some(walk) = &subscription.walk else {
            return;
        };
        if let Some(selector) = &subscription.selector {
            let place = Place {
                destination: &self.queues[walk.queue.0].name,
                instance: &self.instance,
            };
            let seen = Seen {
                entry: &entry,
                place,
            };
            if !selector.matches(&seen) {
                return;
            }
        }
        self.hand_over(key, Origin::Walk, sequence, entry);
    }

    fn end_walk(&mut self, key: SubscriptionKey) {
        if let Some(walk) = self.walk_mut(key) {
            walk.has_ended = true;
        }
        let subscription = &self.subscriptions[key.0];
        let (peer, handle) = (subscription.peer, subscription.handle);
        self.reply(peer, Reply::BrowseEnd(handle));
    }

    /// What has to be read for a walk: from where it stands to before the next message that is resident.
    pub(super) fn bounds_of_walk(
        &self,
        key: SubscriptionKey,
        first: Sequence,
        last: Sequence,
    ) -> Option<(Sequence, Sequence)> {
        let walk = self.subscriptions.get(key.0)?.walk.as_ref()?;
        let queue = self.queues.get(walk.queue.0)?;
        let from = first.max(walk.at);
        let resident = queue.lane(walk.rank).resident_from(from);
        let resident = resident.map_or(Sequence::MAX, |(sequence, _)| sequence);
        let parked = queue.groups.parked().first_body_from(walk.rank, from);
        let before = resident.min(parked.unwrap_or(Sequence::MAX));
        let before = Sequence(before.0.saturating_sub(1));
        let through = last.min(before).min(walk.end);
        (from <= through).then_some((from, through))
    }

    /// Rows have come for a walk. They stay on the disk.
    pub(super) fn walk_page_came(
        &mut self,
        queue: QueueKey,
        rank: Rank,
        (key, at): (SubscriptionKey, Sequence),
        through: Sequence,
        page: Page,
        now: Now,
    ) {
        let gone = self.count_out_damaged(queue, rank, &page.quarantined);
        let last = page.rows.last().map(|row| row.sequence);
        let last = last.max(page.quarantined.iter().max().copied());
        let mut next = match last {
            Some(last) if !page.exhausted => last.next(),
            _ => through.next(),
        };
        // It may have gone, and another may have its key.
        let is_it = |walk: &mut Walk| walk.queue == queue && walk.rank == rank && walk.at == at;
        let is_there = self.walk_mut(key).is_some_and(is_it);
        for row in page.rows {
            let sequence = row.sequence;
            let found = &self.queues[queue.0];
            let is_parked = found
                .groups
                .parked()
                .group_of_stored((rank, sequence))
                .is_some();
            if !is_there || (found.knows(rank, sequence) && !is_parked) {
                continue;
            }
            if !self.subscriptions[key.0].credit.is_left() {
                next = sequence;
                break;
            }
            let entry = self.entry_of(row, rank);
            if self.is_shown(&entry, now) {
                self.show(key, sequence, entry);
            }
        }
        if is_there && let Some(walk) = self.walk_mut(key) {
            walk.at = walk.at.max(next);
        }
        self.queues[queue.0].page_in_part(rank, gone);
        self.mark(queue);
    }

    /// A browser's turn to have a page read is over.
    pub(super) fn wake_walk(&mut self, key: QueueKey, purpose: &Purpose) {
        let &Purpose::Walk(walker, _) = purpose else {
            return;
        };
        self.queues[key.0].page_turn.walked(walker);
        if let Some(walk) = self.walk_mut(walker).filter(|walk| walk.queue == key) {
            walk.waits_for_page = false;
            self.look_at(walker);
        }
    }
}
