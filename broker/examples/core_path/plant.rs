//! The broker without sockets, threads and disk: connections' decoders and sessions around a dispatcher, moved by hand.
//!
//! *Invariant*: everything that a turn does is the broker's own work; what kernel and clients do is done between two.

use std::sync::Arc;
use std::time::Duration;

use bytes::BufMut;
use stompbox_broker::config::Config;
use stompbox_broker::core::clock::Now;
use stompbox_broker::core::dispatcher::{DiskLimits, Dispatcher, Settings, Turn, Window};
use stompbox_broker::core::memory::MemoryBudget;
use stompbox_broker::core::port::{ConnectionId, Reply, Request};
use stompbox_broker::core::schedule::TimeZone;
use stompbox_broker::core::session::{OutputBuffer, Session, SessionSettings};
use stompbox_protocol::{Command, Decoder, InputRef, Limits, Role};
use stompbox_store::StoreEvent;
use stompbox_store::memory::{MemoryDisk, MemoryStore};

/// Far above what is ever on its way: nobody is held back by it.
const MEMORY_BYTES: usize = 1 << 30;

const NOW: Now = Now {
    wall_ms: 1_700_000_000_000,
    uptime: Duration::from_secs(1),
};

/// One connection, with what the wire holds in either direction.
pub(crate) struct Side {
    session: Session,
    decoder: Decoder,
    buffer: OutputBuffer,
    waiting: Vec<Vec<Reply>>,
    /// How much of the output the kernel has taken that the broker has not been told of.
    taken_bytes: usize,
    /// Written by the client, not yet read.
    pub(crate) arriving: Vec<u8>,
    /// Written by the broker, not yet looked at.
    pub(crate) told: Vec<u8>,
}

impl Side {
    /// The kernel takes everything, and as much comes as one read brings.
    fn exchange(&mut self) {
        let before = self.told.len();
        for piece in self.buffer.unwritten() {
            self.told.extend_from_slice(piece);
        }
        self.taken_bytes = self.told.len() - before;
        if !self.arriving.is_empty() {
            let mut space = self.decoder.read_space();
            let count = self.arriving.len().min(space.remaining_mut());
            space.put_slice(&self.arriving[..count]);
            self.arriving.drain(..count);
        }
    }

    /// What came of the last exchange, for the dispatcher.
    fn read(&mut self) -> Vec<Request> {
        self.buffer.advance(std::mem::take(&mut self.taken_bytes));
        while self.session.takes_input(&self.buffer.output)
            && let Some(input) = self.decoder.next_ref().expect("legal frames")
        {
            if let InputRef::Frame(frame) = input {
                self.session.frame(&frame, NOW, &mut self.buffer.output);
                if frame.command() == Command::Connect
                    && let Some(version) = self.session.version()
                {
                    self.decoder.set_version(version);
                }
            }
        }
        std::mem::take(&mut self.buffer.output.requests)
    }

    /// Replies become bytes.
    fn write(&mut self) {
        let was_open = self.session.is_open();
        for reply in self.waiting.drain(..).flatten() {
            self.session.reply(reply, NOW, &mut self.buffer.output);
        }
        if !was_open && self.session.is_open() {
            self.decoder.authenticated();
        }
    }
}

/// See the module.
pub(crate) struct Plant {
    dispatcher: Dispatcher,
    settings: Arc<SessionSettings>,
    pub(crate) sides: Vec<Side>,
}

impl Plant {
    /// A broker with the default configuration and nothing stored.
    pub(crate) fn new() -> Self {
        let config = Config::default();
        let budget = MemoryBudget::new(MEMORY_BYTES);
        let sink = Arc::new(drop);
        let opened = MemoryStore::open(MemoryDisk::new("plant"), NOW.wall_ms, sink);
        let (_, recovered) = opened.expect("a disk that is free");
        let settings = Settings {
            policies: config.policies.clone(),
            limits: config.limits.clone(),
            client_id: config.stomp.client_id,
            budget: Arc::clone(&budget),
            window: Window::default(),
            disk: DiskLimits::UNLIMITED,
            zone: TimeZone::UTC,
        };
        let sessions = SessionSettings {
            limits: config.limits,
            policies: config.policies,
            heart_beat_min: config.stomp.heart_beat_min,
            instance: recovered.instance.as_str().into(),
            epoch: recovered.epoch,
            budget,
            zone: TimeZone::UTC,
        };
        Self {
            dispatcher: Dispatcher::new(settings, &recovered),
            settings: Arc::new(sessions),
            sides: Vec::new(),
        }
    }

    /// A connection whose client begins with these frames. Returns its place among the sides.
    pub(crate) fn connect(&mut self, frames: &[u8]) -> usize {
        let number = self.sides.len() as u64;
        let settings = Arc::clone(&self.settings);
        self.sides.push(Side {
            session: Session::new(settings, number, 1, "plant".to_owned()),
            decoder: Decoder::new(Role::Server, Limits::default()),
            buffer: OutputBuffer::default(),
            waiting: Vec::new(),
            taken_bytes: 0,
            arriving: frames.to_vec(),
            told: Vec::new(),
        });
        self.sides.len() - 1
    }

    /// What kernel and wire do between two turns.
    pub(crate) fn exchange(&mut self) {
        for side in &mut self.sides {
            side.exchange();
        }
    }

    /// Every connection decodes what it has read, the dispatcher takes a turn, every connection writes what came of
    /// it. The disk is done at once.
    pub(crate) fn turn(&mut self) {
        for (index, side) in self.sides.iter_mut().enumerate() {
            let requests = side.read();
            if !requests.is_empty() {
                self.dispatcher
                    .handle(ConnectionId(index as u64), requests, NOW);
            }
        }
        let Turn { batch, reads } = self.dispatcher.finish_turn(NOW);
        assert!(reads.is_empty(), "nothing is stored that could be read");
        let sides = &mut self.sides;
        let mut hand_out = |connection: ConnectionId, replies| {
            sides[connection.0 as usize].waiting.push(replies);
        };
        self.dispatcher.drain_replies(&mut hand_out);
        if let Some((ticket, batch)) = batch {
            drop(batch);
            let event = StoreEvent::Durable(ticket);
            self.dispatcher.store_event(event, NOW);
            self.dispatcher.drain_replies(&mut hand_out);
        }
        for side in sides {
            side.write();
        }
    }
}
