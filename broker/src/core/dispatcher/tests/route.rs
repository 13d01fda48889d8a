//! Configured routes: where copies go, and that they are one unit.

use super::*;
use stompbox_store::Medium;

fn routed() -> Bench {
    let mut bench = Bench::configured(
        Window::default(),
        "[[route]]\nfrom = '/queue/both'\nto = ['/queue/a', '/topic/t']\nforward_only = false\n\
         [[route]]\nfrom = '/queue/split'\nto = '/queue/big'\nselector = 'size > 10'\n\
         [[route]]\nfrom = '/queue/split'\nto = ['/queue/eu', '/queue/both']\nselector = \"region = 'eu'\"\n\
         [[route]]\nfrom = '/topic/news'\nto = ['/queue/a', '/topic/VirtualTopic.N', '/queue/full']\n\
         [[destination]]\nmatch = 'full'\nmax_messages = 1\nwhen_full = 'reject'\n",
    );
    for connection in 1..=4 {
        bench.open(connection);
    }
    bench.rest();
    bench.heard();
    bench
}

fn depths<const N: usize>(bench: &Bench, names: [&str; N]) -> [u64; N] {
    names.map(|name| bench.view(name).depth)
}

#[test]
fn what_is_sent_to_one_goes_to_others_too_or_instead() {
    let mut bench = routed();
    bench.subscribe(2, 0, "/topic/t", AckMode::Auto, 10);
    bench.send(1, "/queue/both", draft("a").receipt("ra"));
    bench.rest();
    assert_eq!(bench.heard(), ["2<a#1", "1<receipt ra"]);
    assert_eq!(depths(&bench, ["both", "a"]), [1, 1]);
    // Each destination once, however many ways lead there.
    bench.send(1, "/queue/both,/queue/a", draft("b"));
    bench.rest();
    assert_eq!(depths(&bench, ["both", "a"]), [2, 2]);
    bench.written(2, 0, 9);
    bench.subscribe(3, 0, "/queue/a", AckMode::ClientIndividual, 1);
    bench.rest();
    let number = bench.number_of("a");
    bench.subscribe(3, 1, "/queue/both", AckMode::ClientIndividual, 1);
    bench.rest();
    assert_eq!(bench.number_of("a"), number, "the same message");
}

#[test]
fn a_selector_says_which_and_what_none_takes_is_dropped_and_counted() {
    let mut bench = routed();
    for (text, head) in [
        ("a", "size:11\n"),
        ("b", "size:11\nregion:eu\n"),
        ("c", "region:eu\n"),
        ("d", ""),
    ] {
        bench.send(1, "/queue/split", draft(text).head(head).receipt(text));
        bench.rest();
    }
    // A route leads on to another.
    assert_eq!(
        depths(&bench, ["big", "eu", "both", "a", "split"]),
        [2, 2, 2, 2, 0]
    );
    assert_eq!(
        bench.heard(),
        ["1<receipt a", "1<receipt b", "1<receipt c", "1<unrouted d"]
    );
    assert_eq!(bench.dispatcher.overview().dropped_total, 1);
}

#[test]
fn all_copies_are_made_or_none() {
    let mut bench = routed();
    bench.subscribe(
        2,
        0,
        "/queue/Consumer.A.VirtualTopic.N",
        AckMode::Client,
        10,
    );
    bench.rest();
    bench.send(1, "/topic/news", draft("a"));
    bench.rest();
    assert_eq!(bench.heard(), ["2<a#1"]);
    assert_eq!(depths(&bench, ["a", "full"]), [1, 1]);
    bench.send(1, "/topic/news", draft("b"));
    bench.rest();
    assert_eq!(bench.heard(), ["1<refused: queue is full"]);
    let commit = |bench: &mut Bench, connection: u64, text: &'static str| {
        let sends = ["/queue/other", "/topic/news"]
            .map(|to| bench.publication(to, &draft(text)))
            .into();
        let transaction = TransactionHandle(1);
        let receipt = Some(ReceiptId(text.as_bytes().into()));
        bench.ask(
            connection,
            Request::Commit {
                transaction,
                sends,
                receipt,
            },
        );
    };
    commit(&mut bench, 3, "c");
    bench.rest();
    assert_eq!(bench.heard(), ["3<refused: queue is full"]);
    bench.subscribe(2, 1, "/queue/full", AckMode::Client, 10);
    bench.rest();
    bench.heard();
    commit(&mut bench, 4, "d");
    bench.turn();
    assert_eq!(bench.heard(), [""; 0], "nothing before it is durable");
    bench.rest();
    let mut heard = bench.heard();
    heard.sort();
    assert_eq!(heard, ["2<d#1", "2<d#1", "4<receipt d"]);
    bench.disk.fill(Medium::Database);
    bench.open(5);
    commit(&mut bench, 5, "e");
    bench.rest();
    assert_eq!(bench.heard()[0], "5<refused: disk is full");
    assert_eq!(depths(&bench, ["a", "other"]), [2, 1]);
}

