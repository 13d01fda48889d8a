//! Repeated messages are known by their ids (dialect, SEND: `_AMQ_DUPL_ID`): each destination has a window of the last
//! ones, which the store keeps.
//!
//! Owns the windows that are in memory: one is read when the first message with an id comes to its destination, and what
//! its connection sends meanwhile waits behind that message. *Invariants.* An id is entered in the batch of its message,
//! and is gone again if that is refused. A repeat is answered when the first one is durable. A window leaves memory only
//! when the store has all of it.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use stompbox_store::{
    DUPLICATE_WINDOW, DestinationId, DuplicateRecord, DuplicateRequest, Duplicates, MessageNumber,
    Operation, PageId, Sender, Ticket,
};

use super::effect::{Promise, Read};
use super::flow::Blocker;
use super::key::PeerKey;
use super::{Dispatcher, Place};
use crate::core::clock::Now;
use crate::core::duplicate_id::DuplicateId;
use crate::core::memory::{Charge, MemoryBudget};
use crate::core::message::Publication;
use crate::core::port::{ConnectionId, ReceiptId, Reply, Request};

/// Eighths of the memory budget beyond which windows that were not asked for lately leave memory, down to
/// [`KEPT_SHARE`] of that.
const WINDOWS_EIGHTHS: usize = 2;

/// So many eighths of the limit stay, so that not every new id makes another window leave.
const KEPT_SHARE: usize = 7;

/// What an id costs beside its bytes.
const ID_BYTES: usize = 128;

/// What came with an id.
#[derive(Debug, Clone, Copy)]
struct Known {
    number: MessageNumber,
    ticket: Ticket,
}

/// The ids of one destination.
#[derive(Debug)]
struct Window {
    known: HashMap<Arc<[u8]>, Known>,
    /// The same, the oldest first. One that was refused may stand here still.
    order: VecDeque<Arc<[u8]>>,
    charge: Charge,
    bytes: usize,
    asked_at: u64,
    last_ticket: Ticket,
}

impl Window {
    fn new(budget: &Arc<MemoryBudget>) -> Self {
        Self {
            known: HashMap::new(),
            order: VecDeque::new(),
            charge: budget.charge_bytes(0),
            bytes: 0,
            asked_at: 0,
            last_ticket: Ticket(0),
        }
    }

