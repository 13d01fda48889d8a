//! Requests that cannot be acted on yet, and what their connection asks for behind them.
//!
//! *Invariant*: a connection's requests are acted on in the order in which they came.

use super::Dispatcher;
use super::flow::Blocker;
use super::key::PeerKey;
use super::peer::Standing;
use crate::core::clock::Now;
use crate::core::port::{ConnectionId, Request};

/// What a request may be deferred for.
const REASONS: [Blocker; 2] = [Blocker::Recall, Blocker::Burst];

impl Dispatcher {
    /// A request waits, and what its connection asks for after it waits behind it.
    pub(super) fn defer(&mut self, peer: PeerKey, request: Request, reason: Blocker) {
        self.peers[peer.0].deferred.push_back(request);
        self.block(peer, reason);
    }

    /// What a connection has waited for is there: its requests go on, up to one that has to wait again.
    pub(super) fn resume_deferred(&mut self, connection: ConnectionId, now: Now) {
        let Some(&peer) = self.connections.get(&connection) else {
            return;
        };
        let mut deferred = std::mem::take(&mut self.peers[peer.0].deferred);
        while let Some(request) = deferred.pop_front() {
            if !self.perform(peer, request, now) {
                return;
            }
            if !self.peers[peer.0].deferred.is_empty() {
                self.peers[peer.0].deferred.append(&mut deferred);
                return;
            }
        }
        for reason in REASONS {
            if self.peers[peer.0].blocked_by.contains(&reason) {
                self.unblock_one(peer, reason);
            }
        }
    }

    /// Acts on one request; whether the connection is still there.
    pub(super) fn perform(&mut self, peer: PeerKey, request: Request, now: Now) -> bool {
        if let Request::Closed { ending, written } = request {
            self.close(peer, ending, written, now);
            return false;
        }
        if self.peers[peer.0].standing == Standing::Open
            || matches!(request, Request::Written { .. })
        {
            self.act(peer, request, now);
        }
        true
    }
}
