//! One run: clients, connections, a dispatcher and a disk, moved one step at a time by a seed.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use stompbox_broker::core::clock::Now;
use stompbox_broker::core::dispatcher::{DiskLimits, Dispatcher, Read, Settings, Turn, Window};
use stompbox_broker::core::memory::MemoryBudget;
use stompbox_broker::core::port::{ConnectionId, Request};
use stompbox_broker::core::schedule::TimeZone;
use stompbox_broker::core::session::SessionSettings;
use stompbox_protocol::Version;
use stompbox_store::memory::{MemoryDisk, MemoryStore};
use stompbox_store::{Store, StoreEvent};

use crate::catalogue::CLIENT_IDS;
use crate::client::{Appetite, Client};
use crate::connection::{Connection, Outcome};
use crate::identity::Identity;
use crate::model::{LifeEnd, Model};
use crate::plant::Plant;
use crate::policy;
use crate::random::Random;
use crate::trace;
use crate::wire::Wire;

/// Far above what a run can hold: nobody is held back by it.
const MEMORY_BYTES: usize = 1 << 30;

/// Steps without progress after which a run that comes to rest is stuck.
const REST_ROUNDS_MAX: usize = 10_000;

type Events = Arc<Mutex<VecDeque<StoreEvent>>>;

/// How a run goes: drawn from its seed.
#[derive(Debug, Clone)]
struct Plan {
    connections_max: usize,
    window: Window,
    /// Of a hundred steps, those that drive the disk.
    disk_share: usize,
    /// Of a thousand steps, those that break a connection.
    loss_share: usize,
    /// Of ten thousand steps, those that shake everything.
    upheaval_share: usize,
    /// Clients send more than they acknowledge.
    appetite: Appetite,
}

impl Plan {
    fn draw(random: &mut Random) -> Self {
        let messages = random.between(4, 24);
        Self {
            connections_max: random.between(1, 5),
            window: Window {
                messages,
                bytes: [600, 4_000, 100_000][random.below(3)],
                page_messages: random.between(1, messages),
                page_bytes: [50, 300, 100_000][random.below(3)],
            },
            disk_share: random.between(1, 30),
            loss_share: [0, 1, 3, 10][random.below(4)],
            upheaval_share: [2, 5, 20][random.below(3)],
            appetite: Appetite::draw(random),
        }
    }
}

