//! What the model knows, and what each frame does to it.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use stompbox_protocol::{Command, Frame};
use tokio::sync::mpsc::UnboundedSender;

/// Where connections are cut.
#[derive(Debug, Clone)]
pub(crate) struct Faults {
    seed: u64,
    /// One frame in so many; 0 is none.
    one_in: u64,
}

/// What becomes of a frame and its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Served,
    /// The connection is cut before it is looked at.
    CutBefore,
    /// It has its effect, and the connection is cut before anything is answered.
    CutAfter,
}

impl Faults {
    pub(crate) fn none() -> Faults {
        Faults { seed: 1, one_in: 0 }
    }

    pub(crate) fn one_in(frames: u64, seed: u64) -> Faults {
        Faults {
            seed: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            one_in: frames,
        }
    }

    fn draw(&mut self) -> u64 {
        // Xorshift.
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        self.seed
    }

    fn fate(&mut self) -> Fate {
        if self.one_in == 0 || !self.draw().is_multiple_of(self.one_in) {
            return Fate::Served;
        }
        match self.draw() % 2 {
            0 => Fate::CutBefore,
            _ => Fate::CutAfter,
        }
    }
}

#[derive(Debug, Clone)]
pub(super) struct Item {
    id: u64,
    destination: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    deliveries: u32,
}

/// A subscription, of a connection.
#[derive(Debug)]
struct Subscription {
    /// The queue that it takes from; a topic's is its own.
    queue: String,
    mode: String,
    prefetch: usize,
    open: VecDeque<(u64, Item)>,
    is_durable: bool,
}

#[derive(Debug)]
enum Operation {
    Send(Item, Option<String>),
    Ack(Item, String),
}

/// A connection.
struct Client {
    id: Option<String>,
    out: UnboundedSender<Vec<u8>>,
    transactions: HashMap<String, Vec<Operation>>,
}

pub(super) struct State {
    pub(super) faults: Faults,
    pub(super) cuts: usize,
    pub(super) acknowledged: Vec<String>,
    queues: BTreeMap<String, VecDeque<Item>>,
    /// Queues of durable subscriptions by topic.
    durable: HashMap<String, HashSet<String>>,
    subscriptions: BTreeMap<(u64, String), Subscription>,
    clients: HashMap<u64, Client>,
    seen: HashSet<String>,
    numbers: u64,
}

/// What is said to a client.
pub(super) enum Answer {
    Nothing,
    /// Header lines of the RECEIPT.
    Done(&'static str),
    Refused(String),
}

fn text(frame: &Frame, name: &str) -> Option<String> {
    frame.text(name).map(|value| value.into_owned())
}

/// The rest of an item's headers, as they came.
fn own_headers(frame: &Frame) -> Vec<(String, String)> {
    const CONSUMED: [&str; 4] = ["destination", "receipt", "transaction", "content-length"];
    let decoded = |raw: &[u8]| {
        let text = stompbox_protocol::unescape(frame.version(), raw).expect("checked");
        String::from_utf8(text.into_owned()).expect("text")
    };
    frame
        .headers()
        .map(|header| (decoded(header.name), decoded(header.value)))
        .filter(|(name, _)| !CONSUMED.contains(&name.as_str()))
        .collect()
}

impl State {
    pub(super) fn new(faults: Faults) -> State {
        State {
            faults,
            cuts: 0,
            acknowledged: Vec::new(),
            queues: BTreeMap::new(),
            durable: HashMap::new(),
            subscriptions: BTreeMap::new(),
            clients: HashMap::new(),
            seen: HashSet::new(),
            numbers: 0,
        }
    }

    pub(super) fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    pub(super) fn fate(&mut self) -> Fate {
        let fate = self.faults.fate();
        self.cuts += usize::from(fate != Fate::Served);
        fate
    }

    pub(super) fn subscription_count(&self) -> usize {
        self.subscriptions.len()
    }

    pub(super) fn waiting(&self, queue: &str) -> Vec<String> {
        let out = self.subscriptions.values().filter(|one| one.queue == queue);
        let out = out.flat_map(|one| one.open.iter().map(|(_, item)| item));
        let claimed = self
            .clients
            .values()
            .flat_map(|client| client.transactions.values());
        let claimed = claimed.flatten().filter_map(|operation| match operation {
            Operation::Ack(item, from) if from == queue => Some(item),
            Operation::Ack(..) | Operation::Send(..) => None,
        });
        let ready = self.queues.get(queue).into_iter().flatten();
        ready
            .chain(out)
            .chain(claimed)
            .map(|item| String::from_utf8_lossy(&item.body).into_owned())
            .collect()
    }

