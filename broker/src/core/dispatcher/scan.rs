//! What a selector has seen of a queue: how far it has come in each lane, and what it found there.
//!
//! Consumers with the same selector share one, so that a message is looked at once for all of them, and again only
//! after it was returned. What does not match stays where it is, for others. *Invariants*: what was found is resident
//! until it is taken; in each lane everything before the position was looked at, but what is not to be seen yet.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, LazyLock};

use rustc_hash::FxHashMap;
use slab::Slab;
use stompbox_store::{Page, PageRow, Rank, Sequence};

use super::Dispatcher;
use super::consumer::{Consumer, ConsumerPriority, Seat, Standing};
use super::entry::Entry;
use super::key::{ConsumerKey, QueueKey, ScanKey};
use super::look::{Again, Circle};
use super::parked::Position;
use super::property::{Place, Seen};
use super::queue::{LANE_COUNT, Purpose, Queue};
use super::round::is_taken;
use crate::core::clock::Now;
use crate::core::destination::DestinationName;
use crate::core::selector::Selector;

/// A scan that has found so much waits until some of it is taken.
const FOUND_MAX: usize = 256;

/// Rows of a page times scans that look at it: others that stand there have it read again.
const PAGE_LOOKS_MAX: usize = 32_768;

/// With so many scans all of them look at once at what has returned.
const AT_ONCE_MAX: usize = 16;

/// What a selector has seen of a queue.
#[derive(Debug)]
pub(super) struct Scan {
    selector: Arc<Selector>,
    instance: Arc<str>,
    consumer_count: usize,
    /// In each lane what stands before this was looked at.
    at: [Sequence; LANE_COUNT],
    /// Resident entries that match and were not taken.
    found: BTreeSet<Position>,
    /// Consumers that wait until something is found: the highest priority first, of these the first to wait.
    idle: BTreeMap<(Reverse<ConsumerPriority>, u64), Seat>,
    last_wait: u64,
}

/// How many scans have found an entry.
type Finds = FxHashMap<Position, u32>;

/// The scans of a queue, which cost nothing where there never was one: there may be a million queues.
#[derive(Debug, Default)]
pub(super) struct Scans(Option<Box<ScanSet>>);

impl Deref for Scans {
    type Target = ScanSet;

    fn deref(&self) -> &ScanSet {
        static NONE: LazyLock<ScanSet> = LazyLock::new(ScanSet::default);
        self.0.as_deref().unwrap_or(&NONE)
    }
}

impl DerefMut for Scans {
    fn deref_mut(&mut self) -> &mut ScanSet {
        self.0.get_or_insert_default()
    }
}

/// Scans of a queue. Keys are never used again: a page may come for one that has gone.
#[derive(Debug)]
pub(super) struct ScanSet {
    by_key: BTreeMap<ScanKey, Scan>,
    /// The same by their selectors' digests.
    by_selector: BTreeSet<(u64, ScanKey)>,
    next: ScanKey,
    /// Whatever any scan has found.
    finds: Finds,
    /// In each lane no scan has looked at what stands here or behind it.
    ahead: [Sequence; LANE_COUNT],
    /// Whose turn it is to look at what has come.
    pub(super) circle: Circle,
    /// What has returned, for those that have passed it.
    pub(super) again: Again,
}

impl Default for ScanSet {
    fn default() -> Self {
        Self {
            by_key: BTreeMap::new(),
            by_selector: BTreeSet::new(),
            next: ScanKey::default(),
            finds: Finds::default(),
            ahead: [Sequence(i64::MIN); LANE_COUNT],
            circle: Circle::default(),
            again: Again::default(),
        }
    }
}

impl ScanSet {
    pub(super) fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    pub(super) fn count(&self) -> usize {
        self.by_key.len()
    }

    /// The first one from here on.
    pub(super) fn first_from(&self, key: ScanKey) -> Option<ScanKey> {
        let (first, _) = self.by_key.range(key..).next()?;
        Some(*first)
    }

    /// Whether a consumer waits until this one finds something.
    pub(super) fn is_awaited(&self, key: ScanKey) -> bool {
        let scan = self.by_key.get(&key);
        scan.is_some_and(|scan| !scan.idle.is_empty())
    }

    /// One more consumer waits until something is found.
    pub(super) fn wait(&mut self, key: ScanKey, priority: ConsumerPriority, seat: Seat) {
        if let Some(scan) = self.by_key.get_mut(&key) {
            scan.last_wait += 1;
            scan.idle.insert((Reverse(priority), scan.last_wait), seat);
        }
    }

