//! What of a queue is on disk only: it leaves memory, is read back, and is taken out by name.
//!
//! Owns nothing: the ranges are the lanes', the depth is the queue's. *Invariant*: while a page is read nothing leaves its
//! range's borders, and what returns to the disk waits until that page has come.

use stompbox_store::{Rank, Sequence, Ticket};

use super::{Paging, Purpose, Queue, Role};
use crate::core::dispatcher::lane::Range;

impl Queue {
    /// Entries that are on disk only.
    pub(in crate::core::dispatcher) fn paged_count(&self) -> u64 {
        self.occupied()
            .filter_map(|rank| self.lane(rank).paged())
            .map(|range| range.count)
            .sum()
    }

    /// Whether anything waits on disk only, in a lane or parked.
    pub(in crate::core::dispatcher) fn has_on_disk_only(&self) -> bool {
        self.paged_count() > 0 || self.groups.parked().stored_count() > 0
    }

    /// What recovery knows of a lane.
    pub(in crate::core::dispatcher) fn recover(&mut self, rank: Rank, range: Range, bytes: u64) {
        self.lane_mut(rank).set_paged(Some(range));
        self.note_occupied(rank);
        self.depth += range.count;
        self.depth_bytes += bytes;
        self.paged_may_expire = true;
    }

    /// Lets go of an entry that waits in memory, unless a selector has found it; while a page is read, when that has
    /// come.
    pub(in crate::core::dispatcher) fn page_out(&mut self, rank: Rank, sequence: Sequence) {
        if matches!(self.paging, Paging::Reading { .. }) {
            return self.staying.push((rank, sequence));
        }
        if !self.lane(rank).contains(sequence) {
            return self.let_go_of_parked((rank, sequence));
        }
        if self.is_found(rank, sequence) {
            return;
        }
        if let Some(entry) = self.lane_mut(rank).page_out(sequence) {
            let bytes = entry.message.bytes();
            self.resident_bytes -= bytes;
            self.expires_elsewhere((rank, sequence), &entry);
            self.paged_may_expire |= entry.expires_ms != 0 && !self.is_durable();
            self.value_paged_out((rank, sequence), &entry);
            self.leaves_memory();
            self.note_paged_out(bytes as u64);
        }
    }

    /// An entry appears on disk only: a dead letter that was never resident.
    pub(in crate::core::dispatcher) fn append_paged(
        &mut self,
        rank: Rank,
        sequence: Sequence,
        bytes: u64,
        ticket: Ticket,
    ) {
        self.paged_ticket = ticket;
        self.lane_mut(rank).extend_paged(sequence);
        self.note_occupied(rank);
        self.depth += 1;
        self.depth_bytes += bytes;
    }

    /// A row that was on disk only is taken from there by name: it expired.
    pub(in crate::core::dispatcher) fn take_paged(
        &mut self,
        rank: Rank,
        sequence: Sequence,
        bytes: u64,
    ) -> bool {
        let position = (rank, sequence);
        if self.groups.parked().group_of_stored(position).is_some() {
            self.unpark(position);
            self.depth_bytes = self.depth_bytes.saturating_sub(bytes);
            self.lose_held(rank, sequence);
            return true;
        }
        let Some(range) = self.lane(rank).paged() else {
            return false;
        };
        if sequence < range.first || sequence > range.last || self.knows(rank, sequence) {
            return false;
        }
        self.lane_mut(rank).set_paged(Some(Range {
            count: range.count - 1,
            ..range
        }));
        self.note_occupied(rank);
        self.held.insert((rank, sequence));
        self.release(rank, sequence);
        self.forget_value(rank, sequence);
        self.depth -= 1;
        self.depth_bytes = self.depth_bytes.saturating_sub(bytes);
        true
    }

    /// What [`Self::append_paged`] put there has not arrived.
    pub(in crate::core::dispatcher) fn unappend_paged(&mut self, rank: Rank, bytes: u64) {
        if let Some(range) = self.lane(rank).paged() {
            let count = range.count - 1;
            self.lane_mut(rank)
                .set_paged(Some(Range { count, ..range }));
            self.note_occupied(rank);
        }
        self.depth -= 1;
        self.depth_bytes = self.depth_bytes.saturating_sub(bytes);
    }

    /// What [`Self::take_paged`] took is on disk only again, at once or behind the page that is being read.
    pub(in crate::core::dispatcher) fn untake_paged(
        &mut self,
        rank: Rank,
        sequence: Sequence,
        bytes: u64,
    ) {
        self.depth += 1;
        self.depth_bytes += bytes;
        self.paged_may_expire = true;
        // A page that is on its way may bring it before that.
        self.held.insert((rank, sequence));
        self.regained.push((rank, sequence));
        if self.paging == Paging::Idle {
            self.regain();
        }
    }