    pub(super) fn connect(
        &mut self,
        client: u64,
        id: Option<String>,
        out: UnboundedSender<Vec<u8>>,
    ) {
        let transactions = HashMap::new();
        self.clients.insert(
            client,
            Client {
                id,
                out,
                transactions,
            },
        );
    }

    /// A connection has gone, with or without a word.
    pub(super) fn disconnect(&mut self, client: u64) {
        if let Some(gone) = self.clients.remove(&client) {
            for operation in gone.transactions.into_values().flatten() {
                if let Operation::Ack(item, queue) = operation {
                    self.give_back(&queue, item);
                }
            }
        }
        let ids: Vec<String> = self
            .subscriptions
            .keys()
            .filter(|(owner, _)| *owner == client)
            .map(|(_, id)| id.clone())
            .collect();
        for id in ids {
            self.end_subscription(client, &id);
        }
        let temporary = format!("/remote-temp-queue/{client}-");
        self.queues.retain(|name, _| !name.starts_with(&temporary));
        self.dispatch();
    }

    /// Carries a frame out.
    pub(super) fn frame(&mut self, client: u64, frame: &Frame) -> Answer {
        let answer = match frame.command() {
            Command::Send => self.send(client, frame),
            Command::Subscribe => self.subscribe(client, frame),
            Command::Unsubscribe => self.unsubscribe(client, frame),
            Command::Ack => self.settle(client, frame, true),
            Command::Nack => self.settle(client, frame, false),
            Command::Begin => self.begin(client, frame),
            Command::Commit => self.commit(client, frame),
            Command::Abort => self.abort(client, frame),
            Command::Disconnect => Answer::Done(""),
            other => Answer::Refused(format!("{other} is not for clients")),
        };
        match answer {
            Answer::Nothing => Answer::Done(""),
            other => other,
        }
    }

    fn send(&mut self, client: u64, frame: &Frame) -> Answer {
        let Some(destination) = text(frame, "destination") else {
            return Answer::Refused("no destination".into());
        };
        let mut headers = own_headers(frame);
        for (name, value) in &mut headers {
            if name == "reply-to"
                && let Some(own) = value.strip_prefix("/temp-queue/")
            {
                *value = format!("/remote-temp-queue/{client}-{own}");
            }
        }
        let item = Item {
            id: self.number(),
            destination,
            headers,
            body: frame.body().to_vec(),
            deliveries: 0,
        };
        let deduplication = text(frame, "_AMQ_DUPL_ID");
        match text(frame, "transaction") {
            None => self.publish(item, deduplication),
            Some(id) => match self.transaction(client, &id) {
                Some(operations) => {
                    operations.push(Operation::Send(item, deduplication));
                    Answer::Nothing
                }
                None => Answer::Refused(format!("no transaction {id}")),
            },
        }
    }

    fn publish(&mut self, item: Item, deduplication: Option<String>) -> Answer {
        if let Some(id) = deduplication
            && !self.seen.insert(format!("{} {id}", item.destination))
        {
            return Answer::Done("x-duplicate:true\n");
        }
        let destination = item.destination.clone();
        if destination.starts_with("/topic/") {
            let durable = self.durable.get(&destination).cloned().unwrap_or_default();
            let own = format!("{destination} ");
            let live = self.subscriptions.values().filter(|one| !one.is_durable);
            let live = live.filter(|one| one.queue.starts_with(&own));
            let queues: HashSet<String> =
                live.map(|one| one.queue.clone()).chain(durable).collect();
            for queue in queues {
                self.queues
                    .entry(queue)
                    .or_default()
                    .push_back(item.clone());
            }
        } else if destination.starts_with("/remote-temp-queue/") {
            let is_there = self
                .subscriptions
                .values()
                .any(|one| one.queue == destination);
            if !is_there {
                return Answer::Done("x-routed:0\n");
            }
            self.queues.entry(destination).or_default().push_back(item);
        } else {
            self.queues.entry(destination).or_default().push_back(item);
        }
        Answer::Nothing
    }

