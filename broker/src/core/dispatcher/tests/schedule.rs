//! Messages that are to be delivered later.

use super::*;
use crate::core::port::Lasting;
use stompbox_store::{Medium, ScheduleId};

const QUEUE: &str = "/queue/q";
const MANAGEMENT: &str = "/topic/ActiveMQ.Scheduler.Management";

/// Connection 1 sends, connection 2 consumes.
fn bench() -> Bench {
    let mut bench = Bench::new();
    set_up(&mut bench);
    bench
}

fn set_up(bench: &mut Bench) {
    bench.open(1);
    bench.open(2);
    bench.subscribe(2, 0, QUEUE, AckMode::Auto, 1_000);
    bench.rest();
    bench.heard();
}

/// So many milliseconds pass, and everything happens that is due then.
fn wait(bench: &mut Bench, ms: u64) -> Vec<String> {
    bench.pass(ms);
    bench.rest();
    bench.heard()
}

#[test]
fn a_message_comes_when_it_is_due_and_not_before() {
    let mut bench = bench();
    bench.send(1, QUEUE, draft("a").schedule("delay=1000").receipt("ra"));
    bench.turn();
    assert!(bench.heard().is_empty(), "its receipt waits for the disk");
    bench.rest();
    assert_eq!(bench.heard(), ["1<receipt ra"]);
    assert_eq!(bench.dispatcher.overview().scheduled, 1);
    assert!(wait(&mut bench, 999).is_empty());
    assert_eq!(wait(&mut bench, 1), ["2<a#1"]);
    bench.written(2, 0, 1);
    bench.rest();
    assert_eq!(bench.dispatcher.overview().scheduled, 0);
    assert!(bench.disk.tallies().is_empty());
}

#[test]
fn the_dispatcher_wants_to_be_woken_in_time() {
    let mut bench = bench();
    bench.send(1, QUEUE, draft("a").schedule("delay=400"));
    bench.rest();
    let wake = bench.dispatcher.next_wake(bench.now);
    assert_eq!(wake, Some(Duration::from_millis(400)));
    bench.send(1, QUEUE, draft("b").schedule("delay=90000000000"));
    bench.pass(400);
    bench.rest();
    let wake = bench.dispatcher.next_wake(bench.now);
    let soon = Some(bench.now.uptime + Duration::from_secs(1));
    assert_eq!(wake, soon, "the clock may be set forwards meanwhile");
}

#[test]
fn what_is_due_earlier_comes_earlier_whichever_was_sent_first() {
    let mut bench = bench();
    for (text, schedule) in [("a", "delay=300"), ("b", "delay=100"), ("c", "delay=200")] {
        bench.send(1, QUEUE, draft(text).schedule(schedule));
    }
    bench.rest();
    assert_eq!(wait(&mut bench, 150), ["2<b#1"]);
    assert_eq!(wait(&mut bench, 150), ["2<c#1", "2<a#1"]);
}

#[test]
fn each_firing_of_a_repeat_is_a_message_of_its_own() {
    let mut bench = bench();
    bench.send(
        1,
        QUEUE,
        draft("a").schedule("delay=10 period=100 repeat=2"),
    );
    bench.rest();
    let mut numbers = Vec::new();
    for ms in [10, 100, 100] {
        assert_eq!(wait(&mut bench, ms), ["2<a#1"]);
        numbers.push(bench.number_of("a"));
        bench.written(2, 0, 1);
    }
    assert!(wait(&mut bench, 1_000).is_empty());
    numbers.dedup();
    assert_eq!(numbers.len(), 3);
}

#[test]
fn what_was_missed_comes_once_and_then_on_its_grid() {
    let mut bench = bench();
    bench.send(1, QUEUE, draft("a").schedule("delay=100"));
    bench.send(1, QUEUE, draft("b").schedule("period=100 repeat=-1"));
    bench.rest();
    bench.restart();
    bench.pass(1_050);
    set_up(&mut bench);
    let mut heard = wait(&mut bench, 0);
    heard.sort();
    assert_eq!(
        heard,
        Vec::<String>::new(),
        "they came while the queue was set up"
    );
    bench.written(2, 0, 2);
    assert!(wait(&mut bench, 49).is_empty());
    assert_eq!(wait(&mut bench, 1), ["2<b#1"]);
}

