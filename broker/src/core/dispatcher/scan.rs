//! What a selector has seen of a queue: how far it has come in each lane, and what it found there.
//!
//! Consumers with the same selector share one, so that a message is looked at once for all of them, and again only
//! after it was returned. What does not match stays where it is, for others. *Invariants*: what was found is resident
//! until it is taken; in each lane everything before the position was looked at, but what is not to be seen yet.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use slab::Slab;
use stompbox_store::{Page, PageRow, Rank, Sequence};

use super::Dispatcher;
use super::consumer::{Consumer, ConsumerPriority, Seat, Standing};
use super::entry::Entry;
use super::key::{ConsumerKey, QueueKey, ScanKey};
use super::property::{Place, Seen};
use super::queue::{LANE_COUNT, Purpose, Queue};
use super::round::is_taken;
use crate::core::clock::Now;
use crate::core::destination::DestinationName;
use crate::core::selector::Selector;

/// A scan that has found so much waits until some of it is taken.
const FOUND_MAX: usize = 256;

/// Messages that one turn looks at for one queue.
const STEPS_MAX: usize = 2_048;

/// What a selector has seen of a queue.
#[derive(Debug)]
pub(super) struct Scan {
    selector: Arc<Selector>,
    instance: Arc<str>,
    consumer_count: usize,
    /// In each lane what stands before this was looked at.
    at: [Sequence; LANE_COUNT],
    /// Resident entries that match and were not taken.
    found: BTreeSet<(Rank, Sequence)>,
    /// Consumers that wait until something is found: the highest priority first, of these the first to wait.
    idle: BTreeMap<(Reverse<ConsumerPriority>, u64), Seat>,
    last_wait: u64,
}

/// The scans of a queue. Keys are never used again: a page may come for one that has gone.
#[derive(Debug, Default)]
pub(super) struct Scans {
    by_key: BTreeMap<ScanKey, Scan>,
    next: ScanKey,
    /// The last one that a page was read for: the others are first with the next one.
    last_read: Option<ScanKey>,
}

impl Scans {
    /// One more consumer waits until something is found.
    pub(super) fn wait(&mut self, key: ScanKey, priority: ConsumerPriority, seat: Seat) {
        if let Some(scan) = self.by_key.get_mut(&key) {
            scan.last_wait += 1;
            scan.idle.insert((Reverse(priority), scan.last_wait), seat);
        }
    }

    /// Whether something was found that nobody has taken.
    pub(super) fn has_found(&self) -> bool {
        self.by_key.values().any(|scan| !scan.found.is_empty())
    }

    /// One that waits for each message that was found, at the most.
    fn take_idle(&mut self, key: ScanKey, consumers: &Slab<Consumer>) -> Vec<ConsumerKey> {
        let mut taken = Vec::new();
        let Some(scan) = self.by_key.get_mut(&key) else {
            return taken;
        };
        while taken.len() < scan.found.len()
            && let Some((_, seat)) = scan.idle.pop_first()
        {
            if is_taken(consumers, &seat) && consumers[seat.key.0].standing == Standing::Idle {
                taken.push(seat.key);
            }
        }
        taken
    }

    /// Those that somebody waits for, the next to have a page read first.
    fn awaited(&self) -> Vec<ScanKey> {
        let awaited = self.by_key.iter().filter(|(_, scan)| !scan.idle.is_empty());
        let mut awaited: Vec<ScanKey> = awaited.map(|(key, _)| *key).collect();
        let first = awaited.partition_point(|key| Some(*key) <= self.last_read);
        awaited.rotate_left(first);
        awaited
    }
}

/// What an advance came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Advance {
    /// Everything that is there was looked at.
    Done,
    /// There is more to look at than one turn may.
    More,
    /// What comes next is on disk only.
    Paged(Rank, Sequence),
}

impl Scan {
    fn new(selector: Arc<Selector>, instance: Arc<str>) -> Self {
        Self {
            selector,
            instance,
            consumer_count: 1,
            at: [Sequence(i64::MIN); LANE_COUNT],
            found: BTreeSet::new(),
            idle: BTreeMap::new(),
            last_wait: 0,
        }
    }

    fn has_seen(&self, rank: Rank, sequence: Sequence) -> bool {
        sequence < self.at[usize::from(rank.0) % LANE_COUNT]
    }

    fn look(
        &mut self,
        destination: &DestinationName,
        (rank, sequence): (Rank, Sequence),
        entry: &Entry,
    ) -> bool {
        let place = Place {
            destination,
            instance: &self.instance,
        };
        let matches = self.selector.matches(&Seen { entry, place });
        if matches {
            self.found.insert((rank, sequence));
        }
        matches
    }
}

