//! Bodies leave memory behind the head of a queue and come back ahead of need.

use std::sync::Arc;

use stompbox_store::{LogPageRequest, Page, PageId, PageRequest, PageRow, Rank, Sequence, Ticket};

use super::Dispatcher;
use super::effect::Read;
use super::entry::{Durability, Entry};
use super::key::{QueueKey, ShortTopic, SubscriptionKey};
use super::lane::Range;
use super::queue::{Paging, Purpose, Queue};
use super::topic_log::{LOG_RANK, read_tag};
use crate::core::clock::Now;
use crate::core::message::{Message, Priority};

/// How much of a queue's head is resident, and how much is read back at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Beyond so many resident messages that wait, further stored ones are let go of when they are durable.
    pub messages: usize,
    /// The same in bytes.
    pub bytes: usize,
    /// Rows of one page.
    pub page_messages: usize,
    /// Heads and bodies of one page, in bytes.
    pub page_bytes: usize,
}

impl Default for Window {
    fn default() -> Self {
        Self {
            messages: 2_000,
            bytes: 4 * 1024 * 1024,
            page_messages: 1_000,
            page_bytes: 2 * 1024 * 1024,
        }
    }
}

/// An entry that may leave memory when it is durable.
#[derive(Debug, Clone, Copy)]
pub(super) struct PageOut {
    pub(super) ticket: Ticket,
    pub(super) queue: QueueKey,
    pub(super) rank: Rank,
    pub(super) sequence: Sequence,
}

impl Queue {
    /// Lets go of a durable entry that was never delivered, if it stands far behind the head of its lane, or of what is
    /// parked.
    pub(super) fn page_out_durable(
        &mut self,
        rank: Rank,
        sequence: Sequence,
        watermark: Ticket,
        window: &Window,
    ) {
        let (lane, parked) = (self.lane(rank), self.groups.parked());
        let (entry, is_far) = match lane.get(sequence) {
            Some(entry) => {
                let is_behind = lane.paged().is_some_and(|range| range.first < sequence);
                (Some(entry), is_behind || self.is_deep(window))
            }
            None => (parked.get((rank, sequence)), parked.is_deep(window)),
        };
        let may = entry.is_some_and(|entry| entry.is_untouched() && entry.is_durable(watermark));
        let is_asleep = self.is_durable() && self.consumers.is_empty();
        if may && (is_far || is_asleep) {
            self.page_out(rank, sequence);
        }
    }
}

impl Dispatcher {
    /// A new entry that stands far behind the head leaves memory when it is durable.
    pub(super) fn may_page_out(
        &mut self,
        key: QueueKey,
        rank: Rank,
        sequence: Sequence,
        entry: &Entry,
    ) {
        let Durability::Pending(ticket) = entry.durability else {
            return;
        };
        let queue = &self.queues[key.0];
        if queue.is_deep(&self.window()) || queue.lane(rank).paged().is_some() {
            self.page_outs.push_back(PageOut {
                ticket,
                queue: key,
                rank,
                sequence,
            });
        }
    }

    /// Lets go of entries far behind the head that have become durable and were never delivered: what was
    /// delivered keeps its count, which the store does not know.
    pub(super) fn page_out_durable(&mut self) {
        let (watermark, window) = (self.watermark, self.window());
        while let Some(out) = self.page_outs.pop_front_if(|out| out.ticket <= watermark) {
            if let Some(queue) = self.queues.get_mut(out.queue.0) {
                queue.page_out_durable(out.rank, out.sequence, watermark, &window);
            }
        }
    }

    /// Somebody waits for what is on disk. Who gets it is decided at the end of the queue's turn.
    pub(super) fn want_page(&mut self, key: QueueKey, rank: Rank, purpose: Purpose) {
        // Browsers wait by themselves.
        let waits = !matches!(purpose, Purpose::Walk(..));
        if waits && self.is_at_ceiling() {
            return self.wait_for_memory(key);
        }
        self.queues[key.0].page_turn.wish(rank, purpose);
    }

    /// Has the page read whose turn it is, if none is being read.
    pub(super) fn begin_page(&mut self, key: QueueKey) {
        let subscriptions = &self.subscriptions;
        let queue = &mut self.queues[key.0];
        if queue.paging != Paging::Idle {
            return;
        }
        let walk = |walker: SubscriptionKey| subscriptions.get(walker.0)?.walk.as_ref()?.wish(key);
        let Some((rank, purpose)) = queue.page_turn.next(walk) else {
            return;
        };
        let after = queue.last_ticket;
        queue.paging = Paging::Waiting {
            rank,
            after,
            purpose,
        };
        if after <= self.watermark {
            self.request_page(key);
        } else {
            self.wait_with_page(key, after);
        }
    }

    /// Whether what is used, and what pages will bring that have been asked for, is as much as is used at any price.
    pub(super) fn is_at_ceiling(&self) -> bool {
        let coming = self.page_reads.len() + self.page_waits.len();
        let budget = &self.settings.budget;
        budget.is_at_ceiling_with(coming * self.window().page_bytes)
    }

