//! What clients and connections do, one move at a time.

use std::sync::Arc;

use stompbox_broker::core::port::{ConnectionId, Request};
use stompbox_protocol::Version;

use super::World;
use crate::catalogue::CLIENT_IDS;
use crate::client::Client;
use crate::connection::{Connection, Outcome};
use crate::trace;

impl World {
    fn any_connection(&mut self) -> Option<usize> {
        let count = self.connections.len();
        (count > 0).then(|| self.random.below(count))
    }

    pub(super) fn connect(&mut self) {
        if self.connections.len() < self.plan.connections_max {
            let version = match self.random.below(10) {
                0 => Version::V1_0,
                1..4 => Version::V1_1,
                _ => Version::V1_2,
            };
            let name = self.next_connection;
            let mut arriving = Vec::new();
            let client_id = self.client_id();
            let appetite = &self.plan.appetite;
            let client = Client::new(name, version, client_id, appetite, &mut arriving);
            self.accept(client, arriving);
        }
    }

    fn client_id(&mut self) -> Option<&'static str> {
        let is_named = self.plan.appetite.lasts() && self.random.percent(60);
        is_named.then(|| CLIENT_IDS[self.random.below(CLIENT_IDS.len())])
    }

    pub(super) fn accept(&mut self, client: Client, arriving: Vec<u8>) {
        let id = ConnectionId(self.next_connection);
        self.next_connection += 1;
        let settings = Arc::clone(&self.life().settings);
        self.connections
            .push(Connection::new(id, &settings, client, arriving));
    }

    pub(super) fn client_acts(&mut self) {
        let Some(index) = self.any_connection() else {
            return self.connect();
        };
        let connection = &mut self.connections[index];
        let now_ms = self.now.wall_ms;
        let (random, wire) = (&mut self.random, &mut self.wire);
        connection
            .client
            .act(random, now_ms, wire, &mut connection.arriving);
    }

    pub(super) fn connection_reads(&mut self) {
        if let Some(index) = self.any_connection() {
            let most = self.some_size();
            self.connections[index].read(most);
            self.advance(index);
        }
    }

    fn some_size(&mut self) -> usize {
        match self.random.below(4) {
            0 => self.random.between(1, 60),
            1 => self.random.between(1, 400),
            _ => usize::MAX,
        }
    }

    pub(super) fn connection_writes(&mut self) {
        if let Some(index) = self.any_connection() {
            let most = self.some_size();
            self.write(index, most);
            self.advance(index);
        }
    }

    pub(super) fn write(&mut self, index: usize, bytes_max: usize) {
        let connection = &mut self.connections[index];
        let bytes = connection.write(bytes_max);
        let (random, wire) = (&mut self.random, &mut self.wire);
        connection
            .client
            .read(&bytes, wire, random, &mut connection.arriving);
    }

    pub(super) fn connection_is_replied_to(&mut self) {
        if let Some(index) = self.any_connection() {
            let now = self.now;
            self.connections[index].reply(now);
            self.advance(index);
        }
    }

    /// What the connection's task does after every event.
    pub(super) fn advance(&mut self, index: usize) {
        let now = self.now;
        let connection = &mut self.connections[index];
        let requests = connection.advance(now);
        let (id, outcome) = (connection.id, connection.outcome());
        self.forward(id, requests);
        if let Some(outcome) = outcome {
            self.close(index, outcome);
        }
    }

    pub(super) fn forward(&mut self, id: ConnectionId, requests: Vec<Request>) {
        if !requests.is_empty() {
            self.life().inbox.push_back((id, requests));
        }
    }

    pub(super) fn close(&mut self, index: usize, outcome: Outcome) {
        let mut connection = self.connections.swap_remove(index);
        trace::count(match outcome {
            Outcome::Gone => "connection lost",
            Outcome::Closed => "connection closed",
            Outcome::Refused => "connection refused",
        });
        trace::note(|| format!("connection {} ends: {outcome:?}", connection.id.0));
        let requests = connection.close(outcome);
        self.forward(connection.id, requests);
        if outcome == Outcome::Refused {
            let mut bytes = connection.last_bytes();
            bytes.truncate(self.some_size());
            let mut unread = Vec::new();
            let (random, wire) = (&mut self.random, &mut self.wire);
            connection.client.read(&bytes, wire, random, &mut unread);
        }
        if outcome == Outcome::Closed && !connection.was_stopped {
            assert!(
                !connection.client.is_owed(),
                "closed with receipts unanswered"
            );
        }
    }

    pub(super) fn lose_connection(&mut self) {
        let Some(index) = self.any_connection() else {
            return;
        };
        if self.random.percent(20) {
            trace::count("half-closed");
            self.connections[index].half_close();
            return self.advance(index);
        }
        if self.random.percent(50) {
            let most = self.some_size();
            self.write(index, most);
            self.advance(index);
        }
        if index < self.connections.len() {
            self.close(index, Outcome::Gone);
        }
    }
}
