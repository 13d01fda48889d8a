//! A client: it writes frames at random, reads what comes, and remembers what it is owed.

use std::collections::HashMap;

use stompbox_protocol::{Command, Decoder, Frame, Input, Limits, Role, Version, encode};

use crate::policy::{DEAD_LETTER_QUEUES, QUEUES};
use crate::random::Random;
use crate::trace;
use crate::wire::{Delivered, MessageId, Place, Sent, Wire};

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

/// A MESSAGE that is to be acknowledged.
#[derive(Debug, Clone)]
struct Got {
    delivered: Delivered,
    message_id: String,
    ack: Option<String>,
}

#[derive(Debug)]
struct Subscription {
    id: String,
    mode: Mode,
    open: Vec<Got>,
}

#[derive(Debug, Default)]
struct Transaction {
    id: String,
    sends: Vec<MessageId>,
    acks: Vec<Delivered>,
}

/// Where a client stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Connecting,
    Open,
    Leaving,
    Refused,
}

/// What a run's clients do most. Shares of a thousand.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Appetite {
    send: usize,
    acknowledge: usize,
    subscribe: usize,
    unsubscribe: usize,
    transact: usize,
    leave: usize,
    /// Of a hundred messages, those that expire.
    expiry: usize,
    /// Of a hundred acknowledgements, those that are NACKs.
    nack: usize,
    /// Of a hundred subscriptions, those of dead letters.
    dead_letters: usize,
    /// Of a hundred frames, those that ask for a receipt.
    receipt: usize,
}

impl Appetite {
    pub(crate) fn draw(random: &mut Random) -> Self {
        let mut pick = |choices: [usize; 3]| choices[random.below(3)];
        Self {
            send: pick([250, 350, 500]),
            acknowledge: pick([200, 350, 500]),
            subscribe: pick([20, 60, 120]),
            unsubscribe: pick([2, 15, 60]),
            transact: pick([0, 80, 200]),
            leave: pick([0, 1, 10]),
            expiry: pick([0, 12, 50]),
            nack: pick([5, 35, 70]),
            dead_letters: pick([5, 20, 50]),
            receipt: pick([10, 45, 90]),
        }
    }

    fn everyday() -> Self {
        Self {
            send: 1,
            acknowledge: 1,
            subscribe: 1,
            unsubscribe: 1,
            transact: 1,
            leave: 1,
            expiry: 0,
            nack: 0,
            dead_letters: 0,
            receipt: 50,
        }
    }
}

/// One word of an acknowledgement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    Ack,
    Nack,
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
    owed: HashMap<String, Asked>,
    next: usize,
    may_be_refused: bool,
    /// Takes everything and acknowledges it at once.
    is_draining: bool,
}

