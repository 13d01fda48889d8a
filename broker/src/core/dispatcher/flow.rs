//! Producers are held back at a limit (dialect, Flow control): a topic's subscriber that does not keep up, a queue's
//! own, the memory, the disk, the write-ahead log. Only those that send to what is full; a session that is told so goes on
//! acknowledging.

use stompbox_store::StoreStatistics;

use super::key::{PeerKey, QueueKey, TopicKey};
use super::{Dispatcher, Place};
use crate::core::message::DeliveryMode;
use crate::core::port::Reply;

/// How much of the disk may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskLimits {
    /// Bytes of database, log and scratch file; none for as much as there is.
    pub bytes_max: Option<u64>,
    /// Bytes of the write-ahead log.
    pub wal_bytes_max: u64,
}

impl DiskLimits {
    /// As much as there is.
    pub const UNLIMITED: DiskLimits = DiskLimits {
        bytes_max: None,
        wal_bytes_max: u64::MAX,
    };
}

/// What holds a connection's SENDs back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Blocker {
    /// A subscription of this topic is at its pending limit.
    Topic(TopicKey),
    /// This queue is at its own limit.
    Queue(QueueKey),
    /// The ids are being read by which a repeat of what it sent would be known, or whether what it takes off is scheduled.
    Recall,
    /// Its messages go to many queues each, and this turn has made enough copies.
    Burst,
    /// Messages in memory have reached `limits.memory_bytes`.
    Memory,
    /// What is stored has reached `store.disk_bytes_max`.
    Disk,
    /// The log has reached `store.wal_bytes_max`: a foreign reader keeps it from being folded back.
    Log,
}

/// Who waits for what.
#[derive(Debug, Default)]
pub(super) struct Flow {
    recall: Vec<PeerKey>,
    burst: Vec<PeerKey>,
    memory: Vec<PeerKey>,
    disk: Vec<PeerKey>,
    log: Vec<PeerKey>,
    /// Queues whose consumers get no more from the disk until memory is free again.
    starved: Vec<QueueKey>,
    is_disk_over: bool,
    is_log_over: bool,
    /// Bytes of what is stored, as of the last look.
    stored_bytes: Option<u64>,
}

impl Flow {
    /// Whether what is stored has reached its limit.
    pub(super) fn is_disk_over(&self) -> bool {
        self.is_disk_over || self.is_log_over
    }

    /// Bytes of what is stored, if anybody has looked.
    pub(super) fn stored_bytes(&self) -> Option<u64> {
        self.stored_bytes
    }

    fn is_anyone_waiting(&self) -> bool {
        !(self.memory.is_empty()
            && self.disk.is_empty()
            && self.log.is_empty()
            && self.starved.is_empty())
    }
}

/// Why a topic has one full subscription less.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Relief {
    /// It has caught up.
    CaughtUp,
    /// It is gone.
    SubscriptionGone,
}

impl Dispatcher {
    /// After a SEND: holds the connection's next ones back if what it sent to is full.
    pub(super) fn hold_producer_back(&mut self, key: PeerKey, place: Place, mode: DeliveryMode) {
        let before = self.peers[key.0].blocked_by.len();
        if let Place::Topic(topic) = place
            && self.topics[topic.0].full_count > 0
        {
            self.block(key, Blocker::Topic(topic));
        }
        self.hold_back_by_bound(key, place);
        if self.flow.is_disk_over() && self.is_stored(place, mode) {
            if self.flow.is_disk_over {
                self.block(key, Blocker::Disk);
            }
            if self.flow.is_log_over {
                self.block(key, Blocker::Log);
            }
        }
        if self.is_memory_over {
            self.block(key, Blocker::Memory);
        }
        self.advise_full(key, place, before);
    }

    pub(super) fn block(&mut self, key: PeerKey, blocker: Blocker) {
        let peer = &mut self.peers[key.0];
        if peer.blocked_by.contains(&blocker) {
            return;
        }
        let was_blocked = peer.is_blocked();
        peer.blocked_by.push(blocker);
        self.waiting(blocker).push(key);
        if !was_blocked {
            self.reply(key, Reply::Block);
        }
    }

    fn waiting(&mut self, blocker: Blocker) -> &mut Vec<PeerKey> {
        match blocker {
            Blocker::Topic(topic) => &mut self.topics[topic.0].blocked,
            Blocker::Queue(queue) => &mut self.queues[queue.0].bound.blocked,
            Blocker::Recall => &mut self.flow.recall,
            Blocker::Burst => &mut self.flow.burst,
            Blocker::Memory => &mut self.flow.memory,
            Blocker::Disk => &mut self.flow.disk,
            Blocker::Log => &mut self.flow.log,
        }
    }

