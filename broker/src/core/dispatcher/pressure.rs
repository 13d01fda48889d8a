//! While messages fill most of the memory, what nobody is about to be given leaves it: entries that are durable are
//! let go of, non-persistent ones are written to the scratch file first.
//!
//! Owns whether that is so and how far the sweep through the queues has come. *Invariant*: what was delivered stays,
//! since the store does not know its counts.

use std::time::Duration;

use stompbox_store::{Operation, Rank, Sequence};

use super::Dispatcher;
use super::entry::Durability;
use super::full::NOBODY;
use super::key::QueueKey;
use super::paging::{PageOut, Window};
use crate::core::clock::Now;
use crate::core::memory::MESSAGE_OVERHEAD_BYTES;
use crate::core::message::DeliveryMode;

/// Shares of the memory limit, in percent: from the first on memory is short, until it is under the second. Producers
/// that were stopped at the limit go on below 90.
const BEGINS_PERCENT: usize = 75;
const ENDS_PERCENT: usize = 60;

/// What remains of the head of each queue meanwhile.
const HEAD: Window = Window {
    messages: 256,
    bytes: 512 * 1024,
    page_messages: 256,
    page_bytes: 512 * 1024,
};

/// And at the least.
const HEAD_MESSAGES_MIN: usize = 2;

/// The part of the memory limit that the entries of all heads may take then, in eighths.
const HEADS_EIGHTHS: usize = 2;

/// Queues and entries that one turn looks at, and bytes that it writes: others must not wait for it.
const STEPS_MAX: usize = 4_096;
const SPILL_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Batches in flight beyond which no more is spilled: what is on its way frees memory only when it has arrived.
const IN_FLIGHT_MAX: u64 = 2;

/// Pause between two rounds through all queues.
const ROUND_EVERY: Duration = Duration::from_millis(50);

/// Pause before a scratch file that had no room is tried again.
const SCRATCH_PAUSE: Duration = Duration::from_secs(1);

/// Where the sweep stands: in each queue it goes from the back to what is to remain of the head.
#[derive(Debug, Clone, Copy)]
struct Cursor {
    queue: usize,
    /// Everything from here on was looked at.
    at: Option<(Rank, Sequence)>,
    /// What stood before that when the sweep came to the queue.
    messages: usize,
    bytes: usize,
}

/// What letting go of one entry comes to.
#[derive(Debug, Clone, Copy, Default)]
struct Step {
    /// Bytes of the message.
    passed: usize,
    /// Bytes that have to be written for it.
    written: usize,
}

/// Whether memory is short.
#[derive(Debug, Default)]
pub(super) struct Pressure {
    is_on: bool,
    cursor: Option<Cursor>,
    next_round: Duration,
    is_scratch_full: bool,
}

impl Dispatcher {
    /// What of a queue is to be resident now.
    pub(super) fn window(&self) -> Window {
        let usual = self.settings.window;
        if !self.pressure.is_on {
            return usual;
        }
        // Of very many queues not even that much.
        let share = self.eighths_of_memory(HEADS_EIGHTHS)
            / (self.queues.len().max(1) * MESSAGE_OVERHEAD_BYTES);
        let messages = HEAD.messages.min(share.max(HEAD_MESSAGES_MIN));
        Window {
            messages: usual.messages.min(messages),
            bytes: usual.bytes.min(HEAD.bytes),
            page_messages: usual.page_messages.min(messages),
            page_bytes: usual.page_bytes.min(HEAD.page_bytes),
        }
    }

    /// Whether a non-persistent message that comes in now goes to the scratch file.
    pub(super) fn spills(&self, key: QueueKey) -> bool {
        if !self.pressure.is_on || !self.has_room_on_disk() {
            return false;
        }
        let queue = &self.queues[key.0];
        queue.is_deep(&self.window()) || queue.paged_count() > 0
    }

    /// Whether what is on its way to the store is enough for now.
    pub(super) fn is_store_behind(&self) -> bool {
        self.next_ticket.0 - self.watermark.0 > IN_FLIGHT_MAX + 1
    }

    pub(super) fn has_room_on_disk(&self) -> bool {
        !self.flow.is_disk_over() && !self.is_disk_full && !self.pressure.is_scratch_full
    }

    /// The scratch file has no room: what was to go there stays in memory, and is tried again later.
    pub(super) fn spill_refused(&mut self, now: Now) {
        self.pressure.is_scratch_full = true;
        self.pressure.cursor = None;
        self.pressure.next_round = now.uptime + SCRATCH_PAUSE;
    }