impl Queue {
    /// A consumer with this selector joins.
    pub(super) fn join_scan(&mut self, selector: Arc<Selector>, instance: &Arc<str>) -> ScanKey {
        let mut known = self.scans.by_key.iter_mut();
        let known = known.find(|(_, scan)| *scan.selector == *selector);
        if let Some((key, scan)) = known {
            scan.consumer_count += 1;
            return *key;
        }
        let key = self.scans.next;
        self.scans.next = ScanKey(key.0 + 1);
        let scan = Scan::new(selector, Arc::clone(instance));
        self.scans.by_key.insert(key, scan);
        key
    }

    /// A consumer has left; with the last one what the selector has seen is forgotten.
    pub(super) fn leave_scan(&mut self, key: ScanKey, consumers: &Slab<Consumer>) {
        let Some(scan) = self.scans.by_key.get_mut(&key) else {
            return;
        };
        scan.consumer_count -= 1;
        if scan.consumer_count == 0 {
            self.scans.by_key.remove(&key);
        } else if scan.idle.len() > 2 * scan.consumer_count {
            scan.idle.retain(|_, seat| is_taken(consumers, seat));
        }
    }

    /// Whether an entry must stay in memory because a selector has found it.
    pub(super) fn is_found(&self, rank: Rank, sequence: Sequence) -> bool {
        let scans = &self.scans.by_key;
        scans
            .values()
            .any(|scan| scan.found.contains(&(rank, sequence)))
    }

    /// An entry has come to a place that scans have passed.
    pub(super) fn look_again(&mut self, rank: Rank, sequence: Sequence) {
        if self.scans.by_key.is_empty() {
            return;
        }
        let Some(entry) = self.lanes[usize::from(rank.0) % LANE_COUNT].get(sequence) else {
            return;
        };
        for scan in self.scans.by_key.values_mut() {
            if scan.has_seen(rank, sequence) {
                scan.look(&self.name, (rank, sequence), entry);
            }
        }
    }

    /// Rows are on disk only again that scans have passed.
    pub(super) fn scan_from(&mut self, rank: Rank, sequence: Sequence) {
        for scan in self.scans.by_key.values_mut() {
            let at = &mut scan.at[usize::from(rank.0) % LANE_COUNT];
            *at = (*at).min(sequence);
        }
    }

    /// The best of what a scan has found that may be given now. What may not holds back its own priority only.
    pub(super) fn first_found(
        &mut self,
        key: ScanKey,
        is_ready: impl Fn(&Entry) -> bool,
    ) -> Option<(Rank, Sequence)> {
        let mut from = Rank(0);
        loop {
            let scan = self.scans.by_key.get(&key)?;
            let mut found = scan.found.range((from, Sequence(i64::MIN))..);
            let (rank, sequence) = *found.next()?;
            match self.lane(rank).get(sequence) {
                Some(entry)
                    if is_ready(entry) && !self.is_held_back((rank, sequence), &is_ready) =>
                {
                    return Some((rank, sequence));
                }
                Some(_) => from = Rank(rank.0 + 1),
                // Taken by another.
                None => {
                    let scan = self.scans.by_key.get_mut(&key)?;
                    scan.found.remove(&(rank, sequence));
                }
            }
        }
    }

    /// Looks at what has come with a higher priority than what a scan has found, so that this comes first.
    pub(super) fn look_ahead_of(
        &mut self,
        key: ScanKey,
        found: Rank,
        is_ready: impl Fn(&Entry) -> bool,
    ) {
        let mut steps = STEPS_MAX;
        for rank in self.occupied().take_while(|rank| *rank < found) {
            let index = usize::from(rank.0) % LANE_COUNT;
            let Some(scan) = self.scans.by_key.get_mut(&key) else {
                return;
            };
            let lane = &self.lanes[index];
            while steps > 0
                && let Some((sequence, entry)) = lane.resident_from(scan.at[index])
                && is_ready(entry)
                && !lane.has_paged_between(scan.at[index], sequence)
            {
                steps -= 1;
                scan.at[index] = sequence.next();
                if scan.look(&self.name, (rank, sequence), entry) {
                    return;
                }
            }
        }
    }

    /// Looks at what is resident, as far as it goes.
    fn advance(
        &mut self,
        key: ScanKey,
        is_ready: impl Fn(&Entry) -> bool,
        steps: &mut usize,
    ) -> Advance {
        for rank in self.occupied() {
            let index = usize::from(rank.0) % LANE_COUNT;
            loop {
                let lane = &self.lanes[index];
                let Some(scan) = self.scans.by_key.get_mut(&key) else {
                    return Advance::Done;
                };
                if scan.found.len() >= FOUND_MAX {
                    return Advance::Done;
                }
                let at = scan.at[index];
                let resident = lane.resident_from(at);
                let paged = lane
                    .paged()
                    .filter(|range| range.last >= at)
                    .map(|range| range.first.max(at));
                match (resident, paged) {
                    (Some((sequence, _)), Some(paged)) if paged < sequence => {
                        return Advance::Paged(rank, paged);
                    }
                    (None, Some(paged)) => return Advance::Paged(rank, paged),
                    (None, None) => break,
                    (Some((sequence, entry)), _) => {
                        if !is_ready(entry) {
                            break;
                        }
                        if *steps == 0 {
                            return Advance::More;
                        }
                        *steps -= 1;
                        scan.at[index] = sequence.next();
                        scan.look(&self.name, (rank, sequence), entry);
                    }
                }
            }
        }
        Advance::Done
    }
}