    fn subscribe(&mut self, client: u64, frame: &Frame) -> Answer {
        let (Some(id), Some(destination)) = (text(frame, "id"), text(frame, "destination")) else {
            return Answer::Refused("id and destination are needed".into());
        };
        if self.subscriptions.contains_key(&(client, id.clone())) {
            return Answer::Refused(format!("subscription {id} is there already"));
        }
        let durable = text(frame, "activemq.subscriptionName");
        let queue = match (&durable, destination.strip_prefix("/temp-queue/")) {
            (Some(name), _) => {
                let owner = self
                    .clients
                    .get(&client)
                    .and_then(|client| client.id.clone());
                let Some(owner) = owner else {
                    return Answer::Refused("a durable subscription needs a client id".into());
                };
                let queue = format!("durable {owner} {name}");
                self.durable
                    .entry(destination)
                    .or_default()
                    .insert(queue.clone());
                queue
            }
            (None, Some(own)) => format!("/remote-temp-queue/{client}-{own}"),
            (None, None) if destination.starts_with("/topic/") => {
                format!("{destination} {client}-{id}")
            }
            (None, None) => destination,
        };
        let prefetch = text(frame, "activemq.prefetchSize").and_then(|text| text.parse().ok());
        let subscription = Subscription {
            queue,
            mode: text(frame, "ack").unwrap_or_else(|| "auto".into()),
            prefetch: prefetch.unwrap_or(1_000),
            open: VecDeque::new(),
            is_durable: durable.is_some(),
        };
        self.subscriptions.insert((client, id), subscription);
        Answer::Nothing
    }

    fn unsubscribe(&mut self, client: u64, frame: &Frame) -> Answer {
        let id = text(frame, "id").unwrap_or_default();
        if let Some(name) = text(frame, "activemq.subscriptionName") {
            let owner = self
                .clients
                .get(&client)
                .and_then(|client| client.id.clone());
            let queue = format!("durable {} {name}", owner.unwrap_or_default());
            if self.subscriptions.values().any(|one| one.queue == queue) {
                return Answer::Refused(format!("{name} is in use"));
            }
            for queues in self.durable.values_mut() {
                queues.remove(&queue);
            }
            self.queues.remove(&queue);
            return Answer::Nothing;
        }
        if !self.subscriptions.contains_key(&(client, id.clone())) {
            return Answer::Refused(format!("there is no subscription {id}"));
        }
        self.end_subscription(client, &id);
        Answer::Nothing
    }

    fn end_subscription(&mut self, client: u64, id: &str) {
        let Some(mut ended) = self.subscriptions.remove(&(client, id.to_owned())) else {
            return;
        };
        while let Some((_, item)) = ended.open.pop_back() {
            self.give_back(&ended.queue, item);
        }
        if ended.queue.starts_with("/topic/") {
            self.queues.remove(&ended.queue);
        }
    }

    /// To its original place.
    fn give_back(&mut self, queue: &str, item: Item) {
        let queue = self.queues.entry(queue.to_owned()).or_default();
        let at = queue.iter().position(|other| other.id > item.id);
        queue.insert(at.unwrap_or(queue.len()), item);
    }

    fn settle(&mut self, client: u64, frame: &Frame, is_ack: bool) -> Answer {
        let token: u64 = text(frame, "id")
            .and_then(|id| id.parse().ok())
            .unwrap_or_default();
        let mut mine = self
            .subscriptions
            .iter_mut()
            .filter(|((owner, _), _)| *owner == client)
            .map(|(_, subscription)| subscription);
        let Some((subscription, at)) = mine.find_map(|subscription| {
            let at = subscription.open.iter().position(|(id, _)| *id == token)?;
            Some((subscription, at))
        }) else {
            // Stale.
            return match text(frame, "receipt") {
                Some(_) => Answer::Refused("that delivery is no longer open".into()),
                None => Answer::Nothing,
            };
        };
        let first = if subscription.mode == "client" { 0 } else { at };
        let queue = subscription.queue.clone();
        let settled: Vec<Item> = subscription
            .open
            .drain(first..=at)
            .map(|(_, item)| item)
            .collect();
        if !is_ack {
            for item in settled {
                if frame.text("requeue").as_deref() != Some("false") {
                    self.give_back(&queue, item);
                }
            }
            return Answer::Nothing;
        }
        match text(frame, "transaction") {
            None => self.acknowledge(settled),
            Some(id) => match self.transaction(client, &id) {
                Some(operations) => {
                    let acks = settled
                        .into_iter()
                        .map(|item| Operation::Ack(item, queue.clone()));
                    operations.extend(acks);
                }
                None => return Answer::Refused(format!("no transaction {id}")),
            },
        }
        Answer::Nothing
    }

