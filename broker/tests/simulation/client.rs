//! A client: it writes frames at random, reads what comes, and remembers what it is owed.

mod acknowledge;
mod appetite;
mod draft;
mod lasting;
mod manage;
mod prefetch;
mod receive;
mod send;
mod subscribe;
mod unnamed;

pub(crate) use appetite::Appetite;

use std::collections::{HashMap, HashSet};

use stompbox_protocol::{Command, Decoder, Limits, Role, Version, encode};

use crate::identity::Identity;
use crate::random::Random;
use crate::trace;
use crate::wire::{Delivered, MessageId, Wire};
use draft::Draft;
use prefetch::Limit;

/// What an answer means.
#[derive(Debug)]
enum Asked {
    Nothing,
    Sent(Vec<MessageId>),
    Done(Vec<Delivered>),
    Committed(Vec<MessageId>, Vec<Delivered>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Auto,
    Client,
    Individual,
}

impl Mode {
    fn any(random: &mut Random) -> Self {
        [Mode::Auto, Mode::Client, Mode::Individual][random.below(3)]
    }
}

/// A MESSAGE that is to be acknowledged.
#[derive(Debug, Clone)]
struct Got {
    delivered: Delivered,
    message_id: String,
    ack: Option<String>,
    body_bytes: usize,
    /// Counts what the client has got.
    turn: usize,
    /// Whether no other delivery can have the same `message-id`.
    is_only_copy: bool,
    /// Whether it may be taken back while the client holds it.
    may_time_out: bool,
}

#[derive(Debug)]
struct Subscription {
    id: String,
    mode: Mode,
    limit: Limit,
    open: Vec<Got>,
}

#[derive(Debug, Default)]
struct Transaction {
    id: String,
    sends: Vec<MessageId>,
    acks: Vec<Delivered>,
    /// Whether a queue may be too full for it.
    may_be_refused: bool,
}

/// Where a client stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Connecting,
    Open,
    Leaving,
    Refused,
}

/// See the module.
pub(crate) struct Client {
    pub(crate) stage: Stage,
    pub(crate) version: Version,
    name: u64,
    appetite: Appetite,
    decoder: Decoder,
    subscriptions: Vec<Subscription>,
    transactions: Vec<Transaction>,
    /// What was acknowledged before, by the subscription's id.
    stale: Vec<(String, Got)>,
    /// What was open when its subscription ended: where UNSUBSCRIBE is held back, an ACK passes it and may mean that.
    given_up: HashSet<String>,
    /// Temporary destinations of others.
    answers: Vec<String>,
    received: usize,
    /// Subscriptions that browse, or did.
    browsers: HashSet<String>,
    client_id: Option<&'static str>,
    /// Durable and shared subscriptions that it has, or had, by the SUBSCRIBE's id.
    lasting: HashMap<String, Identity>,
    /// Subscriptions without `id` that it has, or had: what it calls them itself, by destination.
    unnamed: HashMap<String, String>,
    owed: HashMap<String, Asked>,
    next: usize,
    may_be_refused: bool,
    /// Whether it has heard a topic that ends the connection of a slow subscriber.
    may_be_cut: bool,
    /// Takes everything and acknowledges it at once.
    is_draining: bool,
}

impl Client {
    pub(crate) fn new(
        name: u64,
        version: Version,
        client_id: Option<&'static str>,
        appetite: &Appetite,
        wire: &mut Vec<u8>,
    ) -> Self {
        let mut client = Self {
            appetite: appetite.clone(),
            stage: Stage::Connecting,
            version,
            name,
            decoder: Decoder::new(Role::Client, Limits::default()),
            subscriptions: Vec::new(),
            transactions: Vec::new(),
            stale: Vec::new(),
            given_up: HashSet::new(),
            answers: Vec::new(),
            received: 0,
            browsers: HashSet::new(),
            client_id,
            lasting: HashMap::new(),
            unnamed: HashMap::new(),
            owed: HashMap::new(),
            next: 0,
            may_be_refused: client_id.is_some(),
            may_be_cut: false,
            is_draining: false,
        };
        let mut connect = Draft::new(Command::Connect).with("accept-version", version.as_str());
        if let Some(client_id) = client_id {
            trace::count("op: CONNECT client-id");
            connect = connect.with("client-id", client_id);
        }
        client.write(connect, wire);
        client
    }

