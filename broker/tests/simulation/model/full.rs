//! A full disk. Two things are known of it at different times: what the store has not carried out, as soon as it commits; and
//! that, as the dispatcher hears of it. Then what was refused is as if it had not been asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use stompbox_broker::core::port::ConnectionId;
use stompbox_store::{EntryKey, Operation};

use super::entry::{Entry, EntryId, Reason, Spot, Whereabouts};
use super::topic::Copy;
use super::{Model, QueueIndex, Seat};
use crate::trace;

/// How long a dead letter that cannot be written stays where it is.
const STAYS: Duration = Duration::from_secs(60);

/// What a SEND or a COMMIT has done: refused as a whole.
#[derive(Debug)]
struct Unit {
    connection: ConnectionId,
    placed: Vec<EntryId>,
    acknowledged: Vec<EntryId>,
    buried: Vec<EntryId>,
    /// What stands behind a COMMIT in a topic.
    held: Vec<(Rc<str>, i64)>,
}

/// What a dead letter was before.
#[derive(Debug)]
struct Home {
    id: EntryId,
    queue: QueueIndex,
    order: i64,
    rank: usize,
    expires_ms: i64,
    deliveries: u32,
    failures: u32,
    is_uncertain: bool,
    is_persistent: bool,
    is_stored: bool,
    visible_after: u64,
    reason: Reason,
    from: Option<EntryKey>,
    copy: Option<(Seat, Copy)>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct FullDisk {
    /// Whether the disk of this run is full at times.
    pub(super) fills: bool,
    /// Whether the dispatcher knows that it is.
    is_known: bool,
    /// What the store has never had, whatever it was asked for.
    never: BTreeSet<EntryKey>,
    /// What has left it.
    settled: BTreeMap<EntryKey, EntryId>,
    units: Vec<Unit>,
    unit: Option<Unit>,
    homes: BTreeMap<EntryKey, Home>,
    /// Copies of topics that are to become dead letters.
    copies: BTreeMap<EntryId, (Seat, Copy)>,
    /// What has expired and could not become a dead letter.
    undead: BTreeSet<EntryId>,
    /// What waits for room to become a dead letter.
    waiting: BTreeMap<EntryId, Reason>,
}

impl Model {
    /// Whether the disk is full at times.
    pub(crate) fn with_full_disks(mut self, fills: bool) -> Self {
        self.full.fills = fills;
        self
    }

    pub(super) fn restart_full(&mut self) {
        let fills = self.full.fills;
        self.full = FullDisk {
            fills,
            ..FullDisk::default()
        };
    }

    pub(super) fn is_known_full(&self) -> bool {
        self.full.is_known
    }

    /// The dispatcher hears that there is room again.
    pub(crate) fn resumed(&mut self) {
        self.full.is_known = false;
    }

    /// What happens until it ends is refused as a whole, if it is.
    pub(super) fn begin_unit(&mut self, connection: ConnectionId) {
        self.full.unit = self.full.fills.then(|| Unit {
            connection,
            placed: Vec::new(),
            acknowledged: Vec::new(),
            buried: Vec::new(),
            held: Vec::new(),
        });
    }

    pub(super) fn end_unit(&mut self) {
        let unit = self.full.unit.take();
        self.full.units.extend(unit);
    }

    pub(super) fn note_placed(&mut self, id: EntryId) {
        if let Some(unit) = &mut self.full.unit {
            unit.placed.push(id);
        }
    }

    pub(super) fn note_held(&mut self, topic: &str, order: i64) {
        if let Some(unit) = &mut self.full.unit {
            unit.held.push((topic.into(), order));
        }
    }

    pub(super) fn note_acknowledged(&mut self, id: EntryId) {
        if let Some(unit) = &mut self.full.unit {
            unit.acknowledged.push(id);
        }
    }

    pub(super) fn note_settled(&mut self, key: EntryKey, id: EntryId) {
        if self.full.fills {
            self.full.settled.insert(key, id);
        }
    }

    pub(super) fn note_buried_copy(&mut self, id: EntryId, seat: Seat, copy: Copy) {
        if let Some(unit) = &mut self.full.unit {
            unit.buried.push(id);
        }
        if self.full.fills {
            self.full.copies.insert(id, (seat, copy));
        }
    }

    pub(super) fn note_buried(&mut self, id: EntryId) {
        if let Some(unit) = &mut self.full.unit {
            unit.buried.push(id);
        }
    }