/// One life of the broker.
struct Life {
    dispatcher: Dispatcher,
    store: Box<MemoryStore>,
    inbox: VecDeque<(ConnectionId, Vec<Request>)>,
    settings: Arc<SessionSettings>,
    budget: Arc<MemoryBudget>,
}

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
        let mut world = Self {
            random,
            plan,
            plant,
            disk: MemoryDisk::new("sim"),
            events: Arc::default(),
            life: None,
            connections: Vec::new(),
            next_connection: 1,
            model: Model::new(now),
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
            _ => match self.random.below(100) {
                0..24 => self.client_acts(),
                24..42 => self.connection_reads(),
                42..60 => self.connection_writes(),
                60..74 => self.connection_is_replied_to(),
                74..92 => self.some_turn(),
                92..97 => self.time_passes(),
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

    fn start(&mut self, end: LifeEnd) {
        let events = Arc::clone(&self.events);
        let sink = move |event| {
            let mut events = events.lock().unwrap_or_else(PoisonError::into_inner);
            events.push_back(event);
        };
        let opened = MemoryStore::open(self.disk.clone(), self.now.wall_ms, Arc::new(sink));
        let (store, recovered) = opened.expect("a disk that is free");
        self.now.uptime = Duration::ZERO;
        self.model.restart(end, &recovered, self.now);
        let config = policy::config();
        let budget = MemoryBudget::new(MEMORY_BYTES);
        let settings = Settings {
            policies: config.policies.clone(),
            limits: config.limits.clone(),
            client_id: config.stomp.client_id,
            budget: Arc::clone(&budget),
            window: self.plan.window,
            disk: DiskLimits::UNLIMITED,
            zone: TimeZone::UTC,
        };
        let sessions = SessionSettings {
            limits: config.limits.clone(),
            policies: config.policies.clone(),
            heart_beat_min: config.stomp.heart_beat_min,
            instance: recovered.instance.as_str().into(),
            epoch: recovered.epoch,
            budget: Arc::clone(&budget),
            zone: TimeZone::UTC,
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

    fn life(&mut self) -> &mut Life {
        self.life.as_mut().expect("a broker that runs")
    }

    fn any_connection(&mut self) -> Option<usize> {
        let count = self.connections.len();
        (count > 0).then(|| self.random.below(count))
    }

    fn connect(&mut self) {
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

    fn accept(&mut self, client: Client, arriving: Vec<u8>) {
        let id = ConnectionId(self.next_connection);
        self.next_connection += 1;
        let settings = Arc::clone(&self.life().settings);
        self.connections
            .push(Connection::new(id, &settings, client, arriving));
    }

    fn client_acts(&mut self) {
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

    fn connection_reads(&mut self) {
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

    fn connection_writes(&mut self) {
        if let Some(index) = self.any_connection() {
            let most = self.some_size();
            self.write(index, most);
            self.advance(index);
        }
    }

    fn write(&mut self, index: usize, bytes_max: usize) {
        let connection = &mut self.connections[index];
        let bytes = connection.write(bytes_max);
        let (random, wire) = (&mut self.random, &mut self.wire);
        connection
            .client
            .read(&bytes, wire, random, &mut connection.arriving);
    }

    fn connection_is_replied_to(&mut self) {
        if let Some(index) = self.any_connection() {
            let now = self.now;
            self.connections[index].reply(now);
            self.advance(index);
        }
    }

    /// What the connection's task does after every event.
    fn advance(&mut self, index: usize) {
        let now = self.now;
        let connection = &mut self.connections[index];
        let requests = connection.advance(now);
        let (id, outcome) = (connection.id, connection.outcome());
        self.forward(id, requests);
        if let Some(outcome) = outcome {
            self.close(index, outcome);
        }
    }

    fn forward(&mut self, id: ConnectionId, requests: Vec<Request>) {
        if !requests.is_empty() {
            self.life().inbox.push_back((id, requests));
        }
    }

    fn close(&mut self, index: usize, outcome: Outcome) {
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

    fn lose_connection(&mut self) {
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

    fn time_passes(&mut self) {
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

    fn some_turn(&mut self) {
        let events = if self.random.percent(70) {
            usize::MAX
        } else {
            self.random.below(3)
        };
        let requests = self.random.below(6);
        self.turn(events, requests);
    }

    /// One turn of the dispatcher, with at most so much of what waits for it.
    fn turn(&mut self, events_max: usize, requests_max: usize) {
        trace::count("turn");
        let now = self.now;
        trace::note(|| format!("turn at {:?}", now.uptime));
        self.model.begin_turn(now);
        let mut events = Vec::new();
        {
            let mut waiting = self.events.lock().unwrap_or_else(PoisonError::into_inner);
            let count = events_max.min(waiting.len());
            events.extend(waiting.drain(..count));
        }
        let life = self.life.as_mut().expect("a broker that runs");
        for mut event in events {
            match &event {
                StoreEvent::Durable(ticket) => self.model.durable(ticket.0),
                StoreEvent::Page(page) => self.model.page_came(page.id),
                _ => {}
            }
            self.plant.spoil_event(&mut event, &mut self.random);
            trace::note(|| describe(&event));
            life.dispatcher.store_event(event, now);
        }
        for _ in 0..requests_max {
            let Some((id, mut requests)) = life.inbox.pop_front() else {
                break;
            };
            self.model.requests(id, &requests);
            self.plant.spoil_requests(&mut requests, &mut self.random);
            life.dispatcher.handle(id, requests, now);
        }
        let Turn { batch, reads } = life.dispatcher.finish_turn(now);
        let mut replies = Vec::new();
        life.dispatcher
            .drain_replies(|id, turn| replies.push((id, turn)));
        let expected = batch.as_ref().map(|(_, batch)| batch);
        self.model.end_turn(expected, &replies);
        if let Some((ticket, mut batch)) = batch {
            trace::count("batch");
            self.plant.spoil_batch(&mut batch, &mut self.random);
            assert_eq!(life.store.submit(batch), ticket, "tickets are dense");
        }
        for read in reads {
            trace::note(|| format!("  read {read:?}"));
            match read {
                Read::Page(request) => {
                    trace::count("page asked for");
                    life.store.read_page(request);
                }
                Read::Log(request) => {
                    trace::count("log asked for");
                    self.model.log_asked_for(&request);
                    life.store.read_log(request);
                }
                Read::Due(request) => life.store.read_due(request),
                Read::Schedule(request) => life.store.read_schedule(request),
                Read::Duplicates(request) => life.store.read_duplicates(request),
                Read::Expired { now_ms, rows_max } => {
                    trace::count("expired asked for");
                    life.store.read_expired(now_ms, rows_max);
                }
            }
        }
        self.plant.spoil_replies(&mut replies, &mut self.random);
        for (id, replies) in replies {
            if let Some(connection) = self.connections.iter_mut().find(|own| own.id == id) {
                connection.inbox.push_back(replies);
            }
        }
    }

    fn drive_disk(&mut self) {
        match self.random.below(4) {
            0 | 1 => {
                let most = if self.random.percent(50) {
                    usize::MAX
                } else {
                    self.random.between(1, 3)
                };
                self.commit(most);
            }
            2 => {
                let index = self.random.below(self.disk.pending_reads());
                self.disk.begin_read(index);
            }
            _ => {
                let index = self.random.below(self.disk.pending_reads());
                if self.disk.finish_read(index) {
                    trace::count("read answered");
                }
            }
        }
    }

    fn commit(&mut self, batches_max: usize) {
        let count = self.disk.commit(batches_max);
        if count > 0 {
            trace::count("commit");
            self.model.committed += count as u64;
            trace::note(|| format!("committed up to {}", self.model.committed));
        }
    }

    fn crash(&mut self) {
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
        let life = self.life.take();
        self.check_memory(life, None);
        self.wire.broker_crashed();
        self.start(LifeEnd::Crash);
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
    fn stop(&mut self) {
        trace::count("clean stop");
        trace::note(|| "clean stop".to_owned());
        for connection in &mut self.connections {
            connection.stop();
        }
        for round in 0.. {
            assert!(round < REST_ROUNDS_MAX, "a stop that does not end");
            for index in (0..self.connections.len()).rev() {
                self.advance(index);
            }
            if self.connections.is_empty() && self.life().inbox.is_empty() {
                break;
            }
            self.exchange();
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

    /// Everybody does what there is to do once.
    fn exchange(&mut self) {
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
        self.turn(usize::MAX, usize::MAX);
        self.commit(usize::MAX);
        while self.disk.finish_read(0) {}
    }

    /// Whether nothing is under way.
    fn is_idle(&mut self) -> bool {
        let is_done = self.connections.iter().all(Connection::is_idle)
            && self.life().inbox.is_empty()
            && self.disk.pending_batches() == 0
            && self.disk.pending_reads() == 0;
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        is_done && events.is_empty()
    }

    /// Lets everything happen that is under way, then looks whether anybody is forgotten.
    fn come_to_rest(&mut self) {
        for round in 0.. {
            assert!(round < REST_ROUNDS_MAX, "the broker does not come to rest");
            self.exchange();
            if self.is_idle() {
                break;
            }
        }
        for connection in &self.connections {
            assert!(
                !connection.client.is_owed() || !connection.listens(),
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
    fn drain(&mut self) {
        trace::note(|| "drain".to_owned());
        for index in (0..self.connections.len()).rev() {
            self.close(index, Outcome::Gone);
        }
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
            connection.client.delete_all(&mut connection.arriving);
        }
        self.come_to_rest();
        let left = self.model.left();
        assert_eq!(left, 0, "left behind: {:#?}", self.model.leftovers());
        let overview = self.life().dispatcher.overview();
        assert_eq!((overview.depth, overview.in_flight), (0, 0), "{overview:?}");
        assert!(self.disk.tallies().is_empty(), "{:?}", self.disk.tallies());
        let logs = self.disk.log_tallies();
        assert!(logs.is_empty(), "{logs:?}");
    }
}

fn describe(event: &StoreEvent) -> String {
    match event {
        StoreEvent::Page(page) => {
            let rows: Vec<_> = page.rows.iter().map(|row| row.sequence.counter()).collect();
            let exhausted = page.exhausted;
            format!("  page {:?}: {rows:?}, exhausted {exhausted}", page.id)
        }
        event => format!("  event {event:?}"),
    }
}
