//! The broker is killed under the client, and nobody notices.
//!
//! `STOMPBOX_CLIENT_KILLS` sets the number of kills (default 20).

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use stompbox_client::{AcknowledgeMode, ClientError, Connection, Producer, Reconnect, blocking};
use stompbox_tests::broker::{Broker, Console, Launch};
use stompbox_tests::relay::Relay;
use stompbox_tests::say;

use crate::{PATIENCE, PROGRAM};

/// Nothing is delivered that a crash could forget.
const DURABLE: &str = "[policy]\ndispatch = \"durable\"\n";

/// Confirmed messages in each life of the broker.
const LIFE_MESSAGES: usize = 150;

/// Messages under way at once.
const IN_FLIGHT: usize = 32;

/// Each delivery of each message: whether it said that it may not be the first.
type Seen = Arc<Mutex<BTreeMap<u64, Vec<bool>>>>;

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a run under kills has shown.
struct Outcome {
    total: usize,
    /// Came more than once.
    again: usize,
    /// Came more than once, and did not say so.
    doubled: usize,
}

fn kill(broker: &mut Broker, relay: &Relay) {
    relay.lead_to(None);
    broker.kill();
    broker.start_again();
    relay.lead_to(Some(broker.stomp()));
}

/// A listener and a producer on one connection while the broker is killed and started again.
fn under_kills(kills: usize, configuration: &str) -> Result<Outcome> {
    let relay = Relay::start()?;
    let launch = Launch::new(PROGRAM).console(Console::None);
    let mut broker = launch.configuration(configuration).start();
    relay.lead_to(Some(broker.stomp()));
    let runtime = tokio::runtime::Runtime::new()?;
    let reconnect = Reconnect::default().initial_delay(Duration::from_millis(10));
    let connect = Connection::builder(relay.address().to_string())
        .reconnect(reconnect.longest_delay(Duration::from_millis(100)))
        .in_flight_max(IN_FLIGHT)
        .connect();
    let connection = runtime.block_on(connect)?;

    // This is all that its author writes.
    let session = connection.session(AcknowledgeMode::Auto);
    let seen = Seen::default();
    let log = Arc::clone(&seen);
    let consumer = runtime.block_on(session.consumer("/queue/work"))?;
    let listener = {
        let _guard = runtime.enter();
        consumer.listener().concurrency(2).start(move |message| {
            let log = Arc::clone(&log);
            async move {
                let number = message.text()?.parse().unwrap_or(u64::MAX);
                let is_redelivered = message.is_redelivered();
                lock(&log).entry(number).or_default().push(is_redelivered);
                Ok::<(), ClientError>(())
            }
        })
    };
    let total = (kills + 1) * LIFE_MESSAGES;
    let confirmed = Arc::new(AtomicUsize::new(0));
    let producer = session.producer("/queue/work");
    let sender = runtime.spawn(send_all(producer, total, Arc::clone(&confirmed)));

    for life in 1..=kills {
        let wanted = life * LIFE_MESSAGES - LIFE_MESSAGES / 2;
        until(|| (confirmed.load(Ordering::Relaxed), wanted), "confirmed")?;
        kill(&mut broker, &relay);
    }
    runtime.block_on(sender)??;
    until(|| (lock(&seen).len(), total), "received")?;
    runtime.block_on(listener.stop());
    runtime.block_on(connection.close())?;

    let seen = lock(&seen);
    let unmarked = |deliveries: &&Vec<bool>| deliveries.iter().filter(|again| !**again).count() > 1;
    Ok(Outcome {
        total,
        again: seen.values().filter(|all| all.len() > 1).count(),
        doubled: seen.values().filter(unmarked).count(),
    })
}