#[test]
fn a_restart_forgets_nothing_and_a_firing_is_seen_when_it_is_durable() {
    let mut bench = bench();
    bench.send(1, QUEUE, draft("a").schedule("delay=100").non_persistent());
    bench.rest();
    bench.pass(100);
    bench.turn();
    bench.answer();
    assert!(
        bench.heard().is_empty(),
        "it is not durable that it was fired"
    );
    bench.restart();
    set_up_without_hearing(&mut bench);
    bench.rest();
    assert_eq!(bench.heard(), ["2<a#1"]);
    let message = bench.number_of("a");
    assert_eq!(bench.dispatcher.overview().scheduled, 0);
    assert!(message.0 > 0);
}

fn set_up_without_hearing(bench: &mut Bench) {
    bench.open(1);
    bench.open(2);
    bench.subscribe(2, 0, QUEUE, AckMode::Auto, 1_000);
}

#[test]
fn topics_and_lists_are_scheduled_too() {
    let mut bench = bench();
    bench.open_as(3, Version::V1_2, Some("c"));
    bench.subscribe(2, 1, "/topic/t", AckMode::Auto, 10);
    bench.subscribe_with(3, 0, "/topic/t", AckMode::Auto, 10, |wish| {
        wish.lasting = Some(Lasting::Durable("n".into()));
    });
    bench.send(1, "/topic/t,/queue/q", draft("a").schedule("delay=100"));
    bench.rest();
    bench.heard();
    let mut heard = wait(&mut bench, 100);
    heard.sort();
    assert_eq!(heard, ["2<a#1", "2<a#1", "3<a#1"]);
}

#[test]
fn a_transaction_schedules_at_its_commit_and_not_at_all_if_it_is_refused() {
    let mut bench = bench();
    let commit = |bench: &mut Bench| {
        let publication = bench.publication(QUEUE, &draft("a").schedule("delay=100"));
        bench.ask(
            1,
            Request::Commit {
                transaction: TransactionHandle(1),
                sends: vec![publication],
                receipt: Some(ReceiptId(b"r"[..].into())),
            },
        );
    };
    commit(&mut bench);
    bench.rest();
    assert_eq!(bench.heard(), ["1<receipt r"]);
    assert_eq!(wait(&mut bench, 100), ["2<a#1"]);
    bench.disk.fill(Medium::Database);
    commit(&mut bench);
    bench.rest();
    let first = bench.heard().into_iter().next();
    assert_eq!(first.as_deref(), Some("1<refused: disk is full"));
    bench.disk.free(Medium::Database);
    bench.hear();
    assert!(wait(&mut bench, 1_000).is_empty());
    assert_eq!(bench.dispatcher.overview().scheduled, 0);
}

#[test]
fn what_cannot_be_fired_on_a_full_disk_comes_when_there_is_room() {
    let mut bench = bench();
    bench.send(1, QUEUE, draft("a").schedule("delay=100"));
    bench.rest();
    bench.disk.fill(Medium::Database);
    assert!(wait(&mut bench, 100).is_empty());
    assert_eq!(bench.dispatcher.overview().scheduled, 1);
    bench.disk.free(Medium::Database);
    bench.hear();
    assert_eq!(wait(&mut bench, 0), ["2<a#1"]);
    assert_eq!(bench.dispatcher.overview().scheduled, 0);
}

#[test]
fn temporary_destinations_have_no_schedule() {
    let mut bench = bench();
    let name = name("/remote-temp-queue/x");
    bench.ask(2, Request::MakeTemporary(name));
    bench.send(1, "/remote-temp-queue/x", draft("a").schedule("delay=100"));
    bench.rest();
    assert_eq!(
        bench.heard(),
        ["1<refused: temporary destinations have no schedule"]
    );
}

#[test]
fn more_than_one_look_takes_come_all() {
    let mut bench = bench();
    for _ in 0..2_500 {
        bench.send(1, QUEUE, draft("a").schedule("delay=100").non_persistent());
    }
    bench.rest();
    bench.pass(100);
    let mut count = 0;
    for _ in 0..20 {
        bench.rest();
        let heard = bench.heard().len() as u32;
        count += heard;
        bench.written(2, 0, heard);
    }
    assert_eq!(count, 2_500);
}

#[test]
fn an_answer_belongs_to_the_group_of_its_message() {
    let mut bench = bench();
    for connection in [1, 2] {
        bench.subscribe(connection, 5, "/queue/answers", AckMode::Auto, 100);
    }
    let grouped = draft("a").head("JMSXGroupID:g\n").schedule("delay=100");
    bench.send(1, QUEUE, grouped);
    bench.rest();
    bench.heard();
    let browse = "AMQ_SCHEDULER_ACTION:BROWSE\nreply-to:/queue/answers\n";
    let mut answers = Vec::new();
    for _ in 0..3 {
        bench.send(
            1,
            "/topic/ActiveMQ.Scheduler.Management",
            draft("d").head(browse),
        );
        bench.rest();
        answers.extend(
            bench
                .heard()
                .into_iter()
                .filter(|heard| heard.contains("a#1")),
        );
    }
    assert_eq!(answers.len(), 3);
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
}

