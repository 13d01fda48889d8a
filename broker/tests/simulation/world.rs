//! One run: clients, connections, a dispatcher and a disk, moved one step at a time by a seed.

mod console;
mod life;
mod plan;
mod rest;
mod traffic;
mod turn;
mod visit;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use stompbox_broker::core::clock::Now;
use stompbox_store::StoreEvent;
use stompbox_store::memory::MemoryDisk;

use crate::connection::Connection;
use crate::model::{FIRST_VISIT, LifeEnd, Model};
use crate::plant::Plant;
use crate::random::Random;
use crate::trace;
use crate::wire::Wire;
use life::Life;
use plan::Plan;
use visit::Visit;

type Events = Arc<Mutex<VecDeque<StoreEvent>>>;

/// See the module.
pub(crate) struct World {
    random: Random,
    plan: Plan,
    plant: Plant,
    disk: MemoryDisk,
    events: Events,
    life: Option<Life>,
    connections: Vec<Connection>,
    next_connection: u64,
    visits: Vec<Visit>,
    next_visit: u64,
    model: Model,
    wire: Wire,
    now: Now,
    steps: u64,
}

impl World {
    pub(crate) fn new(seed: u64, plant: Plant) -> Self {
        let mut random = Random::new(seed);
        let plan = Plan::draw(&mut random);
        trace::note(|| format!("seed {seed}: {plan:?}"));
        let now = Now {
            wall_ms: 1_700_000_000_000,
            uptime: Duration::ZERO,
        };
        let (zone_s, takes_over) = (plan.zone_s, plan.takes_over);
        let mut world = Self {
            random,
            plan,
            plant,
            disk: MemoryDisk::new("sim"),
            events: Arc::default(),
            life: None,
            connections: Vec::new(),
            next_connection: 1,
            visits: Vec::new(),
            next_visit: FIRST_VISIT,
            model: Model::new(now).in_zone(zone_s).with_take_over(takes_over),
            wire: Wire::default(),
            now,
            steps: 0,
        };
        world.start(LifeEnd::Clean);
        world
    }

    /// Runs so many steps, then takes everything out of the broker.
    pub(crate) fn run(mut self, steps: u64) -> u64 {
        for _ in 0..steps {
            self.step();
        }
        self.drain();
        self.stop();
        self.wire.check_end();
        self.steps
    }

    fn step(&mut self) {
        self.steps += 1;
        let disk_share = self.plan.disk_share;
        match self.random.below(100) {
            _ if self.random.below(10_000) < self.plan.upheaval_share => self.upheaval(),
            _ if self.random.in_thousand(self.plan.loss_share) => self.lose_connection(),
            share if share < disk_share => self.drive_disk(),
            _ if !self.visits.is_empty() && self.random.percent(20) => self.some_visit_acts(),
            _ => match self.random.below(100) {
                0..24 => self.client_acts(),
                24..42 => self.connection_reads(),
                42..60 => self.connection_writes(),
                60..74 => self.connection_is_replied_to(),
                74..92 => self.some_turn(),
                92..97 => self.time_passes(),
                97 if self.random.percent(50) => self.console_acts(),
                _ => self.connect(),
            },
        }
        if self.steps.is_multiple_of(97)
            && let Some(life) = &self.life
        {
            self.model.check_views(&life.dispatcher);
            self.model.check_tallies(&self.disk.tallies());
        }
    }

    /// What happens rarely.
    fn upheaval(&mut self) {
        match self.random.below(10) {
            0..3 => self.crash(),
            3 => {
                self.stop();
                self.start(LifeEnd::Clean);
            }
            _ => {
                trace::count("rest");
                self.come_to_rest();
            }
        }
    }

    fn time_passes(&mut self) {
        if self.plan.leaps && self.random.in_thousand(20) {
            let ms = self.random.between(5_000, 70_000);
            trace::count("time leaps");
            trace::note(|| format!("{ms} ms pass"));
            return self.pass(ms);
        }
        let ms = match self.random.below(10) {
            0..4 => self.random.between(1, 20),
            4..9 => self.random.between(1, 500),
            _ => self.random.between(500, 4_000),
        };
        trace::note(|| format!("{ms} ms pass"));
        self.pass(ms);
    }

    fn pass(&mut self, ms: usize) {
        self.now.wall_ms += ms as i64;
        self.now.uptime += Duration::from_millis(ms as u64);
    }
}