    fn acknowledge(&mut self, items: Vec<Item>) {
        let bodies = items
            .into_iter()
            .map(|item| String::from_utf8_lossy(&item.body).into_owned());
        self.acknowledged.extend(bodies);
    }

    fn transaction(&mut self, client: u64, id: &str) -> Option<&mut Vec<Operation>> {
        self.clients.get_mut(&client)?.transactions.get_mut(id)
    }

    fn begin(&mut self, client: u64, frame: &Frame) -> Answer {
        let id = text(frame, "transaction").unwrap_or_default();
        let Some(client) = self.clients.get_mut(&client) else {
            return Answer::Nothing;
        };
        match client.transactions.insert(id.clone(), Vec::new()) {
            None => Answer::Nothing,
            Some(_) => Answer::Refused(format!("transaction {id} has begun already")),
        }
    }

    fn take(&mut self, client: u64, frame: &Frame) -> Option<Vec<Operation>> {
        let id = text(frame, "transaction")?;
        self.clients.get_mut(&client)?.transactions.remove(&id)
    }

    fn commit(&mut self, client: u64, frame: &Frame) -> Answer {
        let Some(operations) = self.take(client, frame) else {
            return Answer::Refused("no such transaction".into());
        };
        for operation in operations {
            match operation {
                Operation::Send(item, deduplication) => {
                    self.publish(item, deduplication);
                }
                Operation::Ack(item, _) => self.acknowledge(vec![item]),
            }
        }
        Answer::Nothing
    }

    fn abort(&mut self, client: u64, frame: &Frame) -> Answer {
        let Some(operations) = self.take(client, frame) else {
            return Answer::Refused("no such transaction".into());
        };
        for operation in operations {
            if let Operation::Ack(item, queue) = operation {
                self.give_back(&queue, item);
            }
        }
        Answer::Nothing
    }

    /// Gives what waits to those who have room.
    pub(super) fn dispatch(&mut self) {
        let keys: Vec<(u64, String)> = self.subscriptions.keys().cloned().collect();
        loop {
            let mut has_given = false;
            for (client, id) in &keys {
                has_given |= self.give_one(*client, id);
            }
            if !has_given {
                return;
            }
        }
    }

    fn give_one(&mut self, client: u64, id: &str) -> bool {
        self.numbers += 1;
        let token = self.numbers;
        let Some(subscription) = self.subscriptions.get_mut(&(client, id.to_owned())) else {
            return false;
        };
        let is_auto = subscription.mode == "auto";
        if !is_auto && subscription.open.len() >= subscription.prefetch {
            return false;
        }
        let queue = self.queues.get_mut(&subscription.queue);
        let Some(mut item) = queue.and_then(VecDeque::pop_front) else {
            return false;
        };
        item.deliveries += 1;
        let ack = if is_auto {
            String::new()
        } else {
            format!("ack:{token}\n")
        };
        let headers: String = item
            .headers
            .iter()
            .map(|(name, value)| format!("{}:{}\n", escaped(name), escaped(value)))
            .collect();
        let head = format!(
            "MESSAGE\nsubscription:{id}\nmessage-id:{}\ndestination:{}\n{ack}redelivered:{}\n\
             JMSXDeliveryCount:{}\ncontent-length:{}\n{headers}\n",
            item.id,
            item.destination,
            item.deliveries > 1,
            item.deliveries,
            item.body.len(),
        );
        let wire = [head.as_bytes(), &item.body, b"\0"].concat();
        if let Some(client) = self.clients.get(&client) {
            // One whose connection is going gets it back soon.
            client.out.send(wire).ok();
        }
        if !is_auto {
            subscription.open.push_back((token, item));
        }
        true
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('\n', "\\n")
        .replace('\r', "\\r")
        .replace(':', "\\c")
}
