//! The console's API over a real broker: what waits in a queue is seen, moved and deleted through it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use serde_json::{Value, json};
use stompbox_tests::broker::{Broker, Console, Launch};
use stompbox_tests::wire::{Frame, Version, Wire};

const DEAD: &str = "ActiveMQ.DLQ";

fn start(toml: &str) -> Broker {
    let launch = Launch::new(env!("CARGO_BIN_EXE_stompbox-under-test"));
    launch.console(Console::Open).configuration(toml).start()
}

fn connect(broker: &Broker) -> Wire {
    Wire::connect(broker.stomp(), Version::V12)
}

/// Status and JSON of an answer.
fn call(broker: &Broker, method: &str, path: &str, head: &str, body: &str) -> (u16, Value) {
    let console = broker.console().expect("the test starts a console");
    let host = console.trim_start_matches("http://");
    let address: SocketAddr = host.parse().expect("an announced address parses");
    let mut stream = TcpStream::connect(address).expect("the console listens");
    let length = body.len();
    write!(
        stream,
        "{method} /api/v1/{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{head}Content-Length: {length}\r\n\r\n{body}"
    )
    .expect("the console reads");
    let mut answer = String::new();
    stream
        .read_to_string(&mut answer)
        .expect("the console answers");
    let (head, body) = answer.split_once("\r\n\r\n").expect("an HTTP answer");
    let status = head.split(' ').nth(1).and_then(|text| text.parse().ok());
    let json = serde_json::from_str(body).unwrap_or(Value::Null);
    (status.expect("a status"), json)
}

fn get(broker: &Broker, path: &str) -> Value {
    let (status, json) = call(broker, "GET", path, "", "");
    assert_eq!(status, 200, "{path}: {json}");
    json
}

fn post(broker: &Broker, action: &str, body: &Value) -> (u16, Value) {
    post_to(broker, &format!("messages/{action}"), body)
}

fn post_to(broker: &Broker, path: &str, body: &Value) -> (u16, Value) {
    let head = "Content-Type: application/json\r\n";
    call(broker, "POST", path, head, &body.to_string())
}

/// The ids of what waits in a queue.
fn ids(broker: &Broker, queue: &str) -> Vec<String> {
    let page = get(broker, &format!("messages?queue={queue}"));
    let items = page["items"].as_array().expect("items");
    let id = |item: &Value| item["id"].as_str().expect("an id").to_owned();
    items.iter().map(id).collect()
}

/// Sends a message to a queue and fails it for good.
fn bury(wire: &mut Wire, queue: &str, headers: &[(&str, &str)], body: &str) -> Frame {
    wire.send_receipted(queue, headers, body);
    wire.subscribe("victim", queue, "client-individual");
    let message = wire.expect_message();
    wire.nack(&message, &[("requeue", "false")]);
    wire.request("UNSUBSCRIBE", &[("id", "victim")], b"");
    message
}

#[test]
fn what_waits_in_a_queue_is_shown_in_order_and_page_by_page() {
    let broker = start("");
    let mut wire = connect(&broker);
    for number in 0..12 {
        let priority = if number == 11 { "9" } else { "4" };
        let headers = [("priority", priority), ("own", "<b>:\n")];
        wire.send_receipted("/queue/q", &headers, &format!("body {number}"));
    }
    let page = get(&broker, "messages?queue=q&offset=1&limit=3");
    let bodies: Vec<_> = (0..3)
        .map(|index| &page["items"][index]["body"]["content"])
        .collect();
    assert_eq!(bodies, ["body 0", "body 1", "body 2"]);
    assert_eq!(page["more"], true);
    let rest = get(&broker, "messages?queue=q&offset=9&limit=3");
    assert_eq!(
        (&rest["more"], rest["items"].as_array().map(Vec::len)),
        (&false.into(), Some(3))
    );
    let item = &page["items"][0];
    assert_eq!(
        item["headers"][0],
        json!({"name": "own", "value": "<b>:\n"})
    );
    assert_eq!(
        (&item["priority"], &item["persistent"], &item["deliveries"]),
        (&4.into(), &true.into(), &0.into())
    );
    assert_eq!(item["original_destination"], Value::Null);
    // Looking takes nothing, and leaves no connection behind.
    wire.subscribe("s", "/queue/q", "client");
    let first = wire.expect_message();
    assert_eq!(first.text(), "body 11");
    assert_eq!(first.header("JMSXDeliveryCount"), Some("1"));
    assert_eq!(get(&broker, "connections")["total"], 1);
}