#[test]
fn a_removal_says_whether_its_name_is_missing_or_malformed() {
    for (head, expected) in [
        ("", "1<refused: scheduledJobId is missing"),
        (
            "scheduledJobId:nope\n",
            "1<refused: scheduledJobId is malformed",
        ),
        ("scheduledJobId:7-12\n", "1<receipt r"),
    ] {
        let mut bench = bench();
        let head = format!("AMQ_SCHEDULER_ACTION:REMOVE\n{head}").leak();
        bench.send(1, MANAGEMENT, draft("d").head(head).receipt("r"));
        bench.rest();
        let mut heard = bench.heard();
        heard.retain(|heard| !heard.ends_with("block"));
        assert_eq!(heard, [expected]);
    }
}

#[test]
fn the_schedule_is_listed_and_cancelled_over_messages() {
    let mut bench = bench();
    bench.subscribe(1, 5, "/queue/answers", AckMode::Auto, 100);
    for (text, schedule) in [("a", "delay=100"), ("b", "delay=200"), ("c", "delay=300")] {
        bench.send(1, QUEUE, draft(text).schedule(schedule));
    }
    bench.rest();
    bench.heard();
    let browse = "AMQ_SCHEDULER_ACTION:BROWSE\nreply-to:/queue/answers\n";
    bench.send(1, MANAGEMENT, draft("d").head(browse));
    bench.rest();
    assert_eq!(bench.heard_heads("scheduledJobId").len(), 3);
    let ids = bench.heard_heads("scheduledJobId");
    assert_eq!(bench.heard_heads("scheduledDestination"), [QUEUE; 3]);
    let second: &'static str =
        format!("AMQ_SCHEDULER_ACTION:REMOVE\nscheduledJobId:{}\n", ids[1]).leak();
    bench.heard();
    bench.send(1, MANAGEMENT, draft("d").head(second).receipt("r"));
    bench.turn();
    assert_eq!(bench.heard(), ["1<block"], "it is looked for");
    bench.answer();
    assert_eq!(
        bench.heard(),
        ["1<unblock"],
        "the receipt waits for the disk"
    );
    bench.rest();
    assert_eq!(bench.heard(), ["1<receipt r"]);
    let all = "AMQ_SCHEDULER_ACTION:REMOVEALL\nAMQ_SCHEDULER_ACTION_START_TIME:1000250\n";
    bench.send(1, MANAGEMENT, draft("d").head(all));
    bench.rest();
    assert_eq!(bench.dispatcher.overview().scheduled, 1);
    assert_eq!(wait(&mut bench, 1_000), ["2<a#1"]);
    bench.send(1, MANAGEMENT, draft("d"));
    bench.rest();
    assert_eq!(
        bench.heard(),
        ["1<refused: AMQ_SCHEDULER_ACTION is unknown"]
    );
}

#[test]
fn requests_of_one_connection_get_no_others_refused_and_few_are_read_at_a_time() {
    let mut bench = bench();
    let management = "/topic/ActiveMQ.Scheduler.Management";
    let browse = "AMQ_SCHEDULER_ACTION:BROWSE\nreply-to:/queue/q\n";
    for _ in 0..64 {
        bench.send(1, management, draft("").head(browse));
    }
    bench.send(2, management, draft("").head(browse).receipt("r"));
    bench.turn();
    assert_eq!(bench.heard(), ["2<receipt r"]);
    bench.send(1, management, draft("").head(browse));
    bench.turn();
    assert_eq!(
        bench.heard(),
        ["1<refused: too many requests of the schedule"]
    );
    let mut reads = 0;
    while bench.disk.finish_read(4) {
        reads += 1;
    }
    assert_eq!(reads, 0, "more than four reads at a time");
    bench.rest();
    bench.send(2, management, draft("").head(browse).receipt("r"));
    bench.rest();
    assert_eq!(bench.heard(), ["2<receipt r"]);
}