impl Dispatcher {
    /// Lets selectors that consumers wait for look at what has come.
    pub(super) fn advance_scans(&mut self, key: QueueKey, now: Now) {
        if self.queues[key.0].scans.by_key.is_empty() {
            return;
        }
        let watermark = self.watermark;
        let is_ready =
            |entry: &Entry| entry.visible_after <= watermark && entry.not_before <= now.uptime;
        let mut steps = STEPS_MAX;
        for scan in self.queues[key.0].scans.awaited() {
            match self.queues[key.0].advance(scan, is_ready, &mut steps) {
                Advance::Done => {}
                Advance::More => self.mark_for_next_turn(key),
                Advance::Paged(rank, from) => {
                    self.want_page(key, rank, Purpose::Scan(scan, from));
                }
            }
            if self.queues[key.0].first_found(scan, is_ready).is_some() {
                for waiting in self.queues[key.0].scans.take_idle(scan, &self.consumers) {
                    self.enter_round(waiting);
                }
            }
        }
    }

    /// A page has come for a scan: what matches becomes resident, the rest stays on disk. All scans look at it that
    /// somebody waits for and that have come so far.
    pub(super) fn scan_page_came(
        &mut self,
        key: QueueKey,
        rank: Rank,
        reader: ScanKey,
        (from, through): (Sequence, Sequence),
        page: Page,
        now: Now,
    ) {
        let last = page.rows.last().map(|row| row.sequence);
        let last = last.max(page.quarantined.iter().max().copied());
        let next = match last {
            Some(last) if !page.exhausted => last.next(),
            _ => through.next(),
        };
        let mut taken = self.count_out_damaged(key, rank, &page.quarantined);
        let scans = self.queues[key.0].scans_at(rank, reader, from);
        for row in page.rows {
            if !scans.is_empty() && !self.queues[key.0].knows(rank, row.sequence) {
                taken += u64::from(self.look_at_row(key, rank, &scans, row, now));
            }
        }
        self.queues[key.0].page_in_part(rank, taken);
        for scan in scans {
            self.queues[key.0].look_at_resident(rank, scan, next);
        }
        self.mark(key);
    }

    fn look_at_row(
        &mut self,
        key: QueueKey,
        rank: Rank,
        scans: &[ScanKey],
        row: PageRow,
        now: Now,
    ) -> bool {
        let sequence = row.sequence;
        let entry = self.entry_of(row, rank);
        // What has expired is taken out by the sweep.
        if entry.is_expired(now.wall_ms) {
            return false;
        }
        let queue = &mut self.queues[key.0];
        let mut is_found = false;
        for scan in scans {
            if let Some(scan) = queue.scans.by_key.get_mut(scan)
                && !scan.has_seen(rank, sequence)
            {
                is_found |= scan.look(&queue.name, (rank, sequence), &entry);
            }
        }
        if is_found {
            queue.put_paged(rank, sequence, entry);
        }
        is_found
    }
}

impl Queue {
    /// Scans that may look at a page from here on that was read for one of them.
    fn scans_at(&mut self, rank: Rank, reader: ScanKey, from: Sequence) -> Vec<ScanKey> {
        self.scans.last_read = Some(reader);
        let index = usize::from(rank.0) % LANE_COUNT;
        let scans = self.scans.by_key.iter().filter(|(key, scan)| {
            let is_awaited = !scan.idle.is_empty() && scan.found.len() < FOUND_MAX;
            **key == reader || (is_awaited && scan.at[index] >= from)
        });
        scans.map(|(key, _)| *key).collect()
    }

    /// Entries that are resident among the rows of a page were not looked at yet.
    fn look_at_resident(&mut self, rank: Rank, scan: ScanKey, next: Sequence) {
        let index = usize::from(rank.0) % LANE_COUNT;
        let Some(scan) = self.scans.by_key.get_mut(&scan) else {
            return;
        };
        let mut at = scan.at[index];
        while let Some((sequence, entry)) = self.lanes[index].resident_from(at)
            && sequence < next
        {
            at = sequence.next();
            scan.look(&self.name, (rank, sequence), entry);
        }
        scan.at[index] = scan.at[index].max(next);
    }
}
