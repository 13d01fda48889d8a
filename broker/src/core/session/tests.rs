//! Sessions from frame to request and from reply to bytes, in every version.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use stompbox_protocol::{Decoder, InputRef, Limits as WireLimits, Role, Version};
use stompbox_store::{Epoch, MessageNumber};

use super::*;
use crate::core::memory::Share;
use crate::core::message::{Body, DeliveryMode, Message, Priority};
use crate::core::port::{Delivery, DeliveryTag};

const NOW: Now = Now {
    wall_ms: 1_000_000,
    uptime: Duration::ZERO,
};

/// A session with what a connection's task has around it.
pub(super) struct Bench {
    pub(super) session: Session,
    pub(super) buffer: OutputBuffer,
    decoder: Decoder,
    counter: u64,
}

impl Bench {
    pub(crate) fn takes_input(&self) -> bool {
        self.session.takes_input(&self.buffer.output)
    }

    /// A session that has not connected.
    pub(super) fn fresh(limits: Limits) -> Self {
        let settings = SessionSettings {
            limits,
            policies: Policies::default(),
            heart_beat_min: Duration::from_millis(500),
            instance: "i".into(),
            epoch: Epoch(1),
            budget: MemoryBudget::new(1 << 20),
            zone: crate::core::schedule::TimeZone::UTC,
        };
        Self {
            session: Session::new(Arc::new(settings), 7, 0xfeed, "peer".to_owned()),
            buffer: OutputBuffer::default(),
            decoder: Decoder::new(Role::Server, WireLimits::default()),
            counter: 0,
        }
    }

    /// A session that is open.
    pub(super) fn open(version: Version) -> Self {
        Self::open_with(version, Limits::default())
    }

    pub(super) fn open_with(version: Version, limits: Limits) -> Self {
        let mut bench = Self::fresh(limits);
        bench.say(&format!("CONNECT\naccept-version:{version}\n\n\0"));
        bench.decoder.set_version(version);
        bench.reply(Reply::Opened);
        bench.requests();
        bench.told();
        bench
    }

    /// The client says this.
    pub(super) fn say(&mut self, frames: &str) {
        self.decoder.extend(frames.as_bytes());
        while let Ok(Some(input)) = self.decoder.next_ref() {
            if let InputRef::Frame(frame) = input {
                self.session.frame(&frame, NOW, &mut self.buffer.output);
            }
        }
    }

    pub(super) fn reply(&mut self, reply: Reply) {
        self.session.reply(reply, NOW, &mut self.buffer.output);
    }

    /// The dispatcher hands out a message of so many bytes.
    pub(super) fn deliver(&mut self, subscription: u32, body_bytes: usize) {
        self.deliver_from(subscription, body_bytes, None);
    }

    fn deliver_from(
        &mut self,
        subscription: u32,
        body_bytes: usize,
        destination: Option<Arc<crate::core::destination::DestinationName>>,
    ) {
        self.counter += 1;
        let budget = MemoryBudget::new(1 << 20);
        let body = Bytes::from(vec![b'x'; body_bytes]);
        let (body, charge) = (Body::Shared(&body), budget.charge(body_bytes));
        let message = Message::new(b"", body, Priority::DEFAULT, 5, charge);
        self.reply(Reply::Deliver(Delivery {
            subscription: SubscriptionHandle(subscription),
            tag: DeliveryTag {
                slot: 3,
                counter: DeliveryCounter(self.counter),
            },
            number: MessageNumber(Epoch(1).first().0 + 9),
            message: Arc::new(message),
            deliveries: 1,
            expires_ms: 0,
            mode: DeliveryMode::Persistent,
            annotations: None,
            destination,
        }));
    }

    /// What the dispatcher has been asked since the last time, in short.
    pub(super) fn requests(&mut self) -> Vec<String> {
        let requests = std::mem::take(&mut self.buffer.output.requests);
        requests
            .iter()
            .map(|request| format!("{request:?}"))
            .collect()
    }