    fn regain(&mut self) {
        let mut regained = std::mem::take(&mut self.regained);
        // The first of a lane is all that scans have to go back to.
        regained.sort_unstable();
        for (rank, sequence) in regained {
            self.unhold(rank, sequence);
            self.lane_mut(rank).extend_paged(sequence);
            self.note_paged_out(0);
            self.note_occupied(rank);
            self.scan_from(rank, sequence);
        }
    }

    /// A stored entry that was held by name is part of the range again.
    pub(in crate::core::dispatcher) fn return_to_disk(&mut self, rank: Rank, sequence: Sequence) {
        self.regained.push((rank, sequence));
        if self.paging == Paging::Idle {
            self.regain();
        }
    }

    /// What stayed in memory while a page was read, and may leave it now.
    pub(in crate::core::dispatcher) fn take_staying(&mut self) -> Vec<(Rank, Sequence)> {
        std::mem::take(&mut self.staying)
    }

    /// A stored entry that was held by name is damaged and gone.
    pub(in crate::core::dispatcher) fn lose_held(&mut self, rank: Rank, sequence: Sequence) {
        self.depth -= 1;
        self.release(rank, sequence);
    }

    /// A durable subscription counts what it knows of; how much of its log it has not read is an estimate.
    pub(super) fn note_paged_out(&mut self, bytes: u64) {
        if let Role::Durable(cursor) = &mut self.role {
            cursor.unread += 1;
            self.depth = self.depth.saturating_sub(1);
            self.depth_bytes = self.depth_bytes.saturating_sub(bytes);
        }
    }

    pub(super) fn note_paged_in(&mut self, bytes: u64) {
        if let Role::Durable(cursor) = &mut self.role {
            cursor.unread = cursor.unread.saturating_sub(1);
            self.depth += 1;
            self.depth_bytes += bytes;
        }
    }

    /// A row of the log that the subscription has nothing to do with. One that came while it was awake was never counted.
    pub(in crate::core::dispatcher) fn pass_over_unwanted(&mut self, sequence: Sequence) {
        if let Role::Durable(cursor) = &self.role
            && sequence > cursor.slept.0
            && sequence <= cursor.slept.1
        {
            self.pass_over_paged(1);
        }
    }

    /// Rows of the log that are damaged.
    pub(in crate::core::dispatcher) fn pass_over_paged(&mut self, count: u64) {
        if let Role::Durable(cursor) = &mut self.role {
            cursor.unread = cursor.unread.saturating_sub(count);
        }
    }

    /// Nothing is on disk only of a durable subscription.
    pub(in crate::core::dispatcher) fn has_read_log(&mut self) {
        if let Role::Durable(cursor) = &mut self.role {
            cursor.unread = 0;
        }
    }

    /// Some rows of the range have become resident, out of their turn.
    pub(in crate::core::dispatcher) fn page_in_part(&mut self, rank: Rank, count: u64) {
        if let Some(range) = self.lane(rank).paged() {
            let count = range.count.saturating_sub(count);
            self.lane_mut(rank)
                .set_paged(Some(Range { count, ..range }));
        }
        self.note_occupied(rank);
        self.end_page();
    }

    /// What has to be read for this: nothing, if nothing is left there.
    pub(in crate::core::dispatcher) fn bounds_of_page(
        &self,
        rank: Rank,
        purpose: &Purpose,
    ) -> Option<(Sequence, Sequence)> {
        let range = self.lane(rank).paged();
        match purpose {
            Purpose::Head => range.map(|range| (range.first, range.last)),
            Purpose::Walk(..) => {
                let parked = self.groups.parked().last_of(rank);
                let last = range.map(|range| range.last).max(parked);
                last.map(|last| (Sequence(i64::MIN), last))
            }
            Purpose::Scan(_, from) | Purpose::Values(from) => range
                .filter(|range| range.last >= *from)
                .map(|range| (range.first.max(*from), range.last)),
            Purpose::Group(id) => {
                let head = self.groups.head_of(id).filter(|head| head.0 == rank)?;
                self.groups.parked().group_of_stored(head)?;
                let (_, last) = self.groups.last_beside(id, head)?;
                Some((head.1, last))
            }
        }
    }

    /// The page that was asked for has come.
    pub(in crate::core::dispatcher) fn end_page(&mut self) {
        self.paging = Paging::Idle;
        for position in self.leaving.drain(..) {
            self.held.remove(position);
        }
        self.regain();
    }

    /// A page has come: what follows it is still on disk. Entries are already in their places.
    pub(in crate::core::dispatcher) fn page_came(&mut self, rank: Rank, rest: Option<Range>) {
        self.lane_mut(rank).set_paged(rest);
        self.note_occupied(rank);
        self.end_page();
    }
}