#[test]
fn a_queue_that_something_is_scheduled_for_is_in_use() {
    let mut bench = Bench::configured(Window::default(), "[policy]\nremove_unused_after = '1s'\n");
    bench.open(1);
    bench.send(1, QUEUE, draft("a").schedule("delay=600000"));
    bench.rest();
    for _ in 0..2 {
        for _ in 0..100 {
            bench.pass(1_000);
            bench.rest();
        }
        assert_eq!(bench.view("q").depth, 0);
        bench.restart();
    }
    bench.pass(600_000);
    bench.rest();
    assert_eq!(bench.view("q").depth, 1);
}

#[test]
fn a_queue_that_nothing_is_scheduled_for_any_more_goes() {
    let mut bench = Bench::configured(Window::default(), "[policy]\nremove_unused_after = '1s'\n");
    bench.open(1);
    let wait = |bench: &mut Bench| {
        for _ in 0..20 {
            bench.pass(500);
            bench.rest();
        }
    };
    let is_there = |bench: &Bench| bench.dispatcher.names.contains_key(&name(QUEUE));
    // One comes twice, one is taken off.
    bench.send(
        1,
        QUEUE,
        draft("a").schedule("delay=100 period=5000 repeat=1"),
    );
    bench.send(1, QUEUE, draft("b").schedule("delay=600000"));
    bench.rest();
    for restarts in [false, true] {
        if restarts {
            bench.restart();
            bench.open(1);
        }
        bench.subscribe(1, 0, QUEUE, AckMode::Auto, 10);
        wait(&mut bench);
        let came = bench.heard().len() as u32;
        assert_eq!(came, if restarts { 0 } else { 2 });
        bench.written(1, 0, came);
        bench.lose(1, 9);
        bench.open(1);
        wait(&mut bench);
        assert!(is_there(&bench), "b is to come");
    }
    bench.send(
        1,
        MANAGEMENT,
        draft("").head("AMQ_SCHEDULER_ACTION:REMOVEALL\n"),
    );
    bench.rest();
    assert_eq!(bench.dispatcher.overview().scheduled, 0);
    wait(&mut bench);
    assert!(!is_there(&bench), "nothing is to come");
}

#[test]
fn what_is_scheduled_follows_its_routes_when_it_comes() {
    let mut bench = Bench::configured(
        Window::default(),
        "[[route]]\nfrom = '/queue/q'\nto = ['/queue/copy']\nforward_only = false\n",
    );
    bench.open(1);
    let views = |bench: &Bench| (bench.view("q").depth, bench.view("copy").depth);
    bench.send(1, QUEUE, draft("a").schedule("delay=100"));
    bench.rest();
    assert_eq!(views(&bench), (0, 0));
    bench.pass(100);
    bench.rest();
    assert_eq!(views(&bench), (1, 1));
    for _ in 0..2 {
        bench.send(1, QUEUE, draft("b").id("x"));
    }
    bench.rest();
    assert_eq!(views(&bench), (2, 2));
}

#[test]
fn what_is_cancelled_while_it_is_read_does_not_come() {
    let mut bench = bench();
    bench.send(1, QUEUE, draft("a").schedule("delay=100"));
    bench.send(1, QUEUE, draft("b").schedule("delay=100"));
    bench.rest();
    bench.pass(100);
    bench.turn();
    bench.disk.begin_read(0);
    let all = "AMQ_SCHEDULER_ACTION:REMOVEALL\n";
    bench.send(
        1,
        "/topic/ActiveMQ.Scheduler.Management",
        draft("").head(all),
    );
    bench.turn();
    // The removal is found first, and is durable, before what is due comes.
    assert!(bench.disk.finish_read(1));
    bench.hear();
    bench.commit();
    bench.rest();
    assert!(bench.heard().is_empty());
    assert_eq!(bench.dispatcher.overview().scheduled, 0);
}

#[test]
fn what_has_fired_while_a_removal_looked_for_it_is_counted_once() {
    let mut bench = bench();
    bench.send(1, QUEUE, draft("a").schedule("delay=100"));
    bench.send(1, QUEUE, draft("b").schedule("delay=9000"));
    bench.rest();
    let soon = "AMQ_SCHEDULER_ACTION:REMOVEALL\nAMQ_SCHEDULER_ACTION_END_TIME:1000100\n";
    bench.send(
        1,
        "/topic/ActiveMQ.Scheduler.Management",
        draft("").head(soon),
    );
    bench.turn();
    bench.disk.begin_read(0);
    bench.pass(100);
    bench.turn();
    assert!(bench.disk.finish_read(1), "what is due comes first");
    bench.turn();
    bench.rest();
    assert_eq!(bench.heard(), ["2<a#1"]);
    assert_eq!(bench.dispatcher.overview().scheduled, 1);
}