    /// What the client has been told since the last time.
    pub(super) fn told(&mut self) -> String {
        let told: Vec<u8> = self.buffer.unwritten().flatten().copied().collect();
        self.buffer.advance(told.len());
        String::from_utf8_lossy(&told).into_owned()
    }
}

#[test]
fn no_message_follows_a_disconnect() {
    let mut bench = Bench::open(Version::V1_2);
    bench.say("SUBSCRIBE\nid:s\ndestination:/queue/a\nack:client\n\n\0");
    bench.deliver(0, 10);
    bench.say("DISCONNECT\nreceipt:r\n\n\0");
    let given = bench.session.given();
    bench.told();
    bench.deliver(0, 10);
    assert_eq!(
        bench.told(),
        "",
        "the dispatcher takes it back as never seen"
    );
    assert_eq!(bench.session.given(), given);
    bench.reply(Reply::Receipt(ReceiptId(b"r"[..].into())));
    assert_eq!(bench.told(), "RECEIPT\nreceipt-id:r\n\n\0\n");
}

#[test]
fn nothing_follows_an_error() {
    let mut bench = Bench::open(Version::V1_2);
    bench.say("SUBSCRIBE\nid:s\ndestination:/queue/a\nack:client\n\n\0");
    bench.reply(Reply::Refused(Refusal::new("no", "because")));
    assert!(bench.told().starts_with("ERROR\nmessage:no\n"));
    bench.deliver(0, 10);
    bench.reply(Reply::Receipt(ReceiptId(b"r"[..].into())));
    assert_eq!(bench.told(), "");
    assert_eq!(bench.session.given(), DeliveryCounter(0));
}

/// What a frame on an open session asks for, in short, or the summary of the ERROR.
fn answer(bench: &mut Bench, frame: &str) -> String {
    bench.say(frame);
    let requests = bench.requests().join("; ");
    let told = bench.told();
    let refusal = told.strip_prefix("ERROR\nmessage:");
    match refusal.and_then(|text| text.split_once('\n')) {
        Some((summary, _)) => format!("ERROR {summary}"),
        None => requests + &told,
    }
}

#[test]
fn each_version_acknowledges_in_its_own_words() {
    const DELIVERY: &str = "Delivery(DeliveryTag { slot: 3, counter: DeliveryCounter(1) })";
    let cases = [
        (Version::V1_2, "ACK\nid:i-1-7.1.3\n\n\0", DELIVERY),
        (Version::V1_2, "NACK\nid:i-1-7.1.3\n\n\0", DELIVERY),
        (
            Version::V1_2,
            "ACK\nid:i-1-7.2.3\n\n\0",
            "ERROR unknown ack id",
        ),
        (
            Version::V1_2,
            "ACK\nid:i-1-8.1.3\n\n\0",
            "ERROR unknown ack id",
        ),
        (
            Version::V1_2,
            "ACK\nid:i-1-7.0.3\n\n\0",
            "ERROR unknown ack id",
        ),
        (Version::V1_2, "ACK\nid:\n\n\0", "ERROR unknown ack id"),
        (
            Version::V1_2,
            "ACK\nmessage-id:ID:i-1-9\nsubscription:s\n\n\0",
            "ERROR id is missing",
        ),
        (
            Version::V1_1,
            "ACK\nmessage-id:ID\\ci-1-9\nsubscription:s\n\n\0",
            "Message { subscription: Some(SubscriptionHandle(0))",
        ),
        (
            Version::V1_1,
            "ACK\nmessage-id:ID\\ci-1-9\n\n\0",
            "ERROR subscription is missing",
        ),
        (
            Version::V1_1,
            "ACK\nmessage-id:other\nsubscription:s\n\n\0",
            "ERROR unknown message-id",
        ),
        (
            Version::V1_0,
            "ACK\nmessage-id:ID:i-1-9\n\n\0",
            "Message { subscription: None",
        ),
        (
            Version::V1_0,
            "ACK\nmessage-id:ID:i-1-9\nsubscription:s\n\n\0",
            "Message { subscription: Some(SubscriptionHandle(0))",
        ),
        (
            Version::V1_0,
            "NACK\nmessage-id:ID:i-1-9\n\n\0",
            "ERROR NACK is unknown in STOMP 1.0",
        ),
    ];
    for (version, frame, expected) in cases {
        let mut bench = Bench::open(version);
        bench.say("SUBSCRIBE\nid:s\ndestination:/queue/a\nack:client\n\n\0");
        bench.deliver(0, 10);
        bench.requests();
        bench.told();
        let answered = answer(&mut bench, frame);
        assert!(
            answered.contains(expected),
            "{version} {frame:?}: {answered}"
        );
    }
}