    /// When the sweep goes on by itself.
    pub(super) fn next_pressure(&self, now: Now) -> Option<Duration> {
        let next = match self.pressure.cursor {
            Some(_) => now.uptime + Duration::from_millis(1),
            None => self.pressure.next_round,
        };
        self.pressure.is_on.then_some(next)
    }

    /// Goes on with the sweep, as far as one turn may.
    pub(super) fn relieve_pressure(&mut self, now: Now) {
        self.note_pressure(now);
        if !self.pressure.is_on {
            return;
        }
        if self.pressure.cursor.is_none() && now.uptime >= self.pressure.next_round {
            self.pressure.next_round = now.uptime + ROUND_EVERY;
            self.pressure.is_scratch_full = false;
            self.pressure.cursor = self.arrive(0);
        }
        if self.is_store_behind() {
            return;
        }
        let (mut steps, mut written) = (0, 0);
        while steps < STEPS_MAX
            && written < SPILL_BYTES_MAX
            && let Some(cursor) = self.pressure.cursor
        {
            steps += 1;
            self.pressure.cursor = self.step(cursor, &mut written);
        }
    }

    /// Where the sweep of a queue begins; none behind the last one.
    fn arrive(&self, queue: usize) -> Option<Cursor> {
        let (messages, bytes) = match self.queues.get(queue) {
            Some(found) => found.in_memory(),
            None if queue >= self.queues.capacity() => return None,
            None => (0, 0),
        };
        Some(Cursor {
            queue,
            at: None,
            messages,
            bytes,
        })
    }

    fn note_pressure(&mut self, now: Now) {
        let budget = &self.settings.budget;
        let percent = if self.pressure.is_on {
            ENDS_PERCENT
        } else {
            BEGINS_PERCENT
        };
        let is_on = budget.used_bytes() >= budget.limit_bytes() / 100 * percent;
        if is_on != self.pressure.is_on {
            tracing::debug!(
                used = budget.used_bytes(),
                is_on,
                "memory is short: what waits far behind goes to disk"
            );
            self.pressure = Pressure {
                is_on,
                cursor: None,
                next_round: now.uptime,
                is_scratch_full: false,
            };
        }
    }

    /// Looks at one entry.
    fn step(&mut self, cursor: Cursor, written: &mut usize) -> Option<Cursor> {
        let window = self.window();
        let is_deep = cursor.messages > window.messages || cursor.bytes > window.bytes;
        let next = match self.queues.get(cursor.queue) {
            Some(queue) if is_deep => queue.resident_before(cursor.at),
            _ => None,
        };
        let Some((rank, sequence)) = next else {
            return self.arrive(cursor.queue + 1);
        };
        let step = self.let_go(QueueKey(cursor.queue), rank, sequence);
        *written += step.written;
        Some(Cursor {
            queue: cursor.queue,
            at: Some((rank, sequence)),
            messages: cursor.messages.saturating_sub(1),
            bytes: cursor.bytes.saturating_sub(step.passed),
        })
    }

    /// Lets go of one resident entry, now or when it is durable.
    fn let_go(&mut self, key: QueueKey, rank: Rank, sequence: Sequence) -> Step {
        let may_spill = self.has_room_on_disk();
        let (ticket, watermark) = (self.next_ticket, self.watermark);
        let queue = &mut self.queues[key.0];
        let entry_key = queue.key(rank, sequence);
        let is_durable = queue.is_durable();
        let Some(entry) = queue.waiting_mut((rank, sequence)) else {
            return Step::default();
        };
        let passed = entry.message.bytes();
        let stays = Step { passed, written: 0 };
        if !entry.is_untouched() || entry.visible_after > watermark {
            return stays;
        }
        let (ticket, written) = match entry.durability {
            Durability::Pending(ticket) if ticket <= watermark => {
                queue.page_out(rank, sequence);
                return stays;
            }
            Durability::Pending(ticket) => (ticket, 0),
            Durability::Volatile
                if !may_spill || is_durable || entry.mode == DeliveryMode::Persistent =>
            {
                return stays;
            }
            Durability::Volatile => {
                entry.durability = Durability::Pending(ticket);
                let append = entry.to_append(entry_key, Box::default(), NOBODY);
                queue.parked_is_stored((rank, sequence));
                self.store(key, Operation::Append(append));
                (ticket, passed)
            }
        };
        self.page_outs.push_back(PageOut {
            ticket,
            queue: key,
            rank,
            sequence,
        });
        Step { passed, written }
    }
}