#[test]
fn a_message_is_shown_whole_as_text_or_as_bytes() {
    let broker = start("");
    let mut wire = connect(&broker);
    let long = "x".repeat(300_000);
    wire.send_receipted("/queue/q", &[], &long);
    wire.request("SEND", &[("destination", "/queue/q")], b"\xff\x00\x01");
    let ids = ids(&broker, "q");
    let long = get(&broker, &format!("message?queue=q&id={}", ids[0]));
    assert_eq!(
        (&long["body"]["bytes"], &long["body"]["shown_bytes"]),
        (&300_000.into(), &262_144.into())
    );
    let binary = get(&broker, &format!("message?queue=q&id={}", ids[1]));
    let body = json!({"encoding": "hex", "content": "ff0001", "shown_bytes": 3, "bytes": 3});
    assert_eq!(binary["body"], body);
    for (path, code) in [
        ("message?queue=q&id=ID:none", "no_such_message"),
        ("message?queue=q&id='", "no_such_message"),
        ("message?queue=none&id=x", "no_such_queue"),
        ("messages?queue=none", "no_such_queue"),
    ] {
        let (status, json) = call(&broker, "GET", path, "", "");
        assert_eq!(
            (status, &json["error"]["code"]),
            (404, &code.into()),
            "{path}"
        );
    }
    assert_eq!(get(&broker, "queues?name=none")["total"], 0);
}

#[test]
fn marked_messages_are_deleted_for_good_and_others_stay() {
    let mut broker = start("");
    let mut wire = connect(&broker);
    for number in 0..5 {
        wire.send_receipted("/queue/q", &[], &number.to_string());
    }
    let before = ids(&broker, "q");
    let wanted = json!({"queue": "q", "ids": [before[1], before[3], "ID:gone-1-1"]});
    let (status, carried) = post(&broker, "delete", &wanted);
    assert_eq!(status, 200, "{carried}");
    assert_eq!(carried, json!({"done": 2, "missing": ["ID:gone-1-1"]}));
    broker.kill();
    broker.start_again();
    let left = [&before[0], &before[2], &before[4]].map(String::clone);
    assert_eq!(ids(&broker, "q"), left);
    let again = post(&broker, "delete", &wanted).1;
    assert_eq!(again["done"], 0);
}

#[test]
fn dead_letters_go_back_to_the_queue_that_they_come_from() {
    let mut broker = start("");
    let mut wire = connect(&broker);
    let headers = [("own", "kept"), ("priority", "7"), ("x-dedup-id", "1")];
    let first = bury(&mut wire, "/queue/a", &headers, "first");
    bury(&mut wire, "/queue/b", &[], "second");
    let dead = ids(&broker, DEAD);
    assert_eq!(dead[0], first.header("message-id").unwrap_or_default());
    let (status, carried) = post(&broker, "retry", &json!({"queue": DEAD, "ids": dead}));
    assert_eq!((status, &carried["done"]), (200, &2.into()), "{carried}");
    wire.subscribe("s", "/queue/a", "client");
    let message = wire.expect_message();
    assert_eq!(message.text(), "first");
    for (name, value) in [
        ("own", Some("kept")),
        ("priority", Some("7")),
        ("redelivered", Some("false")),
        ("JMSXDeliveryCount", Some("1")),
        ("dlq-reason", None),
        ("original-destination", None),
    ] {
        assert_eq!(message.header(name), value, "{name}");
    }
    broker.kill();
    broker.start_again();
    for (queue, count) in [(DEAD, 0), ("a", 1), ("b", 1)] {
        assert_eq!(ids(&broker, queue).len(), count, "{queue}");
    }
}