#[test]
fn what_no_route_takes_is_said_to_be_dropped_and_its_id_stays_unknown() {
    let mut bench = routed();
    let said = |bench: &mut Bench| {
        bench.rest();
        let mut heard = bench.heard();
        heard.retain(|heard| !heard.ends_with("block"));
        heard
    };
    bench.send(1, "/queue/split", draft("a").id("x").receipt("ra"));
    assert_eq!(said(&mut bench), ["1<unrouted ra"]);
    let sends = vec![bench.publication("/queue/split", &draft("b").id("x"))];
    let commit = Request::Commit {
        transaction: TransactionHandle(1),
        sends,
        receipt: Some(ReceiptId(b"rb"[..].into())),
    };
    bench.ask(1, commit);
    assert_eq!(said(&mut bench), ["1<receipt rb"]);
    assert_eq!(bench.dispatcher.overview().dropped_total, 2);
    let taken = |text| draft(text).id("x").head("size:11\n");
    bench.send(1, "/queue/split", taken("c").receipt("rc"));
    bench.send(1, "/queue/split", taken("d").receipt("rd"));
    assert_eq!(said(&mut bench), ["1<receipt rc", "1<duplicate rd"]);
    assert_eq!(depths(&bench, ["big", "split"]), [1, 0]);
    assert_eq!(bench.dispatcher.overview().dropped_total, 2);
}

#[test]
fn what_some_know_and_no_route_takes_from_the_others_is_a_repeat() {
    let mut bench = routed();
    bench.send(1, "/queue/a", draft("a").id("x").receipt("ra"));
    bench.send(1, "/queue/a,/queue/split", draft("b").id("x").receipt("rb"));
    bench.rest();
    let mut heard = bench.heard();
    heard.retain(|heard| !heard.ends_with("block"));
    assert_eq!(heard, ["1<receipt ra", "1<duplicate rb"]);
    assert_eq!(depths(&bench, ["a", "big"]), [1, 0]);
}

#[test]
fn a_full_queue_refuses_what_has_an_id_and_a_route_brings() {
    let mut bench = routed();
    bench.send(1, "/queue/full", draft("a"));
    bench.send(1, "/topic/news", draft("b").id("x"));
    bench.rest();
    let mut heard = bench.heard();
    heard.retain(|heard| !heard.ends_with("block"));
    assert_eq!(heard, ["1<refused: queue is full"]);
    assert_eq!(depths(&bench, ["a", "full"]), [0, 1]);
}

#[test]
fn a_full_queue_behind_a_route_holds_its_sender_back_whatever_it_sends() {
    let sends: [fn(&mut Bench); 3] = [
        |bench| bench.send(1, "/queue/from", draft("a")),
        |bench| bench.send(1, "/queue/from", draft("a").id("x")),
        |bench| {
            let send = bench.publication("/queue/from", &draft("a").id("x"));
            let transaction = TransactionHandle(1);
            let (sends, receipt) = (vec![send], None);
            bench.ask(
                1,
                Request::Commit {
                    transaction,
                    sends,
                    receipt,
                },
            );
        },
    ];
    for (number, send) in sends.into_iter().enumerate() {
        let mut bench = Bench::configured(
            Window::default(),
            "[[route]]\nfrom = 'from'\nto = 'narrow'\n\
             [[destination]]\nmatch = 'narrow'\nmax_messages = 1\nwhen_full = 'block'\n",
        );
        bench.open(1);
        bench.rest();
        send(&mut bench);
        bench.rest();
        assert_eq!(bench.heard(), ["1<block"], "way {number}");
        assert_eq!(depths(&bench, ["narrow"]), [1]);
    }
}

#[test]
fn dead_letters_and_returns_follow_no_route() {
    let mut bench = Bench::configured(
        Window::default(),
        "[[route]]\nfrom = 'ActiveMQ.DLQ'\nto = 'graveyard'\n\
         [[route]]\nfrom = 'q'\nto = 'copy'\nforward_only = false\n",
    );
    bench.open(1);
    bench.subscribe(1, 0, "/queue/q", AckMode::ClientIndividual, 1);
    bench.send(1, "/queue/q", draft("a"));
    bench.rest();
    bench.lose(1, 1);
    bench.open(1);
    bench.subscribe(1, 0, "/queue/q", AckMode::ClientIndividual, 1);
    bench.rest();
    let never = Verdict::Nack {
        delay: None,
        requeue: crate::core::port::Requeue::Forbidden,
    };
    bench.acknowledge(1, "a", never, None);
    bench.rest();
    assert_eq!(
        depths(&bench, ["copy", "ActiveMQ.DLQ", "graveyard"]),
        [1, 1, 0]
    );
}