    /// It becomes a dead letter now, as which the store is to have it.
    pub(super) fn note_home(
        &mut self,
        id: EntryId,
        from: Option<EntryKey>,
        to: EntryKey,
        reason: Reason,
    ) {
        if !self.full.fills {
            return;
        }
        let copy = self.full.copies.remove(&id);
        let entry = self.entry(id);
        let home = Home {
            id,
            queue: entry.queue,
            order: entry.order,
            rank: entry.rank,
            expires_ms: entry.expires_ms,
            deliveries: entry.deliveries,
            failures: entry.failures,
            is_uncertain: entry.is_uncertain,
            is_persistent: entry.is_persistent,
            is_stored: entry.is_stored,
            visible_after: entry.visible_after,
            reason,
            from,
            copy,
        };
        if let Some(from) = home.from.filter(|from| self.full.never.contains(from)) {
            trace::note(|| format!("  {from:?} was never there"));
            self.full.never.insert(to);
        }
        self.full.homes.insert(to, home);
    }

    /// Whether the store really has what it was asked for.
    pub(super) fn is_there_at(&self, entry: &Entry, ticket: u64) -> Option<super::entry::Stored> {
        let stored = entry.stored_at(ticket)?;
        match stored.spot {
            Spot::Queue(key) if self.full.never.contains(&key) => None,
            _ => Some(stored),
        }
    }

    /// The store has not carried these out.
    pub(crate) fn not_carried_out(&mut self, operations: &[Operation]) {
        trace::count("full disk: refuses");
        trace::note(|| format!("not carried out: {operations:?}"));
        // What happened last is undone first.
        for operation in operations.iter().rev() {
            match operation {
                Operation::Append(append) => self.was_never_there(append.key),
                Operation::Move(change) if self.full.never.contains(&change.from) => {
                    self.full.never.insert(change.to);
                }
                Operation::Move(change) => {
                    let spot = Spot::Queue(change.to);
                    let id = self.keys.get(&spot).copied();
                    let gone = || self.full.settled.get(&change.to).copied();
                    let id = id.or_else(gone).expect("it was moved there");
                    let from = Spot::Queue(change.from);
                    let history = &mut self.entry_mut(id).history;
                    let before = history.iter().rev().filter_map(|(_, stored)| *stored);
                    let before = before.filter(|stored| stored.spot == from).nth(0);
                    let stays = |stored: &super::entry::Stored| stored.spot == spot;
                    for (_, stored) in history {
                        if stored.as_ref().is_some_and(stays) {
                            *stored = before;
                        }
                    }
                }
                Operation::Settle { key, .. } => {
                    let id = self.full.settled[key];
                    let spot = Spot::Queue(*key);
                    let history = &mut self.entry_mut(id).history;
                    for at in 1..history.len() {
                        let before = history[at - 1].1;
                        if history[at].1.is_none() && before.is_some_and(|own| own.spot == spot) {
                            history[at].1 = before;
                        }
                    }
                }
                Operation::Count {
                    key,
                    deliveries,
                    failures,
                } => self.was_not_counted(*key, *deliveries, *failures),
                _ => panic!("not what a full disk refuses here: {operation:?}"),
            }
        }
    }

    fn was_never_there(&mut self, key: EntryKey) {
        self.full.never.insert(key);
        let known = self.keys.get(&Spot::Queue(key)).copied();
        let id = known.or_else(|| self.full.settled.get(&key).copied());
        let moved = self.full.homes.iter();
        let mut moved = moved.filter(|(_, home)| home.from == Some(key));
        let on = moved.next().map(|(to, home)| (*to, home.id));
        if let Some((to, _)) = on {
            // What it became was never there either.
            self.full.never.insert(to);
        }
        assert!(id.is_some() || on.is_some(), "{key:?} was not asked for");
    }

    fn was_not_counted(&mut self, key: EntryKey, deliveries: u32, failures: u32) {
        let spot = Spot::Queue(key);
        let known = self.keys.get(&spot).copied();
        let id = known.or_else(|| self.full.settled.get(&key).copied());
        let Some(id) = id else { return };
        let history = &mut self.entry_mut(id).history;
        for at in (1..history.len()).rev() {
            let is_it = history[at].1.is_some_and(|own| {
                (own.spot, own.deliveries, own.failures) == (spot, deliveries, failures)
            });
            if is_it {
                history[at].1 = history[at - 1].1;
                return;
            }
        }
    }