    /// A client that takes everything and acknowledges it at once: of all queues, and of these durable subscriptions.
    pub(crate) fn drain(
        name: u64,
        client_id: Option<&'static str>,
        durable: &[(Identity, Option<&'static str>)],
        appetite: &Appetite,
        wire: &mut Vec<u8>,
    ) -> Self {
        let mut client = Self::new(name, Version::V1_2, client_id, appetite, wire);
        client.is_draining = true;
        client.subscribe_to_all(wire);
        for (identity, selector) in durable {
            client.take_up(identity, *selector, wire);
        }
        client
    }

    /// Whether it still waits for an answer.
    pub(crate) fn is_owed(&self) -> bool {
        !self.owed.is_empty()
    }

    /// The answers that it waits for.
    pub(crate) fn owed(&self) -> Vec<&String> {
        self.owed.keys().collect()
    }

    fn fresh(&mut self, what: &str) -> String {
        self.next += 1;
        format!("{what}{}-{}", self.name, self.next)
    }

    fn write(&mut self, draft: Draft, wire: &mut Vec<u8>) {
        trace::note(|| {
            let body = draft.body.len();
            format!(
                "client {}: {} {:?} +{body}",
                self.name, draft.command, draft.headers
            )
        });
        let headers: Vec<(&[u8], &[u8])> = draft
            .headers
            .iter()
            .map(|(name, value)| (name.as_bytes(), value.as_bytes()))
            .collect();
        encode::frame(wire, self.version, draft.command, &headers, &draft.body);
    }

    fn ask(&mut self, draft: Draft, asked: Asked, random: &mut Random) -> Draft {
        if !random.percent(self.appetite.receipt) {
            return draft;
        }
        self.ask_always(draft, asked)
    }

    fn ask_always(&mut self, draft: Draft, asked: Asked) -> Draft {
        let receipt = self.fresh("r");
        self.owed.insert(receipt.clone(), asked);
        draft.with("receipt", receipt)
    }

    /// Does something at random.
    pub(crate) fn act(
        &mut self,
        random: &mut Random,
        now_ms: i64,
        judge: &mut Wire,
        wire: &mut Vec<u8>,
    ) {
        if self.stage != Stage::Open {
            return;
        }
        let wants = self.appetite.clone();
        let mut dice = random.below(1_200);
        let mut falls = |share: usize| {
            let is_it = dice < share;
            dice = dice.wrapping_sub(share);
            is_it
        };
        if falls(wants.send) {
            self.send(random, now_ms, judge, wire);
        } else if falls(wants.acknowledge) {
            self.acknowledge(random, wire);
        } else if falls(wants.subscribe) {
            self.subscribe(random, wire);
        } else if falls(wants.unsubscribe) {
            self.unsubscribe(random, wire);
        } else if falls(wants.delete) {
            self.delete_unused(random, wire);
        } else if falls(wants.manage) {
            self.manage(random, now_ms, judge, wire);
        } else if falls(wants.transact) {
            if random.percent(50) {
                self.begin(random, wire);
            } else {
                self.end(random, wire);
            }
        } else if falls(20) {
            self.acknowledge_stale(random, wire);
        } else if falls(wants.leave) {
            self.disconnect(random, wire);
        } else if random.percent(1) {
            self.blunder(random, wire);
        } else {
            trace::count("op: heart-beat");
            wire.push(b'\n');
        }
    }

    fn begin(&mut self, random: &mut Random, wire: &mut Vec<u8>) {
        if self.transactions.len() >= 3 {
            return;
        }
        trace::count("op: BEGIN");
        let id = self.fresh("t");
        self.transactions.push(Transaction {
            id: id.clone(),
            ..Transaction::default()
        });
        let draft = Draft::new(Command::Begin).with("transaction", id);
        let draft = self.ask(draft, Asked::Nothing, random);
        self.write(draft, wire);
    }

    fn end(&mut self, random: &mut Random, wire: &mut Vec<u8>) {
        if self.transactions.is_empty() {
            return;
        }
        let at = random.below(self.transactions.len());
        let ended = self.transactions.remove(at);
        let (command, asked) = if random.percent(70) {
            trace::count("op: COMMIT");
            (Command::Commit, Asked::Committed(ended.sends, ended.acks))
        } else {
            trace::count("op: ABORT");
            (Command::Abort, Asked::Nothing)
        };
        let draft = Draft::new(command).with("transaction", ended.id);
        let draft = match ended.may_be_refused && command == Command::Commit {
            true => self.ask_always(draft, asked),
            false => self.ask(draft, asked, random),
        };
        self.write(draft, wire);
    }

    fn disconnect(&mut self, random: &mut Random, wire: &mut Vec<u8>) {
        trace::count("op: DISCONNECT");
        self.stage = Stage::Leaving;
        let draft = self.ask(Draft::new(Command::Disconnect), Asked::Nothing, random);
        self.write(draft, wire);
    }

    /// What ends in an ERROR.
    fn blunder(&mut self, random: &mut Random, wire: &mut Vec<u8>) {
        trace::count("op: blunder");
        self.may_be_refused = true;
        let draft = match random.below(9) {
            0 => Draft::new(Command::Send),
            1 => Draft::new(Command::Commit).with("transaction", "none"),
            2 => Draft::new(Command::Connect).with("accept-version", "1.2"),
            3 => Draft::new(Command::Send).with("destination", "/queue/>"),
            4 => Draft::new(Command::Subscribe)
                .with("destination", "/queue/*")
                .with("id", "b")
                .with("browser", "true"),
            5 => Draft::new(Command::Subscribe)
                .with("destination", "/queue/eager")
                .with("id", "b")
                .with("selector", "colour = "),
            6 => Draft::new(Command::Subscribe)
                .with("destination", "/remote-temp-queue/somebody-elses")
                .with("id", "b"),
            7 => Draft::new(Command::Subscribe)
                .with("destination", "/topic/prices.*,/queue/eager")
                .with("id", "b")
                .with("durable-subscription-name", "wine")
                .with("x-shared", "true"),
            _ => Draft::new(Command::Subscribe).with("destination", "/queue/a..b"),
        };
        self.write(draft, wire);
    }
}