    /// Whether something was found that nobody has taken.
    pub(super) fn has_found(&self) -> bool {
        !self.finds.is_empty()
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

    /// An entry that a scan has found is no longer there, or the scan is not.
    fn lose(finds: &mut Finds, position: Position) {
        if let Some(count) = finds.get_mut(&position) {
            *count -= 1;
            if *count == 0 {
                finds.remove(&position);
            }
        }
    }
}

/// What an advance came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Advance {
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
        position: Position,
        entry: &Entry,
        finds: &mut Finds,
    ) -> bool {
        let place = Place {
            destination,
            instance: &self.instance,
        };
        let matches = self.selector.matches(&Seen { entry, place });
        if matches && self.found.insert(position) {
            *finds.entry(position).or_insert(0) += 1;
        }
        matches
    }
}

impl Queue {
    /// A consumer with this selector joins.
    pub(super) fn join_scan(&mut self, selector: Arc<Selector>, instance: &Arc<str>) -> ScanKey {
        let scans = &mut *self.scans;
        let digest = selector.digest();
        let alike = (digest, ScanKey(0))..=(digest, ScanKey(usize::MAX));
        for (_, key) in scans.by_selector.range(alike) {
            if let Some(scan) = scans.by_key.get_mut(key)
                && *scan.selector == *selector
            {
                scan.consumer_count += 1;
                return *key;
            }
        }
        let key = scans.next;
        scans.next = ScanKey(key.0 + 1);
        let scan = Scan::new(selector, Arc::clone(instance));
        scans.by_key.insert(key, scan);
        scans.by_selector.insert((digest, key));
        key
    }

    /// A consumer has left; with the last one what the selector has seen is forgotten.
    pub(super) fn leave_scan(&mut self, key: ScanKey, consumers: &Slab<Consumer>) {
        let scans = &mut *self.scans;
        let Some(scan) = scans.by_key.get_mut(&key) else {
            return;
        };
        scan.consumer_count -= 1;
        if scan.consumer_count > 0 {
            if scan.idle.len() > 2 * scan.consumer_count {
                scan.idle.retain(|_, seat| is_taken(consumers, seat));
            }
            return;
        }
        scans.by_selector.remove(&(scan.selector.digest(), key));
        for position in &scan.found {
            ScanSet::lose(&mut scans.finds, *position);
        }
        scans.by_key.remove(&key);
        if scans.by_key.is_empty() {
            let next = scans.next;
            *scans = ScanSet {
                next,
                ..ScanSet::default()
            };
        }
    }

    /// Whether an entry must stay in memory because a selector has found it, or has yet to look at it.
    pub(super) fn is_found(&self, rank: Rank, sequence: Sequence) -> bool {
        let position = (rank, sequence);
        self.scans.finds.contains_key(&position) || self.scans.again.has(position)
    }

    /// An entry has come to a place that scans may have passed.
    pub(super) fn look_again(&mut self, rank: Rank, sequence: Sequence) {
        let scans = &mut self.scans;
        if scans.by_key.is_empty() || sequence >= scans.ahead[usize::from(rank.0) % LANE_COUNT] {
            return;
        }
        if scans.by_key.len() > AT_ONCE_MAX {
            return scans.again.push((rank, sequence));
        }
        let mut next = ScanKey(0);
        while let Some(key) = self.scans.first_from(next) {
            self.look_back(key, &[(rank, sequence)]);
            next = ScanKey(key.0 + 1);
        }
    }

    /// A scan looks at those of these that it has passed.
    pub(super) fn look_back(&mut self, key: ScanKey, positions: &[Position]) {
        let ScanSet { by_key, finds, .. } = &mut *self.scans;
        let Some(scan) = by_key.get_mut(&key) else {
            return;
        };
        for (rank, sequence) in positions {
            if scan.has_seen(*rank, *sequence)
                && let Some(entry) = self.lanes[usize::from(rank.0) % LANE_COUNT].get(*sequence)
            {
                scan.look(&self.name, (*rank, *sequence), entry, finds);
            }
        }
    }

    /// Rows are on disk only again that scans may have passed.
    pub(super) fn scan_from(&mut self, rank: Rank, sequence: Sequence) {
        let index = usize::from(rank.0) % LANE_COUNT;
        if sequence >= self.scans.ahead[index] {
            return;
        }
        for scan in self.scans.by_key.values_mut() {
            scan.at[index] = scan.at[index].min(sequence);
        }
        self.scans.ahead[index] = sequence;
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
                    ScanSet::lose(&mut self.scans.finds, (rank, sequence));
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
        steps: &mut usize,
    ) {
        for rank in self.occupied().take_while(|rank| *rank < found) {
            let index = usize::from(rank.0) % LANE_COUNT;
            let ScanSet {
                by_key,
                finds,
                ahead,
                ..
            } = &mut *self.scans;
            let Some(scan) = by_key.get_mut(&key) else {
                return;
            };
            let lane = &self.lanes[index];
            while *steps > 0
                && let Some((sequence, entry)) = lane.resident_from(scan.at[index])
                && is_ready(entry)
                && !lane.has_paged_between(scan.at[index], sequence)
            {
                *steps -= 1;
                scan.at[index] = sequence.next();
                ahead[index] = ahead[index].max(scan.at[index]);
                if scan.look(&self.name, (rank, sequence), entry, finds) {
                    return;
                }
            }
        }
    }