#[test]
fn what_returns_to_a_topics_subscription_stands_where_it_fired() {
    let mut bench = Bench::new();
    bench.open(1);
    bench.open(2);
    bench.subscribe(2, 0, "/topic/t", AckMode::Client, 10);
    bench.send(1, "/topic/t", draft("a").schedule("delay=100"));
    bench.send(1, "/topic/t", draft("b"));
    bench.rest();
    assert_eq!(bench.heard(), ["2<b#1"]);
    assert_eq!(wait(&mut bench, 100), ["2<a#1"]);
    let nack = Verdict::Nack {
        delay: Some(Duration::ZERO),
        requeue: crate::core::port::Requeue::Allowed,
    };
    bench.acknowledge(2, "a", nack, None);
    bench.rest();
    assert_eq!(bench.heard(), ["2<b#2", "2<a#2"]);
}

#[test]
fn what_is_scheduled_while_the_next_one_is_looked_for_comes_in_time() {
    let mut bench = bench();
    bench.send(1, QUEUE, draft("a").schedule("delay=100"));
    bench.rest();
    bench.pass(100);
    bench.turn();
    bench.answer();
    bench.turn();
    // The firing is not durable yet, and the next one is scheduled behind it.
    bench.send(1, QUEUE, draft("b").schedule("delay=50"));
    bench.turn();
    bench.disk.commit(bench.disk.pending_batches() - 1);
    bench.hear();
    bench.disk.begin_read(0);
    bench.rest();
    assert_eq!(bench.heard(), ["2<a#1"]);
    assert_eq!(wait(&mut bench, 50), ["2<b#1"]);
}

/// A request to take one off, with a receipt.
fn remove(bench: &mut Bench, head: &'static str, receipt: &'static str) {
    let management = "/topic/ActiveMQ.Scheduler.Management";
    bench.send(1, management, draft("").head(head).receipt(receipt));
}

#[test]
fn what_is_not_scheduled_is_not_counted_out() {
    let mut bench = bench();
    bench.send(1, QUEUE, draft("a").schedule("delay=100"));
    bench.rest();
    let unknown = "AMQ_SCHEDULER_ACTION:REMOVE\nscheduledJobId:1-99999\n";
    remove(&mut bench, unknown, "r");
    bench.send(1, QUEUE, draft("b").receipt("rb"));
    bench.turn();
    let before: Vec<String> = bench.heard();
    assert_eq!(
        before,
        ["1<block"],
        "what is sent behind it waits until the store has answered"
    );
    bench.rest();
    let mut heard = bench.heard();
    heard.sort();
    assert_eq!(heard, ["1<receipt r", "1<receipt rb", "1<unblock", "2<b#1"]);
    assert_eq!(bench.dispatcher.overview().scheduled, 1);
    assert_eq!(wait(&mut bench, 100), ["2<a#1"]);
    assert_eq!(bench.dispatcher.overview().scheduled, 0);
}

#[test]
fn who_has_gone_while_it_was_looked_for_takes_it_off_all_the_same() {
    let mut bench = bench();
    bench.send(1, QUEUE, draft("a").schedule("delay=100"));
    bench.rest();
    // Its place in the schedule was the last that was numbered.
    let own = bench.dispatcher.last_sequence;
    let head = format!(
        "AMQ_SCHEDULER_ACTION:REMOVE\nscheduledJobId:{}\n",
        super::super::scheduler::name_of(ScheduleId(own.0))
    );
    remove(&mut bench, head.leak(), "r");
    bench.turn();
    bench.lose(1, 0);
    bench.rest();
    bench.heard();
    assert_eq!(bench.dispatcher.overview().scheduled, 0);
    assert!(wait(&mut bench, 100).is_empty());
}

#[test]
fn what_was_taken_off_is_not_listed_although_the_store_still_shows_it() {
    let mut bench = bench();
    bench.send(1, QUEUE, draft("a").schedule("delay=100"));
    bench.rest();
    let management = "/topic/ActiveMQ.Scheduler.Management";
    let all = "AMQ_SCHEDULER_ACTION:REMOVEALL\n";
    let list = "AMQ_SCHEDULER_ACTION:BROWSE\nreply-to:/queue/q\n";
    bench.send(1, management, draft("").head(all));
    bench.send(1, management, draft("").head(list));
    bench.turn();
    assert!(
        bench.disk.finish_read(0),
        "what is to be taken off is found"
    );
    assert!(bench.disk.finish_read(0), "and read before that is stored");
    bench.hear();
    bench.rest();
    assert!(bench.heard().is_empty());
}