#[test]
fn frames_out_of_turn_are_refused_in_every_version() {
    let cases = [
        ("CONNECT\n\n\0", "ERROR already connected"),
        ("SEND\n\nx\0", "ERROR destination is missing"),
        (
            "SEND\ndestination:/queue/a\npriority:x\n\n\0",
            "ERROR priority is not an integer",
        ),
        (
            "SEND\ndestination:/queue/a\ntransaction:t\n\n\0",
            "ERROR unknown transaction",
        ),
        (
            "SEND\ndestination:/queue/a\npersistent:maybe\n\n\0",
            "ERROR persistent is neither",
        ),
        ("UNSUBSCRIBE\nid:none\n\n\0", "ERROR no such subscription"),
        (
            "SUBSCRIBE\nid:s\ndestination:/queue/a\nack:often\n\n\0",
            "ERROR ack mode is unknown",
        ),
        (
            "SUBSCRIBE\nid:s\ndestination:/queue/a\nselector:a=\n\n\0",
            "ERROR selector is invalid",
        ),
        ("COMMIT\ntransaction:t\n\n\0", "ERROR unknown transaction"),
        ("ABORT\n\n\0", "ERROR transaction is missing"),
        ("BEGIN\n\n\0", "ERROR transaction is missing"),
    ];
    for version in [Version::V1_0, Version::V1_1, Version::V1_2] {
        for (frame, expected) in cases {
            let mut bench = Bench::open(version);
            let answered = answer(&mut bench, frame);
            assert!(
                answered.starts_with(expected),
                "{version} {frame:?}: {answered}"
            );
            assert!(bench.session.has_disconnected() && !bench.takes_input());
        }
    }
    let mut bench = Bench::fresh(Limits::default());
    assert_eq!(
        answer(&mut bench, "SEND\ndestination:/queue/a\n\n\0"),
        "ERROR not connected"
    );
}

#[test]
fn a_refused_frame_names_its_receipt_and_never_gets_it() {
    let mut bench = Bench::open(Version::V1_2);
    bench.say("COMMIT\ntransaction:t\nreceipt:r\n\n\0");
    let told = bench.told();
    assert!(
        told.starts_with("ERROR\n") && told.contains("\nreceipt-id:r\n"),
        "{told}"
    );
    assert!(bench.requests().is_empty());
}

#[test]
fn what_a_transaction_takes_in_is_answered_at_once_and_sent_at_commit() {
    let mut bench = Bench::open(Version::V1_2);
    assert_eq!(
        answer(&mut bench, "BEGIN\ntransaction:t\nreceipt:b\n\n\0"),
        "RECEIPT\nreceipt-id:b\n\n\0\n"
    );
    let send = "SEND\ndestination:/queue/a\ntransaction:t\nreceipt:s\n\nx\0";
    assert_eq!(answer(&mut bench, send), "RECEIPT\nreceipt-id:s\n\n\0\n");
    assert_eq!(
        answer(&mut bench, "BEGIN\ntransaction:u\n\n\0"),
        "",
        "another one may be open"
    );
    let commit = answer(&mut bench, "COMMIT\ntransaction:t\nreceipt:c\n\n\0");
    assert!(commit.starts_with("Commit { transaction: TransactionHandle(0), sends: [Publication"));
    assert!(bench.session.is_owed());
    let again = answer(&mut bench, "BEGIN\ntransaction:t\n\n\0");
    assert_eq!(again, "", "an id may be used again after its end");
    assert_eq!(
        answer(&mut bench, "BEGIN\ntransaction:t\n\n\0"),
        "ERROR transaction is open"
    );
}