    fn wait_with_page(&mut self, key: QueueKey, after: Ticket) {
        self.page_waits.push_back((after, key));
        self.batch.haste = stompbox_store::Haste::Awaited;
    }

    /// Whatever may be on disk only of a queue is: nobody is there to be given it.
    pub(super) fn page_out_all(&mut self, key: QueueKey) {
        let queue = &self.queues[key.0];
        let outs = queue.lane(LOG_RANK).resident();
        let outs = outs.filter_map(|(sequence, entry)| match entry.durability {
            Durability::Volatile => None,
            Durability::Pending(ticket) => Some(PageOut {
                ticket,
                queue: key,
                rank: LOG_RANK,
                sequence,
            }),
        });
        self.page_outs.extend(outs);
        self.page_out_durable();
    }

    /// Reads ahead while consumers still have something to go on with.
    pub(super) fn read_ahead(&mut self, key: QueueKey) {
        let queue = &self.queues[key.0];
        if queue.paging != Paging::Idle
            || queue.consumers.is_empty()
            || self.settings.budget.is_over()
            || !queue.is_shallow(&self.window())
        {
            return;
        }
        let wanted = queue
            .occupied()
            .find(|rank| queue.lane(*rank).paged().is_some());
        if let Some(rank) = wanted {
            self.want_page(key, rank, Purpose::Head);
        }
    }

    pub(super) fn request_waiting_pages(&mut self) {
        let watermark = self.watermark;
        while let Some((_, key)) = self
            .page_waits
            .pop_front_if(|(after, _)| *after <= watermark)
        {
            self.request_page(key);
        }
    }

    fn request_page(&mut self, key: QueueKey) {
        let window = self.window();
        let Some(queue) = self.queues.get_mut(key.0) else {
            return;
        };
        let Paging::Waiting {
            rank,
            after,
            ref purpose,
        } = queue.paging
        else {
            return;
        };
        let purpose = purpose.clone();
        // The wait may be one that another queue left behind, which had this key.
        let after = after.max(queue.paged_ticket);
        if after > self.watermark {
            queue.paging = Paging::Waiting {
                rank,
                after,
                purpose,
            };
            return self.wait_with_page(key, after);
        }
        let bounds = queue.bounds_of_page(rank, &purpose);
        let Some((from, through)) = bounds.and_then(|bounds| self.cut_for(&purpose, bounds)) else {
            self.queues[key.0].end_page();
            self.wake_walk(key, &purpose);
            return self.mark(key);
        };
        let Some(through) = self.readable_through(key, (from, through)) else {
            return self.queues[key.0].end_page();
        };
        let queue = &mut self.queues[key.0];
        let id = self.next_page;
        self.next_page = PageId(id.0 + 1);
        queue.paging = Paging::Reading {
            rank,
            id,
            through,
            purpose,
        };
        self.page_reads.insert(id, key);
        let (rows_max, bytes_max) = (window.page_messages, window.page_bytes);
        self.reads.push(match queue.cursor() {
            Some(cursor) => Read::Log(LogPageRequest {
                id,
                topic: cursor.log,
                subscription: cursor.subscription,
                from,
                through,
                rows_max,
                bytes_max,
            }),
            None => Read::Page(PageRequest {
                id,
                destination: queue.id,
                rank,
                from,
                through,
                rows_max,
                bytes_max,
            }),
        });
    }

    /// A page has come.
    pub(super) fn page_came(&mut self, page: Page, now: Now) {
        let Some(key) = self.page_reads.remove(&page.id) else {
            return;
        };
        let Some(Queue {
            paging:
                Paging::Reading {
                    rank,
                    through,
                    id,
                    purpose,
                },
            ..
        }) = self.queues.get(key.0)
        else {
            return;
        };
        let (rank, through) = (*rank, *through);
        if *id != page.id {
            return;
        }
        let purpose = purpose.clone();
        match purpose.clone() {
            Purpose::Head if self.queues[key.0].is_durable() => {
                self.log_page_came(key, through, page);
            }
            Purpose::Head => self.head_page_came(key, rank, through, page),
            Purpose::Scan(scan, from) => {
                self.scan_page_came(key, rank, scan, (from, through), page, now);
            }
            Purpose::Walk(walker, at) => {
                self.walk_page_came(key, rank, (walker, at), through, page, now);
            }
            Purpose::Values(_) => self.value_page_came(key, rank, through, page),
            Purpose::Group(id) => {
                self.group_page_came(key, rank, &id, through, page);
                self.queues[key.0].end_page();
            }
        }
        let (watermark, window) = (self.watermark, self.window());
        let queue = &mut self.queues[key.0];
        for (rank, sequence) in queue.take_staying() {
            queue.page_out_durable(rank, sequence, watermark, &window);
        }
        self.mark(key);
        self.wake_walk(key, &purpose);
    }

    /// A browser reads from where it stands to the next message that is resident.
    fn cut_for(
        &self,
        purpose: &Purpose,
        (first, last): (Sequence, Sequence),
    ) -> Option<(Sequence, Sequence)> {
        match purpose {
            Purpose::Head | Purpose::Scan(..) | Purpose::Group(..) | Purpose::Values(_) => {
                Some((first, last))
            }
            Purpose::Walk(key, _) => self.bounds_of_walk(*key, first, last),
        }
    }