/// Sends numbers, so many under way at once.
async fn send_all(
    producer: Producer,
    total: usize,
    confirmed: Arc<AtomicUsize>,
) -> Result<(), ClientError> {
    let mut under_way = VecDeque::new();
    for number in 0..total {
        under_way.push_back(producer.send_async(number.to_string()).await?);
        if under_way.len() == IN_FLIGHT
            && let Some(oldest) = under_way.pop_front()
        {
            oldest.await?;
            confirmed.fetch_add(1, Ordering::Relaxed);
        }
    }
    for completion in under_way {
        completion.await?;
        confirmed.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

/// Waits until there are as many as are wanted.
fn until(count: impl Fn() -> (usize, usize), what: &str) -> Result<()> {
    let end = Instant::now() + PATIENCE;
    loop {
        let (there, wanted) = count();
        if there >= wanted {
            return Ok(());
        }
        ensure!(Instant::now() < end, "{there} of {wanted} {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn check(kills: usize, configuration: &str) -> Result<()> {
    let Outcome {
        total,
        again,
        doubled,
    } = under_kills(kills, configuration)?;
    say(&format!(
        "proof: Rust client: {kills} kills, {total} messages, none lost, {again} came again and said so, \
         {doubled} twice without"
    ));
    ensure!(doubled == 0, "{doubled} messages had their effect twice");
    Ok(())
}

#[test]
fn a_listener_and_a_producer_do_not_notice_that_the_broker_is_killed() -> Result<()> {
    let kills = std::env::var("STOMPBOX_CLIENT_KILLS").ok();
    check(kills.map_or(Ok(20), |text| text.parse())?, "")
}

#[test]
fn nor_where_nothing_is_delivered_that_a_crash_could_forget() -> Result<()> {
    check(4, DURABLE)
}

#[test]
fn blocking_calls_do_not_notice_that_the_broker_is_killed() -> Result<()> {
    let relay = Relay::start()?;
    let mut broker = Launch::new(PROGRAM).console(Console::None).start();
    relay.lead_to(Some(broker.stomp()));
    let reconnect = Reconnect::default().initial_delay(Duration::from_millis(10));
    let connection = blocking::Connection::builder(relay.address().to_string())
        .reconnect(reconnect)
        .connect_blocking()?;
    let session = connection.session(AcknowledgeMode::Individual);
    let producer = session.producer("/queue/work");
    let mut consumer = session.consumer("/queue/work")?;
    for life in 0..3 {
        producer.send(format!("{life}"))?;
        let message = consumer.receive()?;
        ensure!(message.text()? == format!("{life}"), "{message:?}");
        consumer.ack_confirmed(&message)?;
        kill(&mut broker, &relay);
    }
    ensure!(
        consumer
            .receive_timeout(Duration::from_millis(300))?
            .is_none(),
        "all are settled"
    );
    connection.close()?;
    Ok(())
}

/// Messages that a transacted listener moves in each life of the broker.
const LIFE_MOVES: usize = 20;

#[test]
fn a_transacted_listener_moves_each_message_once_while_the_broker_is_killed() -> Result<()> {
    const KILLS: usize = 5;
    let relay = Relay::start()?;
    let launch = Launch::new(PROGRAM).console(Console::None);
    let mut broker = launch.start();
    relay.lead_to(Some(broker.stomp()));
    let reconnect = Reconnect::default().initial_delay(Duration::from_millis(10));
    let connection = blocking::Connection::builder(relay.address().to_string())
        .reconnect(reconnect.longest_delay(Duration::from_millis(100)));
    let runtime = tokio::runtime::Runtime::new()?;
    let connection = runtime.block_on(connection.connect())?;
    let total = (KILLS + 1) * LIFE_MOVES;
    let producer = connection
        .session(AcknowledgeMode::Auto)
        .producer("/queue/here");
    let sent = send_all(producer, total, Arc::default());
    runtime.block_on(sent)?;

    let session = connection.session(AcknowledgeMode::Transacted);
    let target = session.producer("/queue/there");
    let consumer = runtime.block_on(session.consumer("/queue/here"))?;
    let calls = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&calls);
    let listener = {
        let _guard = runtime.enter();
        consumer.listen(move |message| {
            let target = target.clone();
            count.fetch_add(1, Ordering::Relaxed);
            async move { target.send(message.text()?).await.map(|_| ()) }
        })
    };
    for life in 1..=KILLS {
        let wanted = life * LIFE_MOVES - LIFE_MOVES / 2;
        until(|| (calls.load(Ordering::Relaxed), wanted), "moved")?;
        kill(&mut broker, &relay);
    }
    let mut moved = runtime.block_on(
        connection
            .session(AcknowledgeMode::Auto)
            .consumer("/queue/there"),
    )?;
    let mut numbers = Vec::new();
    while numbers.len() < total {
        let message = runtime.block_on(moved.receive_timeout(PATIENCE))?;
        let Some(message) = message else { break };
        numbers.push(message.text()?.parse::<usize>()?);
    }
    let surplus = runtime.block_on(moved.receive_timeout(Duration::from_millis(300)))?;
    ensure!(surplus.is_none(), "one too many: {surplus:?}");
    runtime.block_on(listener.stop());
    numbers.sort_unstable();
    ensure!(
        numbers == (0..total).collect::<Vec<_>>(),
        "not each once: {numbers:?}"
    );
    runtime.block_on(connection.close())?;
    Ok(())
}