#[test]
fn acknowledgements_pass_a_producer_that_is_held_back_and_all_else_waits_in_order() {
    let mut bench = Bench::open(Version::V1_2);
    bench.say("SUBSCRIBE\nid:s\ndestination:/queue/a\nack:client\n\n\0BEGIN\ntransaction:t\n\n\0");
    bench.say("BEGIN\ntransaction:u\n\n\0");
    bench.deliver(0, 1);
    bench.deliver(0, 1);
    bench.requests();
    bench.reply(Reply::Block);
    assert_eq!(
        answer(&mut bench, "SEND\ndestination:/queue/a\n\nx\0").find("Send"),
        None
    );
    assert!(answer(&mut bench, "ACK\nid:i-1-7.1.3\n\n\0").contains("Acknowledge"));
    let other = answer(&mut bench, "ACK\nid:i-1-7.1.3\ntransaction:u\n\n\0");
    assert!(other.contains("Acknowledge"), "{other}");
    let send = answer(
        &mut bench,
        "SEND\ndestination:/queue/a\ntransaction:t\n\nx\0",
    );
    assert_eq!(send, "");
    let own = answer(&mut bench, "ACK\nid:i-1-7.2.3\ntransaction:t\n\n\0");
    assert!(own.contains("Acknowledge"), "{own}");
    assert_eq!(answer(&mut bench, "COMMIT\ntransaction:t\n\n\0"), "");
    assert_eq!(answer(&mut bench, "BEGIN\ntransaction:t\n\n\0"), "");
    bench.deliver(0, 1);
    let late = answer(&mut bench, "ACK\nid:i-1-7.3.3\ntransaction:t\n\n\0");
    assert!(!late.contains("Acknowledge"), "{late}");
    assert_eq!(answer(&mut bench, "DISCONNECT\n\n\0"), "");
    bench.reply(Reply::Unblock);
    let requests = bench.requests();
    let begin: Vec<_> = requests.iter().map(|text| text.split(' ').next()).collect();
    assert_eq!(
        begin,
        [
            Some("Send"),
            Some("Commit"),
            Some("Acknowledge"),
            Some("Disconnect")
        ]
    );
}

#[test]
fn a_producer_that_is_held_back_begins_no_more_transactions_than_may_be_open() {
    let limits = Limits {
        transactions: 2,
        ..Limits::default()
    };
    let mut bench = Bench::open_with(Version::V1_2, limits);
    bench.reply(Reply::Block);
    for name in ["t", "u", "v"] {
        for frame in ["BEGIN", "COMMIT"] {
            let frame = format!("{frame}\ntransaction:{name}\n\n\0");
            assert_eq!(answer(&mut bench, &frame), "");
        }
    }
    bench.reply(Reply::Unblock);
    assert_eq!(bench.requests().len(), 3, "all are committed");
}

#[test]
fn a_full_stash_stops_reading_until_it_is_replayed() {
    let limits = Limits {
        stash_frames: 2,
        ..Limits::default()
    };
    let mut bench = Bench::fresh(limits);
    bench.say("CONNECT\naccept-version:1.2\n\n\0");
    assert!(!bench.takes_input(), "CONNECT is being answered");
    bench.reply(Reply::Opened);
    bench.reply(Reply::Block);
    bench.say("SEND\ndestination:/queue/a\n\n1\0");
    assert!(bench.takes_input());
    bench.say("SEND\ndestination:/queue/a\n\n2\0");
    assert!(!bench.takes_input());
    bench.reply(Reply::Unblock);
    assert!(bench.takes_input());
}