    /// Looks at what is resident, as far as it goes.
    pub(super) fn advance(
        &mut self,
        key: ScanKey,
        is_ready: impl Fn(&Entry) -> bool,
        steps: &mut usize,
    ) -> Advance {
        for rank in self.occupied() {
            let index = usize::from(rank.0) % LANE_COUNT;
            loop {
                let lane = &self.lanes[index];
                let ScanSet {
                    by_key,
                    finds,
                    ahead,
                    ..
                } = &mut *self.scans;
                let Some(scan) = by_key.get_mut(&key) else {
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
                        ahead[index] = ahead[index].max(scan.at[index]);
                        scan.look(&self.name, (rank, sequence), entry, finds);
                    }
                }
            }
        }
        Advance::Done
    }
}

impl Dispatcher {
    /// A scan looks at what has come, as far as it may: what it needs from the disk is wished for, and those that wait
    /// for what it has found come into the round. Answers whether there is more to look at.
    pub(super) fn advance_scan(
        &mut self,
        key: QueueKey,
        scan: ScanKey,
        steps: &mut usize,
        now: Now,
    ) -> bool {
        let watermark = self.watermark;
        let is_ready =
            |entry: &Entry| entry.visible_after <= watermark && entry.not_before <= now.uptime;
        let advance = self.queues[key.0].advance(scan, is_ready, steps);
        if let Advance::Paged(rank, from) = advance {
            self.want_page(key, rank, Purpose::Scan(scan, from));
        }
        self.wake_idle(key, scan, now);
        advance == Advance::More
    }

    /// Those that wait for what a scan has found come into the round.
    pub(super) fn wake_idle(&mut self, key: QueueKey, scan: ScanKey, now: Now) {
        let watermark = self.watermark;
        let is_ready =
            |entry: &Entry| entry.visible_after <= watermark && entry.not_before <= now.uptime;
        if self.queues[key.0].first_found(scan, is_ready).is_some() {
            for waiting in self.queues[key.0].scans.take_idle(scan, &self.consumers) {
                self.enter_round(waiting);
            }
        }
    }

    /// A page has come for a scan: what matches becomes resident, the rest stays on disk. Scans look at it that somebody
    /// waits for and that have come so far.
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
        let lookers_max = (PAGE_LOOKS_MAX / page.rows.len().max(1)).max(1);
        let scans = self.queues[key.0].scans_at(rank, reader, from, lookers_max);
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
        if self.drop_superseded(key, rank, sequence, &entry) {
            return true;
        }
        let queue = &mut self.queues[key.0];
        let mut is_found = false;
        let ScanSet { by_key, finds, .. } = &mut *queue.scans;
        for scan in scans {
            if let Some(scan) = by_key.get_mut(scan)
                && !scan.has_seen(rank, sequence)
            {
                is_found |= scan.look(&queue.name, (rank, sequence), &entry, finds);
            }
        }
        if is_found {
            self.enter_value(key, rank, sequence, &entry);
            self.queues[key.0].put_paged(rank, sequence, entry);
        }
        is_found
    }
}

impl Queue {
    /// Scans that look at a page from here on that was read for one of them: this one and so many that follow it. The
    /// next page is for those behind them.
    fn scans_at(
        &mut self,
        rank: Rank,
        reader: ScanKey,
        from: Sequence,
        count_max: usize,
    ) -> Vec<ScanKey> {
        let index = usize::from(rank.0) % LANE_COUNT;
        let by_key = &self.scans.by_key;
        let following = by_key.range(reader..).chain(by_key.range(..reader));
        let looking = following.filter(|(key, scan)| {
            let is_awaited = !scan.idle.is_empty() && scan.found.len() < FOUND_MAX;
            **key == reader || (is_awaited && scan.at[index] >= from)
        });
        let keys: Vec<ScanKey> = looking.map(|(key, _)| *key).take(count_max).collect();
        self.scans.circle.begin_behind(reader);
        keys
    }

    /// Entries that are resident among the rows of a page were not looked at yet.
    fn look_at_resident(&mut self, rank: Rank, scan: ScanKey, next: Sequence) {
        let index = usize::from(rank.0) % LANE_COUNT;
        let ScanSet {
            by_key,
            finds,
            ahead,
            ..
        } = &mut *self.scans;
        let Some(scan) = by_key.get_mut(&scan) else {
            return;
        };
        let mut at = scan.at[index];
        while let Some((sequence, entry)) = self.lanes[index].resident_from(at)
            && sequence < next
        {
            at = sequence.next();
            scan.look(&self.name, (rank, sequence), entry, finds);
        }
        scan.at[index] = scan.at[index].max(next);
        ahead[index] = ahead[index].max(scan.at[index]);
    }
}