#[test]
fn what_cannot_go_back_stays_where_it_is_and_the_answer_says_why() {
    let broker = start("");
    let mut wire = connect(&broker);
    bury(&mut wire, "/queue/a", &[], "dead");
    wire.send_receipted(&format!("/queue/{DEAD}"), &[], "not a dead letter");
    let both = json!({"queue": DEAD, "ids": ids(&broker, DEAD)});
    let refuses = |action: &str, body: &Value, status: u16, says: &str| {
        let (given, answer) = post(&broker, action, body);
        let message = answer["error"]["message"].as_str().unwrap_or_default();
        assert!(
            given == status && message.contains(says),
            "{given} {answer}"
        );
    };
    refuses("retry", &both, 409, "no dead letter");
    let to = |to: &str| json!({"queue": DEAD, "ids": both["ids"], "to": to});
    refuses("move", &to("/queue/a.*"), 409, "is a pattern");
    refuses("move", &to("/temp-queue/a"), 409, "/queue/NAME");
    refuses("move", &to("a,b"), 409, "one destination");
    refuses(
        "move",
        &to("/topic/ActiveMQ.Advisory.Connection"),
        409,
        "alone",
    );
    let management = "/topic/ActiveMQ.Scheduler.Management";
    refuses("move", &to(management), 409, "nothing ever lies");
    refuses("move", &to("/topic/nobody"), 409, "subscribe to it first");
    refuses(
        "delete",
        &json!({"queue": DEAD, "ids": []}),
        400,
        "1 to 100",
    );
    refuses("delete", &json!({"queue": DEAD, "id": "x"}), 400, "`id`");
    refuses(
        "delete",
        &json!({"queue": "none", "ids": ["x"]}),
        404,
        "none",
    );
    assert_eq!(ids(&broker, DEAD).len(), 2);
    let page = get(&broker, &format!("messages?queue={DEAD}"));
    assert_eq!(page["items"][0]["deliveries"], 0, "none was added");
}

#[test]
fn messages_are_moved_to_any_destination() {
    let broker = start("");
    let mut wire = connect(&broker);
    wire.subscribe("t", "/topic/t", "auto");
    wire.send_receipted("/queue/q", &[("ttl", "3600000")], "one");
    wire.send_receipted("/queue/q", &[], "two");
    let both = ids(&broker, "q");
    let order = json!({"queue": "q", "ids": [both[1]], "to": "/topic/t"});
    assert_eq!(post(&broker, "move", &order).1["done"], 1);
    assert_eq!(wire.expect_message().text(), "two");
    let order = json!({"queue": "q", "ids": [both[0]], "to": "elsewhere"});
    assert_eq!(post(&broker, "move", &order).1["done"], 1);
    let page = get(&broker, "messages?queue=elsewhere");
    assert_ne!(page["items"][0]["expires_ms"], 0, "it lives no longer");
}

