//! Durable subscriptions that nobody uses: a message stands in their topic's log once, and costs what one of them costs.

use std::net::SocketAddr;
use std::time::Duration;

use stompbox_tests::say;
use stompbox_tests::scale::Scale;

use crate::client::{Client, body};
use crate::load::{
    BODY_BYTES, compare, folder_bytes, kill_and_start, publish_numbered, read_number, start,
};

const TOPIC: &str = "/topic/news";

/// Matches it.
const PATTERN: &str = "/topic/*";

fn subscribing(number: usize, to: &str) -> String {
    format!(
        "SUBSCRIBE\nid:{number}\ndestination:{to}\nack:client\nactivemq.subscriptionName:n{number}\n\
         receipt:{number}\n\n\0"
    )
}

/// Makes so many durable subscriptions, which are offline after that.
pub(crate) fn make_durable(address: SocketAddr, count: usize, to: &str) {
    const OF_A_CONNECTION: usize = 1_000;
    let numbers: Vec<usize> = (0..count).collect();
    for (index, numbers) in numbers.chunks(OF_A_CONNECTION).enumerate() {
        let mut client = Client::connect_with(address, &format!("client-id:c{index}\n"));
        for numbers in numbers.chunks(100) {
            let frames: String = numbers
                .iter()
                .map(|number| subscribing(*number, to))
                .collect();
            client.send(frames);
            for _ in numbers {
                client.expect_receipt();
            }
        }
        client.disconnect();
    }
}

#[test]
fn many_durable_subscriptions_that_are_offline_cost_what_one_costs() {
    compare_with_one(TOPIC);
}

#[test]
fn many_durable_subscriptions_to_a_pattern_that_are_offline_cost_what_one_costs() {
    compare_with_one(PATTERN);
}

fn compare_with_one(to: &str) {
    let scale = Scale::asked_for();
    let (subscriptions, messages, rounds) = scale.of((300, 2_000, 3), (10_000, 100_000, 5));
    let one = start();
    make_durable(one.stomp(), 1, to);
    let mut many = start();
    make_durable(many.stomp(), subscriptions, to);
    let (before_one, before) = (folder_bytes(&one.data()), folder_bytes(&many.data()));

    let publish = |client: &mut Client, round: usize| {
        let round = |_| format!("round:{round}\n");
        publish_numbered(client, messages, TOPIC, round)
    };
    let mut to_one = Client::connect(one.stomp());
    let mut to_many = Client::connect(many.stomp());
    let (rate_one, rate) = compare(
        rounds,
        |round| publish(&mut to_one, round),
        |round| publish(&mut to_many, round),
    );
    let sent = (messages * rounds) as f64;
    let each = |before: u64, after: u64| after.saturating_sub(before) as f64 / sent;
    let each_one = each(before_one, folder_bytes(&one.data()));
    let each_many = each(before, folder_bytes(&many.data()));

    let after_kill = kill_and_start(&mut many);
    many.terminate();
    let began = std::time::Instant::now();
    many.start_again();
    let after_stop = began.elapsed();
    // Some of them, and the last one.
    for number in [0, subscriptions / 2, subscriptions - 1] {
        let client_id = format!("client-id:c{}\n", number / 1_000);
        let mut client = Client::connect_with(many.stomp(), &client_id);
        client.send(subscribing(number, to));
        client.expect_receipt();
        for expected in 0..messages.min(500) {
            assert_eq!(read_number(body(client.next())), expected);
        }
        client.disconnect();
    }
    let ratio = rate / rate_one;
    say(&format!(
        "proof: scale offline: {subscriptions} durable subscriptions to {to} {rate:.0}/s, one {rate_one:.0}/s, ratio {ratio:.2}; \
         {each_many:.0} bytes of disk a message of {BODY_BYTES}, {each_one:.0} with one; \
         listens {after_kill:.0?} after a kill, {after_stop:.0?} after a stop"
    ));
    assert!(ratio >= scale.of(0.25, 0.8), "{ratio:.2}");
    // A share is smaller than the file that the database writes ahead.
    let bytes_max = scale.of(8.0, 2.0) * BODY_BYTES as f64;
    assert!(each_many < bytes_max, "{each_many:.0}");
    let limit = scale.of(Duration::from_secs(10), Duration::from_secs(1));
    assert!(
        after_kill < limit && after_stop < limit,
        "{after_kill:?}, {after_stop:?}"
    );
}
