//! Producers are held back while a topic's subscriber is at its limit or the memory is full (dialect, Flow
//! control). Only those that send to what is full; a session that is told so goes on acknowledging.

use super::key::{PeerKey, QueueKey, TopicKey};
use super::{Dispatcher, Place};
use crate::core::port::Reply;

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
    pub(super) fn hold_producer_back(&mut self, key: PeerKey, place: Place) {
        let was_blocked = self.peers[key.0].is_blocked();
        if let Place::Topic(topic) = place
            && self.topics[topic.0].full_count > 0
            && !self.peers[key.0].blocked_by.contains(&topic)
        {
            self.peers[key.0].blocked_by.push(topic);
            self.topics[topic.0].blocked.push(key);
        }
        if self.is_memory_over && !self.peers[key.0].blocked_by_memory {
            self.peers[key.0].blocked_by_memory = true;
            self.memory_blocked.push(key);
        }
        if !was_blocked && self.peers[key.0].is_blocked() {
            self.reply(key, Reply::Block);
        }
    }

    /// One full subscription of a topic less: producers go on when it was the last.
    pub(super) fn relieve(&mut self, topic: TopicKey, relief: Relief) {
        let state = &mut self.topics[topic.0];
        state.full_count -= 1;
        tracing::debug!(topic = %state.name, ?relief, full_count = state.full_count, "relieved");
        if state.full_count > 0 {
            return;
        }
        for peer in std::mem::take(&mut state.blocked) {
            self.peers[peer.0]
                .blocked_by
                .retain(|blocking| *blocking != topic);
            self.unblock(peer);
        }
    }

    /// A queue's consumers get no more from the disk until memory is free again.
    pub(super) fn wait_for_memory(&mut self, queue: QueueKey) {
        if !self.memory_starved.contains(&queue) {
            self.memory_starved.push(queue);
        }
    }

    /// Producers, and consumers of what is on disk, go on when enough memory is free again.
    pub(super) fn unblock_by_memory(&mut self) {
        if !self.is_memory_blocking() || !self.settings.budget.has_recovered() {
            return;
        }
        for queue in std::mem::take(&mut self.memory_starved) {
            self.mark(queue);
        }
        for peer in std::mem::take(&mut self.memory_blocked) {
            self.peers[peer.0].blocked_by_memory = false;
            self.unblock(peer);
        }
    }

    fn unblock(&mut self, peer: PeerKey) {
        if !self.peers[peer.0].is_blocked() {
            self.reply(peer, Reply::Unblock);
        }
    }

    /// A connection is gone: nothing has to tell it any more.
    pub(super) fn unblock_gone(&mut self, key: PeerKey) {
        for topic in std::mem::take(&mut self.peers[key.0].blocked_by) {
            self.topics[topic.0]
                .blocked
                .retain(|blocked| *blocked != key);
        }
        self.peers[key.0].blocked_by_memory = false;
        self.memory_blocked.retain(|blocked| *blocked != key);
    }

    pub(super) fn is_memory_blocking(&self) -> bool {
        !self.memory_blocked.is_empty() || !self.memory_starved.is_empty()
    }
}