#[test]
fn a_message_is_moved_to_a_topic_that_somebody_or_something_takes_from() {
    let broker = start(
        "[[route]]\nfrom = \"/topic/routed\"\nto = \"/queue/end\"\nselector = \"own = 'yes'\"\n",
    );
    let mut wire = connect(&broker);
    let mut move_to = |own: &str, to: &str| {
        wire.send_receipted("/queue/q", &[("own", own)], "");
        let order = json!({"queue": "q", "ids": ids(&broker, "q"), "to": to});
        let (status, _) = post(&broker, "move", &order);
        let left = ids(&broker, "q");
        post(&broker, "delete", &json!({"queue": "q", "ids": left}));
        (status, left.len())
    };
    assert_eq!(move_to("yes", "/topic/routed"), (200, 0));
    assert_eq!(move_to("no", "/topic/routed"), (409, 1));
    assert_eq!(ids(&broker, "end").len(), 1);
    for (to, source, headers) in [
        (
            "/topic/VirtualTopic.v",
            "/queue/Consumer.A.VirtualTopic.v",
            vec![],
        ),
        ("/topic/p.a", "/topic/p.>", vec![]),
        ("/topic/d", "/topic/d", vec![("durable", "true")]),
        ("/topic/s", "/topic/s", vec![("x-shared-name", "n")]),
        ("/topic/f.a", "/topic/f.>", vec![("durable", "true")]),
    ] {
        assert_eq!(move_to("", to), (409, 1), "{to}");
        let mut listener = connect(&broker);
        listener.subscribe_with("s", source, "client", &headers);
        assert_eq!(move_to("", to), (200, 0), "{to}");
        listener.expect_message();
    }
}

#[test]
fn what_is_with_a_consumer_is_not_taken_from_it() {
    let broker = start("");
    let mut wire = connect(&broker);
    for number in 0..2 {
        wire.send_receipted("/queue/q", &[], &number.to_string());
    }
    let both = ids(&broker, "q");
    let prefetch = [("activemq.prefetchSize", "1")];
    wire.subscribe_with("s", "/queue/q", "client-individual", &prefetch);
    let held = wire.expect_message();
    let (_, carried) = post(&broker, "delete", &json!({"queue": "q", "ids": both}));
    assert_eq!(carried, json!({"done": 1, "missing": [both[0]]}));
    wire.ack(&held, &[]);
    assert_eq!(get(&broker, "queues?name=q")["items"][0]["depth"], 0);
}

#[test]
fn a_queue_is_emptied_but_for_what_consumers_hold() {
    let mut broker = start("");
    let mut wire = connect(&broker);
    for number in 0..2_500 {
        wire.send(&format!("SEND\ndestination:/queue/q\n\n{number}^@"));
    }
    wire.send_receipted("/queue/q", &[], "last");
    let prefetch = [("activemq.prefetchSize", "1")];
    wire.subscribe_with("s", "/queue/q", "client-individual", &prefetch);
    assert_eq!(wire.expect_message().text(), "0");
    let some = json!({"queue": "q", "limit": 3});
    let (status, purged) = post_to(&broker, "queues/purge", &some);
    assert_eq!((status, purged), (200, json!({"done": 3, "more": false})));
    assert_eq!(get(&broker, "queues?name=q")["items"][0]["depth"], 2_498);
    let (status, purged) = post_to(&broker, "queues/purge", &json!({"queue": "q"}));
    assert_eq!(
        (status, purged),
        (200, json!({"done": 2_497, "more": false}))
    );
    broker.kill();
    broker.start_again();
    assert_eq!(ids(&broker, "q").len(), 1);
    let (status, _) = post_to(&broker, "queues/purge", &json!({"queue": "none"}));
    assert_eq!(status, 404);
}

