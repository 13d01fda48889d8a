//! Lives of the broker: how one begins on what the disk has, and how it ends.

use std::collections::VecDeque;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use jiff::tz::Offset;
use stompbox_broker::config::ClientIdPolicy;
use stompbox_broker::core::dispatcher::{DiskLimits, Dispatcher, Settings};
use stompbox_broker::core::memory::MemoryBudget;
use stompbox_broker::core::port::{ConnectionId, Request};
use stompbox_broker::core::schedule::TimeZone;
use stompbox_broker::core::session::SessionSettings;
use stompbox_store::Store;
use stompbox_store::memory::MemoryStore;

use super::World;
use super::rest::REST_ROUNDS_MAX;
use crate::connection::Outcome;
use crate::model::LifeEnd;
use crate::policy;
use crate::trace;

/// Far above what a run can hold: nobody is held back by it.
const MEMORY_BYTES: usize = 1 << 30;

/// One life of the broker.
pub(super) struct Life {
    pub(super) dispatcher: Dispatcher,
    pub(super) store: Box<MemoryStore>,
    pub(super) inbox: VecDeque<(ConnectionId, Vec<Request>)>,
    pub(super) settings: Arc<SessionSettings>,
    pub(super) budget: Arc<MemoryBudget>,
}

impl World {
    pub(super) fn start(&mut self, end: LifeEnd) {
        let events = Arc::clone(&self.events);
        let sink = move |event| {
            let mut events = events.lock().unwrap_or_else(PoisonError::into_inner);
            events.push_back(event);
        };
        let opened = MemoryStore::open(self.disk.clone(), self.now.wall_ms, Arc::new(sink));
        let (store, recovered) = opened.expect("a disk that is free");
        self.now.uptime = Duration::ZERO;
        self.model.restart(end, &recovered, self.now);
        let wrong = self.plant.wrong_policy();
        let wrong = wrong.map(|(right, wrong)| policy::wrong_config(right, wrong));
        let config = wrong.as_ref().unwrap_or(policy::config());
        let zone_s = i32::try_from(self.plan.zone_s).expect("less than a day");
        let zone = TimeZone::fixed(Offset::from_seconds(zone_s).expect("less than a day"));
        let budget = MemoryBudget::new(MEMORY_BYTES);
        let settings = Settings {
            policies: config.policies.clone(),
            limits: config.limits.clone(),
            client_id: match self.plan.takes_over {
                true => ClientIdPolicy::Takeover,
                false => ClientIdPolicy::Refuse,
            },
            budget: Arc::clone(&budget),
            window: self.plan.window,
            disk: DiskLimits::UNLIMITED,
            zone: zone.clone(),
        };
        let sessions = SessionSettings {
            limits: config.limits.clone(),
            policies: config.policies.clone(),
            heart_beat_min: config.stomp.heart_beat_min,
            instance: recovered.instance.as_str().into(),
            epoch: recovered.epoch,
            budget: Arc::clone(&budget),
            zone: zone.clone(),
        };
        trace::note(|| format!("start: {recovered:?}"));
        self.life = Some(Life {
            dispatcher: Dispatcher::new(settings, &recovered),
            store: Box::new(store),
            inbox: VecDeque::new(),
            settings: Arc::new(sessions),
            budget,
        });
    }

    pub(super) fn life(&mut self) -> &mut Life {
        self.life.as_mut().expect("a broker that runs")
    }

    pub(super) fn crash(&mut self) {
        let pending = self.disk.pending_batches();
        let kept = self.random.below(pending + 1);
        trace::count("crash");
        trace::note(|| format!("crash, {kept} of {pending} batches kept"));
        self.disk.crash_after(kept);
        self.model.committed += kept as u64;
        self.events
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
        self.connections.clear();
        self.visits.clear();
        let life = self.life.take();
        self.model.broker_is_gone();
        self.check_memory(life, None);
        self.wire.broker_crashed();
        self.start(LifeEnd::Crash);
    }

    /// Peers that have shut their side are not waited for longer.
    fn end_half_closed(&mut self) {
        for index in (0..self.connections.len()).rev() {
            if self.connections[index].is_half_closed() {
                self.close(index, Outcome::Gone);
            }
        }
    }

    /// Drops a life, and looks whether anything of it stays.
    fn check_memory(&mut self, life: Option<Life>, last: Option<stompbox_store::Batch>) {
        if let Some(life) = life {
            let Life {
                dispatcher,
                store,
                inbox,
                budget,
                ..
            } = life;
            drop((dispatcher, inbox));
            if let Some(last) = last {
                store.close(last).expect("a clean stop");
            }
            assert_eq!(budget.used_bytes(), 0, "memory that nobody gave back");
        }
    }

    /// A clean stop.
    pub(super) fn stop(&mut self) {
        trace::count("clean stop");
        trace::note(|| "clean stop".to_owned());
        self.end_visits();
        for connection in &mut self.connections {
            connection.stop();
        }
        for round in 0.. {
            assert!(round < REST_ROUNDS_MAX, "a stop that does not end");
            for index in (0..self.connections.len()).rev() {
                self.advance(index);
            }
            let is_read = self.connections.is_empty() && self.life().inbox.is_empty();
            if is_read && self.life().dispatcher.is_quiet() {
                break;
            }
            self.exchange();
            if round > 50 {
                self.end_half_closed();
            }
        }
        let life = self.life();
        assert!(
            life.dispatcher.is_quiet(),
            "deliveries outlive their connections"
        );
        self.turn(usize::MAX, 0);
        let life = self.life.as_mut().expect("a broker that runs");
        let (ticket, last) = life.dispatcher.last_batch();
        trace::note(|| format!("last batch: {last:?}"));
        let pending = self.disk.pending_batches() as u64;
        assert_eq!(ticket.0, self.model.committed + pending + 1);
        self.model.last_batch(&last);
        let life = self.life.take();
        self.check_memory(life, Some(last));
        self.events
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }
}
