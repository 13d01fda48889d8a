//! Who is given a message of a group, and what becomes of those that wait for it.

use std::sync::Arc;
use std::time::Duration;

use stompbox_store::{Page, Rank, Sequence, Ticket};

use super::Dispatcher;
use super::consumer::Standing;
use super::entry::{Durability, Entry};
use super::group::{Claim, Fitness, GroupId, Membership};
use super::key::{ConsumerKey, QueueKey};
use super::paging::PageOut;
use super::parked::{Position, Unparked};
use super::property::{Place, Seen};
use super::queue::{Next, Purpose};
use super::timer::Timer;
use crate::core::clock::Now;

/// Bodies that a page brings for the group that it was read for, however many other groups have in memory.
const AHEAD_MAX: usize = 64;

/// How soon a group is looked at again that something else in its lane holds back.
const HELD_RECHECK: Duration = Duration::from_millis(10);

/// Whether a higher priority that waits in a lane comes before what is parked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Serving {
    /// It does: the round has still to come.
    InTheirTurn,
    /// The round has been: nobody took it.
    AtLast,
}

impl Dispatcher {
    /// Whether a message of a group goes to the consumer whose turn it is, to its owner, or is parked.
    pub(super) fn claim_group(
        &mut self,
        key: QueueKey,
        id: &GroupId,
        position: Position,
        entry: &Entry,
        taker: ConsumerKey,
        now: Now,
    ) -> Claim {
        // The table is taken out, as the fitness of an owner is asked for while it changes.
        let mut groups = std::mem::take(&mut self.queues[key.0].groups);
        let chooses = self.consumers[taker.0].scan.is_some();
        let is_new = chooses && groups.owner_of(id).is_none();
        let claim = groups.claim(id, position, taker, |owner| self.fitness_of(owner, entry));
        self.queues[key.0].groups = groups;
        if is_new && claim == Claim::To(taker) {
            self.let_strangers_go(key, id, taker, now);
        }
        claim
    }

    /// A group with something parked has got an owner that chooses: what that does not choose waits for the owner no more.
    /// What is parked by name only is looked at again from where it stood.
    fn let_strangers_go(&mut self, key: QueueKey, id: &GroupId, owner: ConsumerKey, now: Now) {
        for position in self.queues[key.0].groups.all_parked(id) {
            let parked = self.queues[key.0].groups.parked();
            let entry = parked.get(position);
            if entry.is_some_and(|entry| self.is_meant(owner, entry)) {
                continue;
            }
            let (rank, sequence) = position;
            match entry.map(|entry| entry.not_before) {
                Some(due) if due > now.uptime => {
                    if let Some(Unparked::Resident(entry)) = self.queues[key.0].unpark(position) {
                        self.put_off(key, rank, sequence, entry, due, now);
                    }
                }
                _ => self.return_to_lane(key, position),
            }
        }
    }

    fn fitness_of(&self, owner: ConsumerKey, entry: &Entry) -> Fitness {
        let consumer = &self.consumers[owner.0];
        let subscription = &self.subscriptions[consumer.subscription.0];
        if !self.is_meant(owner, entry) {
            Fitness::IsNotMeant
        } else if subscription.credit.is_left() {
            Fitness::Takes
        } else {
            Fitness::HasNoCredit
        }
    }

    /// Whether a consumer's selector matches, if it has one.
    fn is_meant(&self, key: ConsumerKey, entry: &Entry) -> bool {
        let consumer = &self.consumers[key.0];
        let Some(selector) = &self.subscriptions[consumer.subscription.0].selector else {
            return true;
        };
        let place = Place {
            destination: &self.queues[consumer.queue.0].name,
            instance: &self.instance,
        };
        selector.matches(&Seen { entry, place })
    }

    /// The group that a message waits with, if it has to: not where its owner's selector does not match.
    pub(super) fn group_to_wait_with(&self, key: QueueKey, entry: &Entry) -> Option<GroupId> {
        let group = entry.message.group()?;
        let owner = self.queues[key.0].groups.owner_of(&group.id);
        let is_member = owner.is_none_or(|owner| self.is_meant(owner, entry));
        is_member.then(|| Arc::clone(&group.id))
    }

    /// A message goes out: it is in flight, and may have been its group's last.
    pub(super) fn gave_group(&mut self, key: QueueKey, entry: &Entry, membership: Membership) {
        let Some(group) = entry.message.group() else {
            return;
        };
        let groups = &mut self.queues[key.0].groups;
        groups.gave(&group.id);
        if group.closes && membership == Membership::Member {
            groups.close(&group.id);
            self.mark(key);
        }
    }

