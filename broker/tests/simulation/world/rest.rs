//! Everything that is under way comes to its end; in the end everything is taken out.

use std::sync::PoisonError;

use super::World;
use crate::catalogue::CLIENT_IDS;
use crate::client::Client;
use crate::connection::{Connection, Outcome};
use crate::identity::Identity;
use crate::trace;

/// Steps without progress after which a run that comes to rest is stuck.
pub(super) const REST_ROUNDS_MAX: usize = 10_000;

impl World {
    /// Everybody does what there is to do once.
    pub(super) fn exchange(&mut self) {
        for index in (0..self.connections.len()).rev() {
            let connection = &mut self.connections[index];
            connection.read(usize::MAX);
            let now = self.now;
            while !connection.inbox.is_empty() {
                connection.reply(now);
            }
            self.write(index, usize::MAX);
            self.advance(index);
        }
        for index in (0..self.visits.len()).rev() {
            self.visit_acts(index, true);
        }
        self.turn(usize::MAX, usize::MAX);
        self.commit(usize::MAX);
        while self.disk.finish_read(0) {}
    }

    /// Whether nothing is under way.
    fn is_idle(&mut self) -> bool {
        let is_done = self.connections.iter().all(Connection::is_idle)
            && self.visits.iter().all(|visit| visit.arrived.is_empty())
            && self.life().inbox.is_empty()
            && self.disk.pending_batches() == 0
            && self.disk.pending_reads() == 0;
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        is_done && events.is_empty()
    }

    /// Lets everything happen that is under way, then looks whether anybody is forgotten.
    pub(super) fn come_to_rest(&mut self) {
        for round in 0.. {
            assert!(round < REST_ROUNDS_MAX, "the broker does not come to rest");
            self.exchange();
            if self.is_idle() {
                break;
            }
        }
        for connection in &self.connections {
            assert!(
                !connection.client.is_owed()
                    || !connection.listens()
                    || self.model.is_held_back(connection.id),
                "receipts got lost: {:?}",
                connection.client.owed()
            );
        }
        if let Some(life) = &self.life {
            self.model.check_rest(&life.dispatcher);
        }
        self.model.check_tallies(&self.disk.tallies());
    }

    /// Takes everything out of the broker.
    pub(super) fn drain(&mut self) {
        trace::note(|| "drain".to_owned());
        for index in (0..self.connections.len()).rev() {
            self.close(index, Outcome::Gone);
        }
        self.end_visits();
        self.come_to_rest();
        let durable = self.model.durables();
        for client_id in CLIENT_IDS.map(Some).into_iter().chain([None]) {
            let is_own = |identity: &Identity| identity.owner.as_deref() == client_id;
            let own: Vec<_> = durable
                .iter()
                .filter(|(identity, _)| is_own(identity))
                .cloned()
                .collect();
            let name = self.next_connection;
            let mut arriving = Vec::new();
            let appetite = &self.plan.appetite;
            let client = Client::drain(name, client_id, &own, appetite, &mut arriving);
            self.accept(client, arriving);
        }
        for _ in 0..20 {
            self.come_to_rest();
            self.pass(1_000);
        }
        self.come_to_rest();
        for connection in &mut self.connections {
            connection.client.clear_schedule(&mut connection.arriving);
        }
        self.come_to_rest();
        for connection in &mut self.connections {
            connection.client.delete_all(&mut connection.arriving);
        }
        self.come_to_rest();
        let left = self.model.left();
        assert_eq!(left, 0, "left behind: {:#?}", self.model.leftovers());
        let overview = self.life().dispatcher.overview();
        assert_eq!((overview.depth, overview.in_flight), (0, 0), "{overview:?}");
        assert!(self.disk.tallies().is_empty(), "{:?}", self.disk.tallies());
        let scheduled = self.disk.schedule_tallies();
        assert!(scheduled.is_empty(), "{scheduled:?}");
        let logs = self.disk.log_tallies();
        assert!(logs.is_empty(), "{logs:?}");
    }
}