    /// The dispatcher hears what was refused.
    pub(crate) fn refusal_came(&mut self, operations: &[Operation]) {
        self.full.is_known = true;
        let (mut units, mut met) = (BTreeSet::new(), BTreeSet::new());
        let mut told = BTreeSet::new();
        let of = |units: &[Unit], is_it: &dyn Fn(&Unit) -> bool| units.iter().position(is_it);
        for operation in operations {
            if let Some(to) = made_by(operation)
                && let Some(home) = self.full.homes.remove(&to)
            {
                let unit = of(&self.full.units, &|unit| unit.buried.contains(&home.id));
                units.extend(unit);
                self.exhume(to, home);
            }
        }
        for operation in operations {
            let Operation::Append(append) = operation else {
                continue;
            };
            if append.sender.0 != 0 {
                told.insert(ConnectionId(append.sender.0));
            }
            let spot = Spot::Queue(append.key);
            let known = self.keys.get(&spot).copied();
            let id = known.or_else(|| self.full.settled.get(&append.key).copied());
            let moved = |(_, home): (&EntryKey, &Home)| {
                let is_it = home.from == Some(append.key);
                is_it.then_some(home.id)
            };
            let id = id.or_else(|| self.full.homes.iter().find_map(moved));
            if let Some(id) = id {
                units.extend(of(&self.full.units, &|unit| unit.placed.contains(&id)));
                self.is_not_stored(id, spot);
                met.insert(id);
            }
        }
        for operation in operations {
            // It stood beside what was refused, and is told the store again.
            if let Operation::Settle { key, .. } = operation {
                let id = self.full.settled[key];
                self.keys.insert(Spot::Queue(*key), id);
                self.touched.insert(id);
            }
        }
        for unit in units.into_iter().rev() {
            let unit = self.full.units.remove(unit);
            told.insert(unit.connection);
            self.undo(unit, &met);
        }
        for connection in told {
            let peer = self.peers.get(&connection);
            let waits = |peer: &super::Peer| peer.is_open || peer.may_close_after.is_some();
            if peer.is_some_and(waits) {
                trace::count("full disk: a sender is told");
                self.refuse(connection);
                // Told once, however much of what it sent is refused.
                self.peer(connection).may_close_after = None;
            }
        }
    }

    fn undo(&mut self, unit: Unit, met: &BTreeSet<EntryId>) {
        for id in unit.placed.into_iter().filter(|id| !met.contains(id)) {
            let spot = self.entry(id).stored().map(|stored| stored.spot);
            match spot {
                Some(spot) => self.is_not_stored(id, spot),
                None if self.entry(id).whereabouts == Whereabouts::Waiting => {
                    self.take(id, Whereabouts::Gone);
                }
                None => {}
            }
        }
        for (name, order) in unit.held {
            if let Some(topic) = self.topics.get_mut(&name) {
                topic.held.retain(|(_, _, own)| *own != order);
            }
        }
        // Of what was refused itself nothing is left.
        for id in unit.acknowledged.into_iter().filter(|id| !met.contains(id)) {
            if self.entry(id).whereabouts == Whereabouts::Gone
                && self.queues[self.entry(id).queue].exists
            {
                trace::count("full disk: what a COMMIT acknowledged returns");
                self.touched.insert(id);
                self.put(id);
            }
        }
    }

    /// What was refused and still waits has gone; what is with a consumer, or waits out a delay, is as if it were not
    /// persistent.
    fn is_not_stored(&mut self, id: EntryId, spot: Spot) {
        let entry = self.entry(id);
        if let Some(Spot::Queue(grave)) = entry.stored().map(|stored| stored.spot)
            && entry.dead.is_some()
        {
            // It does not come where it was going.
            self.full.never.insert(grave);
            self.full.homes.remove(&grave);
            self.keys.remove(&Spot::Queue(grave));
            self.entry_mut(id).history.clear();
            return self.take(id, Whereabouts::Gone);
        }
        let entry = self.entry(id);
        let had_it = entry.deliveries > entry.facts.deliveries_before;
        // One that had expired may have been found before, and waits for room then.
        let has_expired = self.entry(id).is_expired(self.now);
        let stays = had_it && (self.full.undead.remove(&id) || has_expired);
        self.keys.remove(&spot);
        self.entry_mut(id).history.clear();
        self.touched.insert(id);
        self.entry_mut(id).is_stored = false;
        match self.entry(id).whereabouts {
            Whereabouts::Waiting if !stays => {
                trace::count("full disk: taken out");
                self.take(id, Whereabouts::Gone);
            }
            Whereabouts::Waiting => {
                trace::count("full disk: stays out");
                let fades = (self.entry(id).expires_ms, id);
                self.fading.extend(has_expired.then_some(fades));
            }
            Whereabouts::Held => trace::count("full disk: stays out"),
            // It would have become a dead letter, and nobody has had it.
            Whereabouts::Delayed(_) if !had_it => self.move_to(id, Whereabouts::Gone),
            Whereabouts::Delayed(_) => trace::count("full disk: stays out"),
            Whereabouts::Gone | Whereabouts::Fading | Whereabouts::Burying(_) => {}
        }
    }

