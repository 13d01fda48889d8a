//! How much selectors look at: each queue's scans have their turns in a circle, and the queues theirs.
//!
//! Forty thousand different selectors of one queue are as many looks for each message. *Invariants*: one turn of the
//! dispatcher makes about [`LOOKS_A_TURN`] of them, beside those at pages, and a queue's scans a part of these; what is left
//! is for the next turns, which others' requests come between. Who was not served in a turn comes first in the next.

use std::collections::BTreeSet;

use super::Dispatcher;
use super::key::{QueueKey, ScanKey};
use super::parked::Position;
use super::scan::ScanSet;
use crate::core::clock::Now;

/// Looks of one turn, for all queues: so many take a millisecond or two.
const LOOKS_A_TURN: usize = 8_192;

/// Those of them that are left to queues where something has just come.
const LOOKS_AT_NEWS: usize = 2_048;

/// Looks of one queue before it is the other queues' turn.
const LOOKS_A_QUEUE: usize = 2_048;

/// Looks of one scan before it is its neighbours' turn.
const LOOKS_A_SCAN: usize = 256;

/// Positions that have returned and that a scan looks at in one go.
const RETURNED_A_PASS: usize = 32;

/// What this turn has left to look at, and what waits for the next one.
#[derive(Debug, Default)]
pub(super) struct Looks {
    left: usize,
    queues: Vec<QueueKey>,
}

impl Looks {
    /// What has not been finished goes on in the next turn.
    pub(super) fn are_wanted(&self) -> bool {
        !self.queues.is_empty()
    }
}

/// Whose turn it is among the scans of a queue. It goes round until all have had one since something may have come.
#[derive(Debug, Default)]
pub(super) struct Circle {
    next: ScanKey,
    /// So many have not had theirs yet.
    left: usize,
    /// Whether the queue stands among those that go on in the next turn.
    is_listed: bool,
}

impl Circle {
    /// The next turn is that of the one behind this.
    pub(super) fn begin_behind(&mut self, key: ScanKey) {
        self.next = ScanKey(key.0 + 1);
    }
}

/// What has returned to places that scans may have passed, where these are too many to look at it at once.
#[derive(Debug, Default)]
pub(super) struct Again {
    waiting: BTreeSet<Position>,
    /// What is looked at now, by all scans one after the other.
    pass: Vec<Position>,
    next: ScanKey,
}

impl Again {
    pub(super) fn push(&mut self, position: Position) {
        self.waiting.insert(position);
    }

    /// Whether some scan may have yet to look at this.
    pub(super) fn has(&self, position: Position) -> bool {
        self.waiting.contains(&position) || self.pass.contains(&position)
    }

    fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.pass.is_empty()
    }

    fn begin_pass(&mut self) {
        while self.pass.len() < RETURNED_A_PASS
            && let Some(position) = self.waiting.pop_first()
        {
            self.pass.push(position);
        }
        self.next = ScanKey::default();
    }
}

impl ScanSet {
    /// The one whose turn it is.
    fn next_in_circle(&mut self) -> Option<ScanKey> {
        self.circle.left = self.circle.left.checked_sub(1)?;
        let next = self
            .first_from(self.circle.next)
            .or_else(|| self.first_from(ScanKey::default()))?;
        self.circle.begin_behind(next);
        Some(next)
    }

    fn goes_on(&self) -> bool {
        self.circle.left > 0 || !self.again.is_empty()
    }
}

impl Dispatcher {
    /// Something may have come: selectors that consumers wait for look at it, in this turn or in the next ones.
    pub(super) fn advance_scans(&mut self, key: QueueKey, now: Now) {
        let scans = &mut self.queues[key.0].scans;
        if scans.is_empty() {
            return;
        }
        scans.circle.left = scans.count();
        if !scans.circle.is_listed {
            self.go_round(key, now);
        }
    }

    /// A new turn: what the last one has not looked at.
    pub(super) fn go_on_looking(&mut self, now: Now) {
        self.looks.left = LOOKS_A_TURN;
        let mut unserved = Vec::new();
        for key in std::mem::take(&mut self.looks.queues) {
            if self.looks.left <= LOOKS_AT_NEWS {
                unserved.push(key);
                continue;
            }
            let Some(queue) = self.queues.get_mut(key.0) else {
                continue;
            };
            // Another queue may have its key. What is not open yet is looked at when it opens.
            let is_listed = std::mem::take(&mut queue.scans.circle.is_listed);
            if is_listed && queue.opens_at <= self.watermark {
                self.queues[key.0].page_turn.begin();
                self.go_round(key, now);
                self.begin_page(key);
            }
        }
        unserved.append(&mut self.looks.queues);
        self.looks.queues = unserved;
    }

    /// A scan of its own accord: nothing, where this turn has looked at enough.
    pub(super) fn look_alone(&mut self, key: QueueKey, scan: ScanKey, now: Now) {
        let allowed = self.looks.left.min(LOOKS_A_QUEUE);
        let mut steps = allowed;
        let has_more = self.advance_scan(key, scan, &mut steps, now);
        self.looks.left -= allowed - steps;
        if has_more {
            let scans = &mut self.queues[key.0].scans;
            scans.circle.left = scans.count();
            self.look_later(key);
        }
    }

    /// Looks that a consumer may still make in this turn, to be settled by [`Self::looked`].
    pub(super) fn looks_left(&self) -> usize {
        self.looks.left.min(LOOKS_A_QUEUE)
    }

    pub(super) fn looked(&mut self, count: usize) {
        self.looks.left = self.looks.left.saturating_sub(count);
    }

    /// The scans of a queue look at what has come, one after the other.
    fn go_round(&mut self, key: QueueKey, now: Now) {
        let allowed = self.looks_left();
        let mut steps = allowed;
        self.look_again_in_part(key, &mut steps, now);
        while steps > 0
            && let Some(scan) = self.queues[key.0].scans.next_in_circle()
        {
            steps -= 1;
            if !self.queues[key.0].scans.is_awaited(scan) {
                continue;
            }
            let part = steps.min(LOOKS_A_SCAN);
            let mut rest = part;
            if self.advance_scan(key, scan, &mut rest, now) {
                let scans = &mut self.queues[key.0].scans;
                scans.circle.left = scans.count();
            }
            steps -= part - rest;
        }
        self.looked(allowed - steps);
        if self.queues[key.0].scans.goes_on() {
            self.look_later(key);
        }
    }

    fn look_later(&mut self, key: QueueKey) {
        let circle = &mut self.queues[key.0].scans.circle;
        if !std::mem::replace(&mut circle.is_listed, true) {
            self.looks.queues.push(key);
        }
    }

    /// All scans look at what has returned, some of it at a time.
    fn look_again_in_part(&mut self, key: QueueKey, steps: &mut usize, now: Now) {
        while *steps > 0 {
            let queue = &mut self.queues[key.0];
            if queue.scans.again.pass.is_empty() {
                queue.scans.again.begin_pass();
            }
            let pass = std::mem::take(&mut queue.scans.again.pass);
            if pass.is_empty() {
                return;
            }
            let Some(scan) = queue.scans.first_from(queue.scans.again.next) else {
                continue;
            };
            *steps = steps.saturating_sub(1 + pass.len());
            queue.look_back(scan, &pass);
            queue.scans.again.next = ScanKey(scan.0 + 1);
            queue.scans.again.pass = pass;
            self.wake_idle(key, scan, now);
        }
    }
}