    fn enter(&mut self, id: &[u8], known: Known) {
        let id: Arc<[u8]> = Arc::from(id);
        self.known.insert(Arc::clone(&id), known);
        self.last_ticket = self.last_ticket.max(known.ticket);
        self.order.push_back(id.clone());
        let bytes = id.len() + ID_BYTES;
        self.charge.grow(bytes);
        self.bytes += bytes;
        if self.order.len() > DUPLICATE_WINDOW
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
            let bytes = oldest.len() + ID_BYTES;
            self.charge.shrink(bytes);
            self.bytes -= bytes;
        }
    }

    fn forget(&mut self, id: &[u8]) {
        self.known.remove(id);
        // It takes no place that the store does not give it.
        if let Some(at) = self.order.iter().rposition(|known| **known == *id)
            && let Some(gone) = self.order.remove(at)
        {
            let bytes = gone.len() + ID_BYTES;
            self.charge.shrink(bytes);
            self.bytes -= bytes;
        }
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Windows {
    by_destination: FxHashMap<DestinationId, Window>,
    /// The bytes of all of them.
    pub(super) bytes: usize,
    /// Beyond so many bytes it is worth another look which windows can leave.
    look_at: usize,
    reading: FxHashMap<PageId, DestinationId>,
    /// Connections that wait for one.
    waiting: Vec<ConnectionId>,
    asked: u64,
}

impl Windows {
    fn insert(&mut self, id: DestinationId, mut window: Window) {
        self.asked += 1;
        window.asked_at = self.asked;
        self.bytes += window.bytes;
        if let Some(former) = self.by_destination.insert(id, window) {
            self.bytes -= former.bytes;
        }
    }

    fn remove(&mut self, id: DestinationId) {
        if let Some(gone) = self.by_destination.remove(&id) {
            self.bytes -= gone.bytes;
        }
    }

    fn change(&mut self, id: DestinationId, change: impl FnOnce(&mut Window)) {
        if let Some(window) = self.by_destination.get_mut(&id) {
            let before = window.bytes;
            change(window);
            self.bytes = self.bytes + window.bytes - before;
        }
    }
}

/// The destinations of a message that do not know its id, and what came with it to the others.
#[derive(Debug, Default)]
pub(super) struct Sifted {
    pub(super) fresh: SmallVec<[Place; 1]>,
    repeated: Option<Known>,
}

impl Sifted {
    /// All of them are to get it.
    pub(super) fn all(places: &[Place]) -> Self {
        Self {
            fresh: SmallVec::from_slice(places),
            repeated: None,
        }
    }

    /// Whether some of them know it.
    pub(super) fn is_repeat(&self) -> bool {
        self.repeated.is_some()
    }
}

impl Dispatcher {
    fn window_of(&mut self, place: Place, now: Now) -> DestinationId {
        match place {
            Place::Queue(key) => self.queues[key.0].id,
            Place::Topic(key) if self.topics[key.0].name.is_temporary() => {
                if let Some(id) = self.topics[key.0].id {
                    return id;
                }
                let id = self.next_destination();
                self.topics[key.0].id = Some(id);
                id
            }
            Place::Topic(key) => self.store_topic(key, now),
        }
    }

    fn is_kept_at(&self, place: Place) -> bool {
        let name = match place {
            Place::Queue(key) => &self.queues[key.0].name,
            Place::Topic(key) => &self.topics[key.0].name,
        };
        !name.is_temporary()
    }

    /// Whether the windows of these places are in memory; those that are not are asked for.
    fn are_windows_there(&mut self, places: &[Place], now: Now) -> bool {
        let mut all = true;
        for place in places {
            let id = self.window_of(*place, now);
            if self.windows.by_destination.contains_key(&id) {
                continue;
            }
            if !self.is_kept_at(*place) {
                let window = Window::new(&self.settings.budget);
                self.windows.insert(id, window);
                continue;
            }
            all = false;
            if self.windows.reading.values().all(|reading| *reading != id) {
                let page = self.new_page();
                self.windows.reading.insert(page, id);
                self.reads.push(Read::Duplicates(DuplicateRequest {
                    id: page,
                    destination: id,
                    rows_max: DUPLICATE_WINDOW,
                }));
            }
        }
        all
    }

    /// Whether a SEND with an id can be judged now.
    pub(super) fn can_judge(
        &mut self,
        publication: &Publication,
        places: &[Place],
        now: Now,
    ) -> bool {
        publication.duplicate_id.is_none() || self.are_windows_there(places, now)
    }

    /// A request waits until a window has come.
    pub(super) fn wait_for_window(&mut self, peer: PeerKey, request: Request) {
        let connection = self.peers[peer.0].connection;
        if !self.windows.waiting.contains(&connection) {
            self.windows.waiting.push(connection);
        }
        self.defer(peer, request, Blocker::Recall);
    }

    /// A window has come: what waits for it goes on.
    pub(super) fn duplicates_came(&mut self, found: Duplicates, now: Now) {
        let Some(destination) = self.windows.reading.remove(&found.id) else {
            return;
        };
        let mut window = Window::new(&self.settings.budget);
        for row in found.rows.iter().rev() {
            let known = Known {
                number: row.number,
                ticket: Ticket(0),
            };
            window.enter(&row.id, known);
        }
        self.windows.insert(destination, window);
        for connection in std::mem::take(&mut self.windows.waiting) {
            self.resume_deferred(connection, now);
        }
    }

    /// At the end of a turn: windows that were not asked for lately leave memory where all of them take too much of it.
    pub(super) fn shrink_windows(&mut self) {
        let max = self.eighths_of_memory(WINDOWS_EIGHTHS);
        // Who waits for one may need several: they do not push each other out.
        let is_awaited = !self.windows.waiting.is_empty();
        let bytes = self.windows.bytes;
        if bytes <= max {
            self.windows.look_at = 0;
            return;
        }
        if bytes <= self.windows.look_at || is_awaited && bytes <= 2 * max {
            return;
        }
        let (watermark, queues) = (self.watermark, &self.queues);
        let is_stored = |id: &DestinationId| {
            let queue = self.queue_ids.get(id).map(|key| &queues[key.0].name);
            queue.is_none_or(|name| !name.is_temporary())
        };
        let windows = self.windows.by_destination.iter();
        let stored = windows.filter(|(id, _)| is_stored(id));
        let (durable, pending): (Vec<_>, Vec<_>) =
            stored.partition(|(_, window)| window.last_ticket <= watermark);
        let is_pending = !pending.is_empty();
        let mut idle: Vec<(u64, DestinationId)> = durable
            .into_iter()
            .map(|(id, window)| (window.asked_at, *id))
            .collect();
        idle.sort_unstable();
        let kept = max / 8 * KEPT_SHARE;
        for (_, id) in idle {
            if self.windows.bytes <= kept {
                break;
            }
            self.windows.remove(id);
        }
        // Those of temporary destinations stay as long as these do: not every turn goes through them again.
        if !is_pending {
            self.windows.look_at = self.windows.bytes + max / 8;
        }
    }

    /// Tells the destinations that know an id from those that do not.
    pub(super) fn sift(&mut self, id: &DuplicateId, places: &[Place], now: Now) -> Sifted {
        let mut sifted = Sifted::default();
        for place in places {
            let destination = self.window_of(*place, now);
            self.windows.asked += 1;
            let asked_at = self.windows.asked;
            let window = self.windows.by_destination.get_mut(&destination);
            let known = window.and_then(|window| {
                window.asked_at = asked_at;
                window.known.get(id.as_bytes()).copied()
            });
            match known {
                // What came with it is durable everywhere when the last of it is.
                Some(known) => {
                    let latest = sifted.repeated.filter(|other| other.ticket > known.ticket);
                    sifted.repeated = Some(latest.unwrap_or(known));
                }
                None => sifted.fresh.push(*place),
            }
        }
        sifted
    }

    /// Enters the id of a message that goes to these places, in the batch that brings it.
    pub(super) fn remember_id(
        &mut self,
        id: &DuplicateId,
        places: &[Place],
        number: MessageNumber,
        sender: Sender,
        now: Now,
    ) {
        let ticket = self.next_ticket;
        for place in places {
            let destination = self.window_of(*place, now);
            self.windows.change(destination, |window| {
                window.enter(id.as_bytes(), Known { number, ticket });
            });
            if self.is_kept_at(*place) {
                self.batch
                    .operations
                    .push(Operation::Remember(DuplicateRecord {
                        destination,
                        number,
                        id: id.as_bytes().into(),
                        sender,
                    }));
            }
        }
    }

    /// A SEND that all of its destinations know already.
    pub(super) fn answer_repeat(
        &mut self,
        peer: PeerKey,
        receipt: Option<ReceiptId>,
        sifted: &Sifted,
    ) {
        self.counters.duplicates += 1;
        let (Some(receipt), Some(known)) = (receipt, sifted.repeated) else {
            return;
        };
        let reply = Reply::Duplicate {
            receipt,
            original: known.number,
        };
        if known.ticket <= self.watermark {
            self.reply(peer, reply);
        } else {
            self.reply_when_durable(peer, reply, Promise::WithAppend);
        }
    }

    /// An id was refused with its message: a repeat is the first one again, and who was to hear of a repeat is told.
    pub(super) fn forget_id(&mut self, record: &DuplicateRecord) -> SmallVec<[ConnectionId; 1]> {
        if let Some(window) = self.windows.by_destination.get(&record.destination)
            && window
                .known
                .get(&*record.id)
                .is_some_and(|known| known.number == record.number)
        {
            self.windows
                .change(record.destination, |window| window.forget(&record.id));
        }
        let waits = |reply: &Reply| matches!(reply, Reply::Duplicate { original, .. } if *original == record.number);
        self.awaited
            .iter()
            .filter(|awaited| waits(&awaited.reply))
            .map(|awaited| awaited.connection)
            .collect()
    }

    /// A destination is gone, and with it what it knew.
    pub(super) fn forget_window(&mut self, destination: DestinationId) {
        self.windows.remove(destination);
    }
}