    /// A dead letter is where it was before, and has to wait.
    fn exhume(&mut self, to: EntryKey, home: Home) {
        trace::count("full disk: a dead letter stays");
        let id = home.id;
        self.keys.remove(&Spot::Queue(to));
        if self.entry(id).whereabouts.may_expire() {
            self.take(id, Whereabouts::Gone);
        }
        if let Some((seat, copy)) = home.copy {
            self.entry_mut(id).history.clear();
            self.set(id, Whereabouts::Gone);
            return self.copy_stays(seat, copy);
        }
        let entry = self.entry_mut(id);
        entry.dead = None;
        entry.queue = home.queue;
        entry.order = home.order;
        entry.rank = home.rank;
        entry.expires_ms = home.expires_ms;
        entry.deliveries = home.deliveries;
        entry.failures = home.failures;
        entry.is_uncertain = home.is_uncertain;
        entry.is_persistent = home.is_persistent;
        entry.is_stored = home.is_stored;
        entry.visible_after = home.visible_after;
        match home.from.filter(|_| home.is_stored) {
            Some(from) => {
                self.keys.insert(Spot::Queue(from), id);
            }
            None => self.entry_mut(id).history.clear(),
        }
        if !self.queues[home.queue].exists {
            return self.set(id, Whereabouts::Gone);
        }
        self.stay(id, home.reason);
    }

    /// What has to become a dead letter waits for room. What has expired is not handed out meanwhile, wherever it is.
    pub(super) fn stay(&mut self, id: EntryId, reason: Reason) {
        self.touched.insert(id);
        if reason == Reason::Expired {
            self.full.undead.insert(id);
            return self.put(id);
        }
        let due = self.now.uptime + STAYS;
        self.full.waiting.insert(id, reason);
        self.move_to(id, Whereabouts::Delayed(due));
        self.delayed.insert((due, id));
    }

    pub(super) fn copy_stays(&mut self, seat: Seat, copy: Copy) {
        let due = self.now.uptime + STAYS;
        if self.subscription(seat).is_some() {
            self.live(seat).pending.delay(due, copy);
        }
    }

    /// Whether the store is told of something that it never had: nothing comes of that.
    pub(super) fn is_idle(&self, key: EntryKey) -> bool {
        self.full.never.contains(&key) && !self.keys.contains_key(&Spot::Queue(key))
    }

    /// Whether a count is of what has left meanwhile: it stood beside what was refused, and is told again for nothing.
    pub(super) fn is_told_again(&self, spot: Spot) -> bool {
        self.full.fills && !self.keys.contains_key(&spot)
    }

    /// Whether it waits for room to become a dead letter: that holds nothing back.
    pub(super) fn awaits_burial(&self, id: EntryId) -> bool {
        self.full.waiting.contains_key(&id)
    }

    /// Why something becomes a dead letter whose time has come.
    pub(super) fn awaited_burial(&mut self, id: EntryId) -> Option<Reason> {
        self.full.waiting.remove(&id)
    }

    /// Whether a message that was never stored has expired, and becomes a dead letter nevertheless.
    pub(super) fn dies_unstored(&self, entry: &Entry) -> bool {
        let is_there = entry.whereabouts.may_expire() || entry.whereabouts == Whereabouts::Fading;
        self.full.fills
            && entry.is_persistent
            && !entry.is_stored
            && is_there
            && entry.is_expired(self.now)
    }
}

fn made_by(operation: &Operation) -> Option<EntryKey> {
    match operation {
        Operation::Append(append) => Some(append.key),
        Operation::Move(change) => Some(change.to),
        _ => None,
    }
}