#[test]
fn a_durable_subscription_that_nobody_uses_is_deleted_by_its_identity() {
    let mut broker = start("");
    let shared = [("x-shared", "true"), ("activemq.subscriptionName", "s&s")];
    let mut wire = connect(&broker);
    wire.subscribe_with("s", "/topic/t", "client", &shared);
    wire.subscribe_with("byid", "/topic/t", "client", &[("durable", "true")]);
    wire.subscribe_with(
        "many",
        "/topic/b.>,/topic/a",
        "client",
        &[("durable", "true")],
    );
    let name = [("activemq.subscriptionName", "own")];
    let mut owner = Wire::connect_with(broker.stomp(), Version::V12, &[("client-id", "a=b")]);
    owner.subscribe_with("s", "/topic/t", "client", &name);
    let identities = |broker: &Broker| {
        let all = get(broker, "subscriptions");
        let items = all["items"].as_array().expect("items").iter();
        items
            .map(|item| item["identity"].clone())
            .collect::<Vec<_>>()
    };
    let all = identities(&broker);
    assert_eq!(all.len(), 4, "{all:?}");
    let forget = |broker: &Broker, identity: &Value| {
        let (status, json) = post_to(
            broker,
            "subscriptions/delete",
            &json!({"identity": identity}),
        );
        (status, json["error"]["message"].to_string())
    };
    for identity in &all {
        let (status, message) = forget(&broker, identity);
        assert!(status == 409 && message.contains("in use"), "{message}");
    }
    owner.request("UNSUBSCRIBE", &[("id", "s")], b"");
    let (status, message) = forget(&broker, &all[0]);
    assert!(
        status == 409 && message.contains("client-id"),
        "{status} {message}"
    );
    owner.disconnect();
    wire.disconnect();
    for identity in &all {
        assert_eq!(forget(&broker, identity).0, 204, "{identity}");
        assert_eq!(forget(&broker, identity).0, 404, "{identity}");
    }
    broker.kill();
    broker.start_again();
    assert_eq!(identities(&broker), Vec::<Value>::new());
}

#[test]
fn a_subscription_is_found_behind_a_thousand_whose_identities_contain_its_own() {
    let broker = start("");
    let mut wire = connect(&broker);
    let subscribe = |wire: &mut Wire, name: &str| {
        let shared = [("x-shared", "true"), ("activemq.subscriptionName", name)];
        wire.subscribe_with(name, "/topic/t", "client", &shared);
    };
    for number in 0..1_000 {
        subscribe(&mut wire, &format!("N{number}"));
    }
    subscribe(&mut wire, "n");
    wire.disconnect();
    let identity = json!({"identity": "shared&name=n"});
    assert_eq!(post_to(&broker, "subscriptions/delete", &identity).0, 204);
    assert_eq!(get(&broker, "subscriptions")["total"], 1_000);
}

#[test]
fn the_console_answers_under_the_names_that_are_configured() {
    let broker = start("[console]\nhosts = [\"Broker.example\"]\n");
    let console = broker.console().expect("the test starts a console");
    let address = console.trim_start_matches("http://");
    for (host, status) in [("broker.example:8161", "200"), ("other.example", "421")] {
        let mut stream = TcpStream::connect(address).expect("the console listens");
        let head = format!("GET /health HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        stream
            .write_all(head.as_bytes())
            .expect("the console reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        assert_eq!(answer.split(' ').nth(1), Some(status), "{host}");
        assert!(
            status == "200" || answer.contains("console.hosts"),
            "{answer}"
        );
    }
}

#[test]
fn a_console_that_may_not_manage_shows_no_message_and_changes_nothing() {
    let broker = start("[console]\nmanage = false\n");
    let mut wire = connect(&broker);
    wire.send_receipted("/queue/q", &[], "secret");
    wire.send_receipted("/queue/q", &[("x-delay", "60000")], "later");
    let scheduled = get(&broker, "scheduled")["items"][0]["id"].clone();
    let path = format!("scheduled/{}", scheduled.as_str().unwrap_or_default());
    for (method, path) in [
        ("GET", "messages?queue=q"),
        ("GET", "message?queue=q&id=x"),
        ("DELETE", path.as_str()),
    ] {
        let (status, json) = call(&broker, method, path, "", "");
        assert_eq!(
            (status, &json["error"]["code"]),
            (403, &"read_only".into()),
            "{path}"
        );
    }
    let (status, _) = post(&broker, "delete", &json!({"queue": "q", "ids": ["x"]}));
    assert_eq!(status, 403);
    let purge = post_to(&broker, "queues/purge", &json!({"queue": "q"}));
    let forget = post_to(&broker, "subscriptions/delete", &json!({"identity": "x"}));
    assert_eq!((purge.0, forget.0), (403, 403));
    assert_eq!(get(&broker, "overview")["scheduled"], 1);
}