    /// A message that is in no lane waits with its group.
    pub(super) fn park(&mut self, key: QueueKey, id: &GroupId, position: Position, entry: Entry) {
        if entry.expires_ms != 0 {
            self.expiring_queues.insert(key);
        }
        let (watermark, window) = (self.watermark, self.window());
        let (rank, sequence) = position;
        let durability = entry.durability;
        let queue = &mut self.queues[key.0];
        queue.park(position, id, entry);
        match durability {
            Durability::Pending(ticket) if ticket > watermark => {
                if queue.groups.parked().is_deep(&window) {
                    self.page_outs.push_back(PageOut {
                        ticket,
                        queue: key,
                        rank,
                        sequence,
                    });
                }
            }
            Durability::Pending(_) => {
                queue.page_out_durable(rank, sequence, watermark, &window);
            }
            Durability::Volatile => {}
        }
    }

    /// Everything that is parked of a group returns to where it stood, and its owner keeps it.
    pub(super) fn unpark_group(&mut self, key: QueueKey, id: &GroupId) {
        for position in self.queues[key.0].groups.all_parked(id) {
            self.return_to_lane(key, position);
        }
    }

    fn return_to_lane(&mut self, key: QueueKey, position: Position) {
        let (rank, sequence) = position;
        let entry = match self.queues[key.0].unpark(position) {
            Some(Unparked::Resident(entry)) => entry,
            Some(Unparked::Stored) => return self.queues[key.0].return_to_disk(rank, sequence),
            None => return,
        };
        if !self.drop_superseded(key, rank, sequence, &entry) {
            self.put_in_lane(key, rank, sequence, entry);
        }
    }

    /// Owners get what is parked for them, as far as their credit goes; what nobody owns returns to its lane.
    pub(super) fn serve_parked(&mut self, key: QueueKey, serving: Serving, now: Now) {
        while let Some(id) = self.queues[key.0].groups.next_awake(now.uptime) {
            match self.queues[key.0].groups.owner_of(&id) {
                Some(_) => self.queues[key.0].groups.enlist(&id),
                None => self.release_due(key, &id, now),
            }
        }
        let mut outranked = Vec::new();
        while let Some(owner) = self.queues[key.0].groups.next_woken() {
            if !self.serve_owner(key, owner, serving, now) {
                outranked.push(owner);
            }
        }
        for owner in outranked {
            self.queues[key.0].groups.wake(owner);
        }
        if let Some((id, (rank, _))) = self.queues[key.0].groups.first_wanting() {
            self.want_page(key, rank, Purpose::Group(id));
        }
    }

    /// A group without an owner returns to its lanes, up to the first that is not due.
    fn release_due(&mut self, key: QueueKey, id: &GroupId, now: Now) {
        while let Some(head) = self.queues[key.0].groups.head_of(id) {
            let groups = &mut self.queues[key.0].groups;
            if let Some(entry) = groups.parked().get(head)
                && entry.not_before > now.uptime
            {
                let due = entry.not_before;
                return groups.sleep(id, due);
            }
            self.return_to_lane(key, head);
        }
    }

    /// Gives an owner what is parked for it; `false` if something else comes first.
    fn serve_owner(
        &mut self,
        key: QueueKey,
        owner: ConsumerKey,
        serving: Serving,
        now: Now,
    ) -> bool {
        let subscription = self.consumers[owner.0].subscription;
        while self.subscriptions[subscription.0].credit.is_left() {
            let Some(id) = self.queues[key.0].groups.next_listed(owner) else {
                return true;
            };
            let is_outranked = serving == Serving::InTheirTurn && self.is_outranked(key, &id, now);
            if is_outranked || self.waits_for_page(key, &id) {
                self.queues[key.0].groups.list_first(owner, &id);
                return false;
            }
            self.serve_group(key, owner, &id, now);
        }
        if self.queues[key.0].groups.waits_for(owner) {
            self.wait_for_credit(owner);
        }
        true
    }

    /// Whether the first message of a group has to wait for what returns to the disk with the page that is being read: then
    /// the queue is looked at again.
    fn waits_for_page(&self, key: QueueKey, id: &GroupId) -> bool {
        let queue = &self.queues[key.0];
        let head = queue.groups.head_of(id);
        head.is_some_and(|head| queue.is_returning_before(head))
    }

    /// Whether a message of a higher priority waits in a lane.
    fn is_outranked(&self, key: QueueKey, id: &GroupId, now: Now) -> bool {
        let queue = &self.queues[key.0];
        let Some((rank, _)) = queue.groups.head_of(id) else {
            return false;
        };
        matches!(queue.next(self.watermark, now), Next::Ready(first, _) if first < rank)
    }