    /// One connection no longer waits for this.
    pub(super) fn unblock_one(&mut self, key: PeerKey, blocker: Blocker) {
        self.waiting(blocker).retain(|waiting| *waiting != key);
        self.let_go_on(vec![key], blocker);
    }

    pub(super) fn unblock(&mut self, blocker: Blocker) {
        let waiting = std::mem::take(self.waiting(blocker));
        self.let_go_on(waiting, blocker);
    }

    /// These no longer wait for this.
    pub(super) fn let_go_on(&mut self, waiting: Vec<PeerKey>, blocker: Blocker) {
        for key in waiting {
            let peer = &mut self.peers[key.0];
            peer.blocked_by.retain(|other| *other != blocker);
            if !peer.is_blocked() {
                self.reply(key, Reply::Unblock);
            }
        }
    }

    /// A connection is gone: nothing has to tell it any more.
    pub(super) fn unblock_gone(&mut self, key: PeerKey) {
        for blocker in std::mem::take(&mut self.peers[key.0].blocked_by) {
            self.waiting(blocker).retain(|blocked| *blocked != key);
        }
    }

    /// One full subscription of a topic less: producers go on when it was the last.
    pub(super) fn relieve(&mut self, topic: TopicKey, relief: Relief) {
        let state = &mut self.topics[topic.0];
        state.full_count -= 1;
        tracing::debug!(topic = %state.name, ?relief, full_count = state.full_count, "relieved");
        if state.full_count == 0 {
            self.unblock(Blocker::Topic(topic));
        }
    }

    /// What the console calls it: the key of the limit, or the destination.
    pub(super) fn name_of(&self, blocker: Blocker) -> String {
        match blocker {
            Blocker::Topic(topic) => self.topics[topic.0].name.to_string(),
            Blocker::Queue(queue) => self.queues[queue.0].name.to_string(),
            Blocker::Recall => "duplicate detection".to_owned(),
            Blocker::Burst => "copies for many queues".to_owned(),
            Blocker::Memory => "limits.memory_bytes".to_owned(),
            Blocker::Disk => "store.disk_bytes_max".to_owned(),
            Blocker::Log => "store.wal_bytes_max".to_owned(),
        }
    }

    /// A queue's consumers get no more from the disk until memory is free again.
    pub(super) fn wait_for_memory(&mut self, key: QueueKey) {
        let queue = &mut self.queues[key.0];
        if !queue.is_starved {
            queue.is_starved = true;
            self.flow.starved.push(key);
        }
    }

    /// Producers, and consumers of what is on disk, go on when enough memory is free again.
    pub(super) fn unblock_by_memory(&mut self) {
        if !self.is_waiting_for_room() || !self.settings.budget.has_recovered() {
            return;
        }
        for key in std::mem::take(&mut self.flow.starved) {
            if let Some(queue) = self.queues.get_mut(key.0) {
                queue.is_starved = false;
                self.mark(key);
            }
        }
        self.unblock(Blocker::Memory);
    }

    /// Takes notice of what is stored; wanted often while somebody waits for room.
    pub fn store_is(&mut self, statistics: &StoreStatistics) {
        let limits = self.settings.disk;
        let used = (statistics.database_bytes + statistics.wal_bytes + statistics.scratch_bytes)
            .saturating_sub(statistics.database_free_bytes);
        self.flow.stored_bytes = Some(used);
        let is_over = crosses(self.flow.is_disk_over, used, limits.bytes_max);
        if is_over != self.flow.is_disk_over {
            tracing::warn!(used, limit = ?limits.bytes_max, is_over, "disk_bytes_max");
            self.flow.is_disk_over = is_over;
            if !is_over {
                self.unblock(Blocker::Disk);
            }
        }
        let is_over = crosses(
            self.flow.is_log_over,
            statistics.wal_bytes,
            Some(limits.wal_bytes_max),
        );
        if is_over != self.flow.is_log_over {
            tracing::warn!(
                wal_bytes = statistics.wal_bytes,
                limit = limits.wal_bytes_max,
                is_over,
                "wal_bytes_max: a process that reads the database keeps its log from being folded back"
            );
            self.flow.is_log_over = is_over;
            if !is_over {
                self.unblock(Blocker::Log);
            }
        }
    }

    /// Whether somebody waits for memory or disk, neither of which tells when it becomes free.
    pub(super) fn is_waiting_for_room(&self) -> bool {
        self.flow.is_anyone_waiting() || self.crowd.has_browsers()
    }
}

/// Whether `used` is over its limit: from there on, until a tenth is free again.
fn crosses(was_over: bool, used: u64, limit: Option<u64>) -> bool {
    let Some(limit) = limit else { return false };
    if was_over {
        used >= limit / 10 * 9
    } else {
        used >= limit
    }
}