#[test]
fn a_stash_is_small_while_all_of_them_together_are_full() {
    let mut bench = Bench::open(Version::V1_2);
    let budget = Arc::clone(&bench.session.settings.budget);
    let mut others = budget.hold(Share::Stashes);
    others.grow(budget.limit_bytes() / 4);
    bench.reply(Reply::Block);
    let send = format!("SEND\ndestination:/queue/a\n\n{}\0", "x".repeat(1_500));
    for _ in 0..2 {
        bench.say(&send);
        assert!(bench.takes_input());
    }
    bench.say(&send);
    assert!(!bench.takes_input(), "4 KiB are enough");
    others.shrink(budget.limit_bytes() / 8);
    assert!(bench.takes_input());
    others.grow(budget.limit_bytes() / 8 - 1);
    assert!(others.is_taken());
    drop(bench);
    assert!(!others.is_taken(), "a session that ends gives its own back");
}

#[test]
fn open_transactions_take_no_more_than_half_of_the_memory() {
    let mut bench = Bench::open(Version::V1_2);
    let budget = Arc::clone(&bench.session.settings.budget);
    bench.decoder.authenticated();
    let body = "x".repeat(5_000);
    bench.say("BEGIN\ntransaction:t\n\n\0");
    let send = format!("SEND\ndestination:/queue/a\ntransaction:t\n\n{body}\0");
    for _ in 0..100 {
        bench.say(&send);
    }
    assert!(budget.is_taken(Share::Transactions));
    assert!(!budget.is_over());
    bench.told();
    bench.say(&send);
    let told = bench.told();
    assert!(
        told.starts_with("ERROR\nmessage:memory is full\n"),
        "{told}"
    );
    assert!(told.contains("half of limits.memory_bytes"), "{told}");
    drop(bench);
    assert!(!budget.is_taken(Share::Transactions));
    assert_eq!(budget.used_bytes(), 0);
}

#[test]
fn selectors_that_fill_their_share_of_the_memory_are_refused() {
    let mut bench = Bench::open(Version::V1_2);
    let budget = Arc::clone(&bench.session.settings.budget);
    let selector = format!("a IN ('{}')", "x".repeat(4_000));
    let subscribe =
        |id: usize| format!("SUBSCRIBE\nid:{id}\ndestination:/queue/a\nselector:{selector}\n\n\0");
    bench.say(&subscribe(1));
    bench.say("UNSUBSCRIBE\nid:1\n\n\0");
    let mut id = 1;
    while !budget.is_taken(Share::Selectors) {
        id += 1;
        bench.say(&subscribe(id));
    }
    assert!((3..100).contains(&id), "{id}");
    bench.say("SUBSCRIBE\nid:plain\ndestination:/queue/a\n\n\0");
    assert_eq!(bench.told(), "");
    bench.say(&subscribe(0));
    assert!(bench.told().contains("limits.memory_bytes"));
    drop(bench);
    assert!(!budget.is_taken(Share::Selectors));
}

#[test]
fn a_connection_that_has_used_up_its_numbers_is_refused_and_none_comes_twice() {
    let mut bench = Bench::open(Version::V1_2);
    bench.session.next_subscription = SubscriptionHandle(u32::MAX);
    bench.say("SUBSCRIBE\nid:1\ndestination:/queue/a\n\n\0");
    assert!(bench.told().contains("connection is worn out"));
    let mut bench = Bench::open(Version::V1_2);
    bench.session.next_transaction = crate::core::port::TransactionHandle(u32::MAX);
    bench.say("BEGIN\ntransaction:t\n\n\0");
    assert!(bench.told().contains("connection is worn out"));
}

#[test]
fn of_two_reply_to_headers_the_first_stays_the_first() {
    for (first, second) in [
        ("/temp-queue/a", "/queue/b"),
        ("/queue/b", "/temp-queue/a"),
        ("/temp-queue/a", "/temp-queue/c"),
    ] {
        let mut bench = Bench::open(Version::V1_2);
        bench.say(&format!(
            "SEND\ndestination:/queue/q\nreply-to:{first}\nx:1\nreply-to:{second}\n\n\0"
        ));
        let sent = bench.buffer.output.requests.pop().expect("a request");
        let Request::Send { publication, .. } = sent else {
            panic!("{sent:?}");
        };
        let head = String::from_utf8_lossy(publication.message.head()).into_owned();
        let names: Vec<_> = head
            .lines()
            .filter_map(|line| line.strip_prefix("reply-to:"))
            .collect();
        assert_eq!(names.len(), 2, "{head}");
        for (name, sent) in names.iter().zip([first, second]) {
            let is_temporary = sent.starts_with("/temp-queue/");
            assert_eq!(name.starts_with("/remote-temp-queue/"), is_temporary);
        }
    }
}