    /// Gives an owner the first message of its group, if that can be given now. The group then stands where it will be
    /// looked at again.
    fn serve_group(&mut self, key: QueueKey, owner: ConsumerKey, id: &GroupId, now: Now) {
        let Some(head) = self.queues[key.0].groups.head_of(id) else {
            return;
        };
        let Some(entry) = self.queues[key.0].groups.parked().get(head) else {
            return self.queues[key.0].groups.want_page(id);
        };
        if entry.is_expired(now.wall_ms) {
            return self.expire_parked(key, head, now);
        }
        let due = entry.not_before;
        if due > now.uptime {
            return self.queues[key.0].groups.sleep(id, due);
        }
        if !self.is_meant(owner, entry) {
            return self.return_to_lane(key, head);
        }
        let (uptime, watermark) = (now.uptime, self.watermark);
        let is_ready =
            |entry: &Entry| entry.not_before <= uptime && entry.visible_after <= watermark;
        if self.queues[key.0].is_held_back(head, is_ready) {
            let again = uptime + HELD_RECHECK;
            self.timers.set(again, Timer::Look(key));
            return self.queues[key.0].groups.sleep(id, again);
        }
        if let Some(Unparked::Resident(entry)) = self.queues[key.0].unpark(head) {
            let (rank, sequence) = head;
            if !self.drop_superseded(key, rank, sequence, &entry) {
                self.give(key, owner, rank, sequence, entry, Membership::Member);
            }
        }
    }

    fn expire_parked(&mut self, key: QueueKey, position: Position, now: Now) {
        if let Some(entry) = self.queues[key.0].take_waiting(position) {
            let (rank, sequence) = position;
            self.expire(key, rank, sequence, entry, now);
        }
    }

    /// A consumer has something to wait for at its queue: when its subscription has credit again it is looked at.
    pub(super) fn wait_for_credit(&mut self, key: ConsumerKey) {
        let consumer = &mut self.consumers[key.0];
        if !std::mem::replace(&mut consumer.waits_for_credit, true) {
            self.subscriptions[consumer.subscription.0]
                .parked
                .push_back(key);
        }
    }

    /// A consumer that has waited for credit may take a turn.
    pub(super) fn has_credit(&mut self, key: ConsumerKey) {
        let consumer = &mut self.consumers[key.0];
        consumer.waits_for_credit = false;
        let (queue, standing) = (consumer.queue, consumer.standing);
        self.queues[queue.0].groups.wake(key);
        if standing == Standing::Parked {
            self.enter_round(key);
        } else {
            self.mark(queue);
        }
    }

    /// Rows have come for a group: those that are parked get their bodies, of other groups as far as there is room.
    pub(super) fn group_page_came(
        &mut self,
        key: QueueKey,
        rank: Rank,
        id: &GroupId,
        through: Sequence,
        page: Page,
    ) {
        for sequence in &page.quarantined {
            self.lose_parked(key, (rank, *sequence));
        }
        let head = self.queues[key.0].groups.head_of(id);
        let is_whole = page.exhausted;
        let last = page.rows.last().map(|row| row.sequence);
        let window = self.window();
        let ahead = if self.settings.budget.is_over() {
            1
        } else {
            AHEAD_MAX
        };
        let mut own_count = 0;
        for row in page.rows {
            let position = (rank, row.sequence);
            let parked = self.queues[key.0].groups.parked();
            let Some(group) = parked.group_of_stored(position) else {
                continue;
            };
            let is_own = group == id && own_count < ahead;
            if is_own || !parked.is_deep(&window) {
                own_count += usize::from(is_own);
                let entry = self.entry_of(row, rank);
                self.queues[key.0].bring_parked(position, entry);
            }
        }
        // What was read and is not there will not be there the next time either.
        if let Some(head) = head
            && head.0 == rank
            && (last.is_some_and(|last| head.1 <= last) || (is_whole && head.1 <= through))
            && self.queues[key.0]
                .groups
                .parked()
                .group_of_stored(head)
                .is_some()
        {
            tracing::error!(queue = %self.queues[key.0].name, sequence = head.1.0,
                "a stored message of a group is not in the store");
            self.lose_parked(key, head);
        }
        self.shed_parked(key, id, self.watermark);
        self.queues[key.0].groups.has_page(id);
        self.mark(key);
    }

    /// A message that is parked by name only has gone.
    fn lose_parked(&mut self, key: QueueKey, position: Position) {
        let queue = &mut self.queues[key.0];
        if queue.groups.parked().group_of_stored(position).is_some() {
            queue.unpark(position);
            queue.lose_held(position.0, position.1);
        }
    }

    /// Bodies of other groups make room for what a page has brought, those first that stand last.
    fn shed_parked(&mut self, key: QueueKey, keep: &GroupId, watermark: Ticket) {
        let window = self.window();
        let queue = &mut self.queues[key.0];
        let last: Vec<Position> = queue
            .groups
            .parked()
            .bodies_from_behind()
            .take(4 * AHEAD_MAX)
            .filter(|(_, entry)| entry.message.group().is_some_and(|group| group.id != *keep))
            .map(|(position, _)| position)
            .collect();
        for (rank, sequence) in last {
            queue.page_out_durable(rank, sequence, watermark, &window);
        }
    }
}