/// A frame in the making.
struct Draft {
    command: Command,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Draft {
    fn new(command: Command) -> Self {
        Self {
            command,
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }
}

impl Client {
    pub(crate) fn new(name: u64, version: Version, appetite: Appetite, wire: &mut Vec<u8>) -> Self {
        let mut client = Self {
            appetite,
            stage: Stage::Connecting,
            version,
            name,
            decoder: Decoder::new(Role::Client, Limits::default()),
            subscriptions: Vec::new(),
            transactions: Vec::new(),
            stale: Vec::new(),
            owed: HashMap::new(),
            next: 0,
            may_be_refused: false,
            is_draining: false,
        };
        let connect = Draft::new(Command::Connect).with("accept-version", version.as_str());
        client.write(connect, wire);
        client
    }

    /// A client that takes everything and acknowledges it at once.
    pub(crate) fn drain(name: u64, wire: &mut Vec<u8>) -> Self {
        let mut client = Self::new(name, Version::V1_2, Appetite::everyday(), wire);
        client.is_draining = true;
        for queue in QUEUES.iter().chain(&DEAD_LETTER_QUEUES) {
            client.subscribe_to(queue, Mode::Individual, 5, wire);
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
        let wants = self.appetite;
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

    fn send(&mut self, random: &mut Random, now_ms: i64, judge: &mut Wire, wire: &mut Vec<u8>) {
        let is_persistent = random.percent(70);
        let may_expire = random.percent(self.appetite.expiry);
        let body_bytes = if random.in_thousand(5) {
            9_000
        } else {
            random.between(8, 90)
        };
        let sent = Sent {
            queue: QUEUES[random.below(QUEUES.len())],
            priority: random.percent(30).then(|| random.below(10) as u8),
            is_persistent,
            may_expire,
            body_bytes,
        };
        let message = judge.register(sent.clone());
        let mut body = message.0.to_le_bytes().to_vec();
        body.resize(body_bytes, 0);
        let mut draft = Draft::new(Command::Send)
            .with("destination", format!("/queue/{}", sent.queue))
            .with("x-id", message.0);
        draft.body = body;
        if !is_persistent || random.percent(20) {
            draft = draft.with("persistent", is_persistent);
        }
        if let Some(priority) = sent.priority {
            draft = draft.with("priority", priority);
        }
        if may_expire {
            draft = match random.below(3) {
                0 => draft.with("ttl", random.between(1, 3_000)),
                1 => draft.with("expiration", random.between(1, 800)),
                _ => draft.with("expires", now_ms + random.below(2_000) as i64 - 100),
            };
        }
        let index = random.below(self.transactions.len() * 2 + 1);
        trace::count(if is_persistent {
            "op: SEND persistent"
        } else {
            "op: SEND non-persistent"
        });
        let draft = match self.transactions.get_mut(index) {
            Some(transaction) => {
                trace::count("op: SEND in a transaction");
                transaction.sends.push(message);
                let draft = draft.with("transaction", &transaction.id);
                self.ask(draft, Asked::Nothing, random)
            }
            None => self.ask(draft, Asked::Sent(vec![message]), random),
        };
        self.write(draft, wire);
    }

    fn acknowledge(&mut self, random: &mut Random, wire: &mut Vec<u8>) {
        let first = random.below(self.subscriptions.len());
        let count = self.subscriptions.len();
        let Some(at) = (0..count)
            .map(|offset| (first + offset) % count)
            .find(|at| !self.subscriptions[*at].open.is_empty())
        else {
            return;
        };
        let index = if random.percent(50) {
            0
        } else {
            random.below(self.subscriptions[at].open.len())
        };
        let may_nack = self.version != Version::V1_0;
        let word = if may_nack && random.percent(self.appetite.nack) {
            Word::Nack
        } else {
            Word::Ack
        };
        let transaction = random.below(self.transactions.len() * 2 + 1);
        self.acknowledge_one(at, index, word, transaction, random, wire);
    }

    fn acknowledge_one(
        &mut self,
        at: usize,
        index: usize,
        word: Word,
        transaction: usize,
        random: &mut Random,
        wire: &mut Vec<u8>,
    ) {
        let subscription = &mut self.subscriptions[at];
        let id = subscription.id.clone();
        let covered: Vec<Got> = match subscription.mode {
            Mode::Client => subscription.open.drain(..=index).collect(),
            Mode::Auto | Mode::Individual => vec![subscription.open.remove(index)],
        };
        let Some(named) = covered.last().cloned() else {
            return;
        };
        if covered.len() > 1 {
            trace::count("op: cumulative");
        }
        let mut draft = self.acknowledgement(word, &id, &named, random);
        if word == Word::Nack {
            trace::count("op: NACK");
            draft = match random.below(10) {
                0..3 => draft.with("x-delay", random.below(1_500)),
                3 => {
                    trace::count("op: NACK requeue:false");
                    draft.with("requeue", "false")
                }
                _ => draft,
            };
        } else {
            trace::count("op: ACK");
        }
        let acks: Vec<Delivered> = match word {
            Word::Ack => covered.iter().map(|got| got.delivered).collect(),
            Word::Nack => Vec::new(),
        };
        let draft = match self.transactions.get_mut(transaction) {
            Some(open) => {
                trace::count("op: ACK or NACK in a transaction");
                open.acks.extend(acks);
                let draft = draft.with("transaction", &open.id);
                if self.version == Version::V1_2 {
                    self.stale.push((id, named));
                }
                self.ask(draft, Asked::Nothing, random)
            }
            None => {
                // Before 1.2 the name of a delivery that came back is that of the next one, too.
                if self.version == Version::V1_2 || word == Word::Ack {
                    self.stale.push((id, named));
                }
                self.ask(draft, Asked::Done(acks), random)
            }
        };
        self.write(draft, wire);
    }

    fn acknowledgement(&self, word: Word, id: &str, got: &Got, random: &mut Random) -> Draft {
        let draft = Draft::new(match word {
            Word::Ack => Command::Ack,
            Word::Nack => Command::Nack,
        });
        match (self.version, &got.ack) {
            (Version::V1_2, Some(ack)) => draft.with("id", ack),
            (Version::V1_1, _) => draft
                .with("message-id", &got.message_id)
                .with("subscription", id),
            _ if random.percent(50) => draft
                .with("subscription", id)
                .with("message-id", &got.message_id),
            _ => draft.with("message-id", &got.message_id),
        }
    }

    fn acknowledge_stale(&mut self, random: &mut Random, wire: &mut Vec<u8>) {
        let Some((id, got)) = self.stale.get(random.below(self.stale.len())).cloned() else {
            return;
        };
        let is_live = self.subscriptions.iter().any(|live| live.id == id);
        if self.version != Version::V1_2 && !is_live {
            return;
        }
        trace::count("op: stale ACK");
        let mut draft = self.acknowledgement(Word::Ack, &id, &got, random);
        if random.percent(5) {
            let receipt = self.fresh("stale");
            draft = draft.with("receipt", receipt);
            self.may_be_refused = true;
        }
        self.write(draft, wire);
    }

    fn subscribe(&mut self, random: &mut Random, wire: &mut Vec<u8>) {
        if self.subscriptions.len() >= 4 {
            return;
        }
        let queue = if random.percent(self.appetite.dead_letters) {
            DEAD_LETTER_QUEUES[random.below(DEAD_LETTER_QUEUES.len())]
        } else {
            QUEUES[random.below(QUEUES.len())]
        };
        let mode = [Mode::Auto, Mode::Client, Mode::Individual][random.below(3)];
        let prefetch = random.between(1, 5);
        let draft = self.subscription(queue, mode, prefetch);
        let draft = self.ask(draft, Asked::Nothing, random);
        self.write(draft, wire);
    }

    fn subscribe_to(&mut self, queue: &str, mode: Mode, prefetch: usize, wire: &mut Vec<u8>) {
        let draft = self.subscription(queue, mode, prefetch);
        self.write(draft, wire);
    }

    fn subscription(&mut self, queue: &str, mode: Mode, prefetch: usize) -> Draft {
        trace::count("op: SUBSCRIBE");
        let id = self.fresh("s");
        let word = match mode {
            Mode::Auto => "auto",
            Mode::Client => "client",
            Mode::Individual => "client-individual",
        };
        let draft = Draft::new(Command::Subscribe)
            .with("destination", format!("/queue/{queue}"))
            .with("id", &id)
            .with("ack", word)
            .with("activemq.prefetchSize", prefetch);
        self.subscriptions.push(Subscription {
            id,
            mode,
            open: Vec::new(),
        });
        draft
    }

    fn unsubscribe(&mut self, random: &mut Random, wire: &mut Vec<u8>) {
        if self.subscriptions.is_empty() {
            return;
        }
        trace::count("op: UNSUBSCRIBE");
        let at = random.below(self.subscriptions.len());
        let gone = self.subscriptions.remove(at);
        let draft = Draft::new(Command::Unsubscribe).with("id", &gone.id);
        let open = gone.open.into_iter().map(|got| (gone.id.clone(), got));
        if self.version == Version::V1_2 {
            self.stale.extend(open);
        }
        let draft = self.ask(draft, Asked::Nothing, random);
        self.write(draft, wire);
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
        let draft = self.ask(draft, asked, random);
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
        let draft = match random.below(4) {
            0 => Draft::new(Command::Send),
            1 => Draft::new(Command::Commit).with("transaction", "none"),
            2 => Draft::new(Command::Connect).with("accept-version", "1.2"),
            _ => Draft::new(Command::Subscribe).with("destination", "/queue/a..b"),
        };
        self.write(draft, wire);
    }

    /// Bytes have come.
    pub(crate) fn read(
        &mut self,
        bytes: &[u8],
        judge: &mut Wire,
        random: &mut Random,
        wire: &mut Vec<u8>,
    ) {
        self.decoder.extend(bytes);
        loop {
            match self.decoder.next_input() {
                Ok(Some(Input::Frame(frame))) => self.frame(&frame, judge, random, wire),
                Ok(Some(Input::HeartBeat)) => {}
                Ok(None) => return,
                Err(error) => panic!("client {} cannot read the broker: {error}", self.name),
            }
        }
    }

    fn frame(&mut self, frame: &Frame, judge: &mut Wire, random: &mut Random, wire: &mut Vec<u8>) {
        trace::note(|| {
            let headers: Vec<_> = frame
                .headers()
                .map(|header| {
                    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
                    format!("{}:{}", text(header.name), text(header.value))
                })
                .collect();
            format!("client {}: got {} {headers:?}", self.name, frame.command())
        });
        assert_ne!(self.stage, Stage::Refused, "a frame came behind ERROR");
        match frame.command() {
            Command::Connected => {
                assert_eq!(self.stage, Stage::Connecting);
                assert_eq!(
                    frame.text("version").as_deref(),
                    Some(self.version.as_str())
                );
                self.decoder.set_version(self.version);
                self.decoder.authenticated();
                self.stage = Stage::Open;
            }
            Command::Message => self.message(frame, judge, random, wire),
            Command::Receipt => self.receipt(frame, judge),
            _ => {
                trace::count("wire: ERROR");
                assert!(
                    self.may_be_refused,
                    "an ERROR without cause: {:?} {:?}",
                    frame.text("message"),
                    String::from_utf8_lossy(frame.body())
                );
                self.stage = Stage::Refused;
            }
        }
    }

    fn receipt(&mut self, frame: &Frame, judge: &mut Wire) {
        trace::count("wire: RECEIPT");
        let id = frame.text("receipt-id").unwrap_or_default();
        match self.owed.remove(&*id) {
            None => panic!(
                "client {}: receipt {id} was not asked for, or came twice",
                self.name
            ),
            Some(Asked::Nothing) => {}
            Some(Asked::Sent(messages)) => messages.into_iter().for_each(|id| judge.promise(id)),
            Some(Asked::Done(copies)) => copies.into_iter().for_each(|copy| judge.finish(copy)),
            Some(Asked::Committed(messages, copies)) => {
                messages.into_iter().for_each(|id| judge.promise(id));
                copies.into_iter().for_each(|copy| judge.finish(copy));
            }
        }
    }

    fn message(
        &mut self,
        frame: &Frame,
        judge: &mut Wire,
        random: &mut Random,
        wire: &mut Vec<u8>,
    ) {
        trace::count("wire: MESSAGE");
        let text = |name: &str| frame.text(name).map(std::borrow::Cow::into_owned);
        let (prefix, _) = frame.body().split_at(8);
        let id = MessageId(usize::from_le_bytes(
            prefix.try_into().expect("eight bytes"),
        ));
        let destination = text("destination").expect("a destination");
        let sent = &judge.sent[id.0];
        let is_dead = text("dlq-reason").is_some();
        let place = if is_dead {
            assert_eq!(
                text("original-destination"),
                Some(format!("/queue/{}", sent.queue))
            );
            assert!(text("dlq-time").is_some() && text("dlq-delivery-count").is_some());
            assert_eq!(
                text("expires").as_deref(),
                Some("0"),
                "a dead letter expires"
            );
            assert_eq!(text("persistent").as_deref(), Some("true"));
            Place::DeadLetters
        } else {
            assert_eq!(destination, format!("/queue/{}", sent.queue));
            assert_eq!(text("expires").as_deref() != Some("0"), sent.may_expire);
            assert_eq!(
                text("persistent").as_deref(),
                Some(if sent.is_persistent { "true" } else { "false" })
            );
            Place::Queue
        };
        assert_eq!(frame.body().len(), sent.body_bytes, "{id:?}: body");
        assert!(
            frame.body()[8..].iter().all(|byte| *byte == 0),
            "{id:?}: body"
        );
        assert_eq!(
            text("x-id"),
            Some(id.0.to_string()),
            "the sender's own header"
        );
        assert_eq!(
            text("priority"),
            Some(sent.priority.unwrap_or(4).to_string())
        );
        for leaked in ["receipt", "transaction", "ttl", "expiration"] {
            assert_eq!(text(leaked), None, "{leaked} leaked");
        }
        let deliveries = text("JMSXDeliveryCount").and_then(|count| count.parse().ok());
        let is_redelivered = text("redelivered").as_deref() == Some("true");
        let deliveries = deliveries.expect("a count");
        judge.received((id, place), deliveries, is_redelivered);
        let subscription = text("subscription").expect("a subscription");
        let at = self
            .subscriptions
            .iter()
            .position(|live| live.id == subscription);
        let Some(at) = at else {
            // UNSUBSCRIBE is on its way.
            return;
        };
        let live = &mut self.subscriptions[at];
        if live.mode == Mode::Auto {
            return judge.give_up(id);
        }
        live.open.push(Got {
            delivered: ((id, place), deliveries),
            message_id: text("message-id").expect("a message-id"),
            ack: text("ack"),
        });
        if self.is_draining {
            let index = self.subscriptions[at].open.len() - 1;
            self.acknowledge_one(at, index, Word::Ack, usize::MAX, random, wire);
        }
    }
}