/// The name by which others find a temporary destination that was asked for.
fn made(bench: &mut Bench) -> Arc<crate::core::destination::DestinationName> {
    let requests = &bench.buffer.output.requests;
    let made = requests.iter().find_map(|request| match request {
        Request::MakeTemporary(name) => Some(Arc::clone(name)),
        _ => None,
    });
    made.expect("made")
}

#[test]
fn a_list_shows_its_owner_its_own_names() {
    let mut bench = Bench::open(Version::V1_2);
    bench.say("SUBSCRIBE\nid:s\ndestination:/temp-topic/a,/queue/b\n\n\0");
    let name = made(&mut bench);
    bench.deliver_from(0, 1, Some(name));
    let told = bench.told();
    assert!(told.contains("\ndestination:/temp-topic/a\n"), "{told}");
}

#[test]
fn a_temporary_destination_that_is_named_in_both_ways_is_one() {
    let mut bench = Bench::open(Version::V1_2);
    bench.say("SEND\ndestination:/temp-topic/a\n\n\0");
    let remote = made(&mut bench);
    let both = format!("/temp-topic/a,{}", remote.wire());
    bench.requests();
    bench.say(&format!("SUBSCRIBE\nid:s\ndestination:{both}\n\n\0"));
    bench.say(&format!("SEND\ndestination:{both}\n\n\0"));
    let requests = std::mem::take(&mut bench.buffer.output.requests);
    let [
        Request::Subscribe(subscribing),
        Request::Send { publication, .. },
    ] = &requests[..]
    else {
        panic!("{requests:?}");
    };
    assert_eq!(subscribing.sources.len(), 1);
    assert_eq!(publication.target.names().len(), 1);
}

#[test]
fn the_end_of_a_walk_does_not_follow_a_disconnect() {
    let mut bench = Bench::open(Version::V1_2);
    bench.say("SUBSCRIBE\nid:s\ndestination:/queue/a\nbrowser:true\n\n\0");
    bench.say("DISCONNECT\nreceipt:r\n\n\0");
    bench.reply(Reply::Receipt(ReceiptId(b"r"[..].into())));
    bench.reply(Reply::BrowseEnd(SubscriptionHandle(0)));
    assert_eq!(bench.told(), "RECEIPT\nreceipt-id:r\n\n\0\n");
}

#[test]
fn what_is_no_message_group_is_refused() {
    let long = "x".repeat(1_025);
    for (headers, detail) in [
        (format!("JMSXGroupID:{long}"), "at most 1024 are allowed"),
        (
            "JMSXGroupID:a\nJMSXGroupSeq:one".to_owned(),
            "must be an integer",
        ),
    ] {
        let mut bench = Bench::open(Version::V1_2);
        bench.say(&format!("SEND\ndestination:/queue/a\n{headers}\n\n\0"));
        let told = bench.told();
        assert!(
            told.starts_with("ERROR\nmessage:message group is invalid\n"),
            "{told}"
        );
        assert!(told.contains(detail), "{told}");
    }
    let mut bench = Bench::open(Version::V1_2);
    bench.say("SEND\ndestination:/queue/a\nJMSXGroupSeq:one\n\n\0");
    assert_eq!(bench.told(), "", "without an id it is the application's");
}