    /// Whatever is not known by name takes its place.
    fn head_page_came(&mut self, key: QueueKey, rank: Rank, through: Sequence, page: Page) {
        let last_row = page.rows.last().map(|row| row.sequence);
        let last_read = last_row.max(page.quarantined.iter().max().copied());
        let mut gone = self.count_out_damaged(key, rank, &page.quarantined);
        for row in page.rows {
            if !self.queues[key.0].knows(rank, row.sequence) {
                gone += 1;
                self.page_in(key, rank, row);
            }
        }
        let queue = &mut self.queues[key.0];
        let rest = queue.lane(rank).paged().map(|range| Range {
            first: match last_read {
                Some(last) if !page.exhausted => last.next(),
                _ => through.next(),
            },
            last: range.last,
            count: range.count.saturating_sub(gone),
        });
        queue.page_came(rank, rest);
        self.mark(key);
    }

    /// Damaged rows that were on disk only are gone. Answers how many.
    pub(super) fn count_out_damaged(
        &mut self,
        key: QueueKey,
        rank: Rank,
        damaged: &[Sequence],
    ) -> u64 {
        let queue = &mut self.queues[key.0];
        let mut gone = 0;
        for sequence in damaged {
            tracing::error!(queue = %queue.name, sequence = sequence.0,
                "a stored message was damaged and has been put aside; see table quarantine");
            // One that is known by name is still whole in memory, or already counted out.
            gone += u64::from(!queue.knows(rank, *sequence));
            queue.forget_value(rank, *sequence);
        }
        if queue.is_durable() {
            queue.pass_over_paged(gone);
        } else {
            queue.depth -= gone;
        }
        gone
    }

    /// The same of a log, whose rows nobody has counted for this subscription. Those that its selector does not match it has
    /// done with.
    fn log_page_came(&mut self, key: QueueKey, through: Sequence, page: Page) {
        self.count_out_damaged(key, LOG_RANK, &page.quarantined);
        for row in page.rows {
            let sequence = row.sequence;
            if self.queues[key.0].knows(LOG_RANK, sequence) {
                continue;
            }
            let entry = self.entry_of(row, LOG_RANK);
            let queue = &self.queues[key.0];
            let is_wanted = queue
                .own_selector()
                .is_none_or(|selector| self.is_selected(key, selector, &entry));
            if is_wanted {
                self.take_in(key, LOG_RANK, sequence, entry);
            } else {
                self.queues[key.0].pass_over_unwanted(sequence);
            }
        }
        let looked_at = if page.exhausted {
            through
        } else {
            page.through
        };
        let queue = &mut self.queues[key.0];
        if let Some(cursor) = queue.cursor_mut() {
            // What returns to the disk makes others be read again that were not wanted.
            cursor.slept.0 = cursor.slept.0.max(looked_at);
        }
        let rest = queue.lane(LOG_RANK).paged().map(|range| Range {
            first: range.first.max(looked_at.next()),
            last: range.last,
            count: range.count.max(1),
        });
        queue.page_came(LOG_RANK, rest);
        if queue.lane(LOG_RANK).paged().is_none() {
            queue.has_read_log();
        }
        self.settle_later(key);
        self.mark(key);
    }

    fn page_in(&mut self, key: QueueKey, rank: Rank, row: PageRow) {
        let sequence = row.sequence;
        let entry = self.entry_of(row, rank);
        if self.drop_superseded(key, rank, sequence, &entry) {
            return;
        }
        self.enter_value(key, rank, sequence, &entry);
        self.take_in(key, rank, sequence, entry);
    }

    fn take_in(&mut self, key: QueueKey, rank: Rank, sequence: Sequence, entry: Entry) {
        if entry.expires_ms != 0 {
            self.expiring_queues.insert(key);
        }
        self.queues[key.0].put_paged(rank, sequence, entry);
    }

    /// What a row of the store is as an entry.
    pub(super) fn entry_of(&self, row: PageRow, rank: Rank) -> Entry {
        let is_uncertain = row.sequence.epoch() <= self.uncertain_through;
        let annotations = (!row.annotations.is_empty()).then(|| Arc::from(&row.annotations[..]));
        let (number, expires_ms) = (row.number, row.expires_ms);
        let (deliveries, failures) = (row.deliveries, row.failures);
        let (priority, mode, origin) = match row.tag {
            0 => (Priority::of(rank), row.medium.into(), None),
            tag => read_tag(tag),
        };
        let topic = origin.and_then(|id| self.topic_ids.get(&id));
        let message = Arc::new(Message::from_page(row, priority, &self.settings.budget));
        let mut entry = Entry::new(number, message, mode, expires_ms, Durability::DURABLE);
        entry.deliveries = entry
            .deliveries
            .max(deliveries)
            .max(u32::from(is_uncertain));
        entry.failures = failures;
        entry.annotations = annotations;
        entry.topic = topic.and_then(|topic| ShortTopic::of(*topic));
        entry
    }
}