#[test]
fn each_name_of_a_list_counts_as_a_subscription() {
    let limits = Limits {
        subscriptions: 3,
        ..Limits::default()
    };
    let mut bench = Bench::open_with(Version::V1_2, limits);
    bench.say("SUBSCRIBE\nid:1\ndestination:/queue/a,/queue/b\n\n\0");
    bench.say("SUBSCRIBE\nid:2\ndestination:/queue/c\n\n\0");
    bench.say("UNSUBSCRIBE\nid:1\n\n\0");
    bench.say("SUBSCRIBE\nid:3\ndestination:/topic/a,/queue/b.>\n\n\0");
    assert_eq!(bench.told(), "");
    bench.say("SUBSCRIBE\nid:4\ndestination:/queue/d\n\n\0");
    assert!(
        bench
            .told()
            .starts_with("ERROR\nmessage:too many subscriptions\n")
    );
}

#[test]
fn what_the_broker_is_asked_by_stands_alone() {
    let asked = "/topic/ActiveMQ.Scheduler.Management";
    for list in [
        format!("{asked},/queue/a"),
        format!("/queue/a,{asked}"),
        "/queue/a,ActiveMQ.Statistics.Broker".to_owned(),
    ] {
        let mut bench = Bench::open(Version::V1_2);
        bench.say(&format!("SEND\ndestination:{list}\n\n\0"));
        let told = bench.told();
        assert!(
            told.starts_with("ERROR\nmessage:destination is invalid\n"),
            "{list}: {told}"
        );
        assert!(bench.requests().is_empty(), "{list}");
    }
    let mut bench = Bench::open(Version::V1_2);
    bench.say(&format!("SEND\ndestination:{asked}\n\n\0"));
    assert_eq!(bench.told(), "");
    assert_eq!(bench.requests().len(), 1);
}

#[test]
fn the_schedule_is_not_managed_in_a_transaction() {
    for action in ["BROWSE", "REMOVE", "REMOVEALL", "FOO"] {
        let mut bench = Bench::open(Version::V1_2);
        bench.say("BEGIN\ntransaction:t\n\n\0");
        bench.say(&format!(
            "SEND\ndestination:/topic/ActiveMQ.Scheduler.Management\ntransaction:t\n\
             AMQ_SCHEDULER_ACTION:{action}\nreply-to:/queue/a\nscheduledJobId:1-1\n\n\0"
        ));
        let told = bench.told();
        let refusal = "ERROR\nmessage:the schedule is managed outside of transactions\n";
        assert!(told.starts_with(refusal), "{action}: {told}");
    }
    let mut bench = Bench::open(Version::V1_2);
    bench.say("BEGIN\ntransaction:t\n\n\0");
    let query = "ActiveMQ.Statistics.Broker\ntransaction:t\nreply-to:/queue/a";
    bench.say(&format!("SEND\ndestination:{query}\n\n\0"));
    assert_eq!(bench.told(), "", "statistics are answered at the COMMIT");
}

#[test]
fn an_unsubscribe_without_its_subscription_says_what_it_was_looked_for_by() {
    for (version, header, expected) in [
        (Version::V1_0, "destination:/queue/a", "to that destination"),
        (Version::V1_0, "id:s", "with that id"),
        (Version::V1_2, "id:s", "with that id"),
    ] {
        let mut bench = Bench::open(version);
        bench.say(&format!("UNSUBSCRIBE\n{header}\n\n\0"));
        let told = bench.told();
        let text = format!("no live subscription {expected}:");
        assert!(told.contains(&text), "{version} {header}: {told}");
    }
}

#[test]
fn spaces_around_a_temporary_reply_to_do_not_hide_it() {
    for reply_to in [" /temp-queue/r", "/temp-queue/r ", "/temp-queue/r"] {
        let mut bench = Bench::open(Version::V1_2);
        bench.say(&format!(
            "SEND\ndestination:/queue/a\nreply-to:{reply_to}\n\n\0"
        ));
        let requests = std::mem::take(&mut bench.buffer.output.requests);
        let send = requests.iter().find_map(|request| match request {
            Request::Send { publication, .. } => Some(publication),
            _ => None,
        });
        let message = &send.expect("a SEND").message;
        let found = stompbox_protocol::canonical::find(message.head(), b"reply-to");
        let found = String::from_utf8_lossy(&found.expect("a reply-to")).into_owned();
        assert!(found.starts_with("/remote-temp-queue/"), "{found:?}");
    }
}
