//! What the dialect has, asked for in the words of the client.

use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result, ensure};
use stompbox_client::{
    AcknowledgeMode, ClientError, Connection, Consumer, DeliveryMode, Destination, Message,
    OutgoingMessage, Retry, Session, Subscription, blocking,
};
use stompbox_tests::broker::{Broker, Console, Launch};

use crate::{PATIENCE, PROGRAM};

/// How long is waited for what must not come.
const QUIET: Duration = Duration::from_millis(200);

/// A broker and a connection to it. The broker ends with it.
struct Bench {
    broker: Broker,
    connection: Connection,
}

impl Bench {
    async fn start() -> Result<Bench> {
        let broker = Launch::new(PROGRAM).console(Console::None).start();
        let connection = Connection::connect(broker.stomp().to_string()).await?;
        Ok(Bench { broker, connection })
    }

    fn session(&self, mode: AcknowledgeMode) -> Session {
        self.connection.session(mode)
    }

    async fn client(&self, id: &str) -> Result<Connection> {
        let builder = Connection::builder(self.broker.stomp().to_string());
        Ok(builder.client_id(id).connect().await?)
    }
}

async fn next(consumer: &mut Consumer) -> Result<Message> {
    let message = consumer.receive_timeout(PATIENCE).await?;
    message.context("nothing came")
}

/// The bodies of the next messages.
async fn texts(consumer: &mut Consumer, count: usize) -> Result<Vec<String>> {
    let mut bodies = Vec::new();
    for _ in 0..count {
        bodies.push(next(consumer).await?.text()?.to_owned());
    }
    Ok(bodies)
}

async fn ensure_quiet(consumer: &mut Consumer) -> Result<()> {
    let surplus = consumer.receive_timeout(QUIET).await?;
    ensure!(surplus.is_none(), "one too many: {surplus:?}");
    Ok(())
}

#[test]
fn receive_waits_for_ever_for_a_time_or_not_at_all() -> Result<()> {
    let broker = Launch::new(PROGRAM).console(Console::None).start();
    let connection = blocking::Connection::connect(broker.stomp().to_string())?;
    let session = connection.session(AcknowledgeMode::Auto);
    let mut consumer = session.consumer("/queue/a")?;
    ensure!(consumer.receive_no_wait()?.is_none(), "nothing is there");
    let began = Instant::now();
    ensure!(consumer.receive_timeout(QUIET)?.is_none(), "nothing came");
    ensure!(began.elapsed() >= QUIET, "it did not wait");
    let producer = session.producer("/queue/a");
    let sender = std::thread::spawn(move || producer.send("from another thread"));
    ensure!(
        consumer.receive()?.text()? == "from another thread",
        "the message"
    );
    sender
        .join()
        .map_err(|_| anyhow::anyhow!("it panicked"))??;
    connection.close()?;
    Ok(())
}

#[tokio::test]
async fn priorities_selectors_and_time_to_live_choose_what_comes() -> Result<()> {
    let bench = Bench::start().await?;
    let session = bench.session(AcknowledgeMode::Auto);
    let producer = session.producer("/queue/a");
    for (body, priority, colour) in [("low", 1, "red"), ("high", 9, "red"), ("other", 9, "blue")] {
        let message = OutgoingMessage::text(body).header("colour", colour);
        producer.send(message.priority(priority)).await?;
    }
    let late = OutgoingMessage::text("late").header("colour", "red");
    let late = late.time_to_live(Duration::from_millis(1));
    producer.send(late.priority(9)).await?;
    tokio::time::sleep(Duration::from_millis(20)).await;

    let red = Subscription::to("/queue/a").selector("colour = 'red'");
    let mut consumer = session.consumer(red).await?;
    let first = next(&mut consumer).await?;
    ensure!(
        first.text()? == "high" && first.priority() == 9,
        "{first:?}"
    );
    ensure!(texts(&mut consumer, 1).await? == ["low"], "the low one");
    ensure_quiet(&mut consumer).await?;
    consumer.close().await?;
    let mut rest = session.consumer("/queue/a").await?;
    ensure!(texts(&mut rest, 1).await? == ["other"], "the blue one");
    ensure_quiet(&mut rest).await
}

#[tokio::test]
async fn a_delayed_message_comes_later() -> Result<()> {
    let bench = Bench::start().await?;
    let session = bench.session(AcknowledgeMode::Auto);
    let mut consumer = session.consumer("/queue/a").await?;
    let delay = Duration::from_millis(400);
    let sent = Instant::now();
    let message = OutgoingMessage::text("later").delay(delay);
    session.producer("/queue/a").send(message).await?;
    next(&mut consumer).await?;
    ensure!(sent.elapsed() >= delay, "after {:?}", sent.elapsed());
    Ok(())
}

#[tokio::test]
async fn a_durable_subscription_keeps_its_messages_until_it_is_ended() -> Result<()> {
    let bench = Bench::start().await?;
    let audit = Subscription::to("/topic/a").durable("audit");
    let auditor = bench.client("auditor").await?;
    let session = auditor.session(AcknowledgeMode::Auto);
    session.consumer(&audit).await?.close().await?;
    let topic = bench.session(AcknowledgeMode::Auto).producer("/topic/a");
    topic.send("meanwhile").await?;
    let mut consumer = session.consumer(&audit).await?;
    ensure!(
        texts(&mut consumer, 1).await? == ["meanwhile"],
        "it was kept"
    );
    // It is in use.
    let refused = session.unsubscribe(&audit).await;
    ensure!(
        matches!(refused, Err(ClientError::Refused { .. })),
        "{refused:?}"
    );
    drop(consumer);
    session.unsubscribe(&audit).await?;
    topic.send("unheard").await?;
    let mut consumer = session.consumer(&audit).await?;
    ensure_quiet(&mut consumer).await
}

#[tokio::test]
async fn a_shared_subscription_gives_each_message_to_one_of_its_consumers() -> Result<()> {
    let bench = Bench::start().await?;
    for subscription in [
        Subscription::to("/topic/a").shared("workers"),
        Subscription::to("/topic/b").shared_durable("workers"),
    ] {
        let subscription = subscription.prefetch(1);
        let session = bench.session(AcknowledgeMode::Individual);
        let mut one = session.consumer(&subscription).await?;
        let mut other = session.consumer(&subscription).await?;
        let topic = session.producer(one.destination().clone());
        for number in 0..2 {
            topic.send(number.to_string()).await?;
        }
        let (first, second) = (next(&mut one).await?, next(&mut other).await?);
        ensure!(first.text()? != second.text()?, "{first:?} {second:?}");
        one.ack_confirmed(&first).await?;
        other.ack_confirmed(&second).await?;
        ensure_quiet(&mut one).await?;
        ensure_quiet(&mut other).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_group_stays_with_one_consumer() -> Result<()> {
    let bench = Bench::start().await?;
    let session = bench.session(AcknowledgeMode::Individual);
    let mut one = session.consumer("/queue/a").await?;
    let mut other = session.consumer("/queue/a").await?;
    let producer = session.producer("/queue/a");
    for number in 0..10 {
        let message = OutgoingMessage::text(number.to_string()).group("g");
        producer.send(message.group_sequence(number + 1)).await?;
    }
    let numbers: Vec<String> = (0..10).map(|number| number.to_string()).collect();
    let has_all = match one.receive_timeout(QUIET).await? {
        Some(first) => {
            let mut all = vec![first.text()?.to_owned()];
            all.extend(texts(&mut one, 9).await?);
            ensure_quiet(&mut other).await?;
            all
        }
        None => texts(&mut other, 10).await?,
    };
    ensure!(has_all == numbers, "{has_all:?}");
    Ok(())
}

#[tokio::test]
async fn a_browser_takes_nothing_and_comes_to_an_end() -> Result<()> {
    let bench = Bench::start().await?;
    let session = bench.session(AcknowledgeMode::Auto);
    for number in 0..3 {
        session
            .producer("/queue/a")
            .send(number.to_string())
            .await?;
    }
    let mut browser = session.browser("/queue/a").await?;
    let mut shown = Vec::new();
    while let Some(message) = browser.next().await? {
        shown.push(message.text()?.to_owned());
    }
    ensure!(shown == ["0", "1", "2"], "{shown:?}");
    let mut consumer = session.consumer("/queue/a").await?;
    ensure!(texts(&mut consumer, 3).await? == shown, "all are there");
    Ok(())
}

#[tokio::test]
async fn a_request_gets_its_answer_or_a_timeout() -> Result<()> {
    let bench = Bench::start().await?;
    let session = bench.session(AcknowledgeMode::Auto);
    let questions = session.consumer("/queue/questions").await?;
    let answers = session.producer("/queue/unused");
    let service = questions.listen(move |question| {
        let answers = answers.clone();
        async move {
            if let (Some(to), "tea") = (question.reply_to(), question.text()?) {
                answers.send_to(to, question.answer("3.20")).await?;
            }
            Ok::<(), ClientError>(())
        }
    });
    let requestor = session.requestor("/queue/questions").await?;
    let answer = requestor.request("tea", PATIENCE).await?;
    ensure!(answer.text()? == "3.20", "{answer:?}");
    let unanswered = requestor.request("coffee", QUIET).await;
    ensure!(
        matches!(unanswered, Err(ClientError::NoReply { .. })),
        "{unanswered:?}"
    );
    service.stop().await;
    Ok(())
}

#[tokio::test]
async fn a_transaction_spans_what_is_received_and_what_is_sent() -> Result<()> {
    let bench = Bench::start().await?;
    let auto = bench.session(AcknowledgeMode::Auto);
    auto.producer("/queue/here").send("one").await?;
    let mut there = auto.consumer("/queue/there").await?;
    let session = bench.session(AcknowledgeMode::Transacted);
    let mut here = session.consumer("/queue/here").await?;
    let target = session.producer("/queue/there");

    target
        .send(OutgoingMessage::copy_of(&next(&mut here).await?))
        .await?;
    session.rollback().await?;
    ensure_quiet(&mut there).await?;
    let again = next(&mut here).await?;
    ensure!(again.is_redelivered(), "{again:?}");
    target.send(OutgoingMessage::copy_of(&again)).await?;
    session.commit().await?;
    ensure!(texts(&mut there, 1).await? == ["one"], "committed");
    ensure_quiet(&mut here).await
}

#[tokio::test]
async fn a_refusal_delays_a_message_or_puts_it_aside() -> Result<()> {
    let bench = Bench::start().await?;
    let session = bench.session(AcknowledgeMode::Individual);
    session.producer("/queue/a").send("awkward").await?;
    let mut consumer = session.consumer("/queue/a").await?;
    let delay = Duration::from_millis(300);
    let refused = Instant::now();
    next(&mut consumer).await?.nack_after(delay)?;
    let again = next(&mut consumer).await?;
    ensure!(refused.elapsed() >= delay, "after {:?}", refused.elapsed());
    ensure!(again.delivery_count() == Some(2), "{again:?}");
    again.reject()?;
    let mut aside = session.consumer("/queue/ActiveMQ.DLQ").await?;
    let dead = next(&mut aside).await?;
    ensure!(
        dead.header("original-destination").as_deref() == Some("/queue/a"),
        "{dead:?}"
    );
    ensure!(
        matches!(again.ack(), Err(ClientError::AlreadySettled)),
        "settled twice"
    );
    Ok(())
}

#[tokio::test]
async fn repeats_are_recognised_and_receipts_say_so() -> Result<()> {
    let bench = Bench::start().await?;
    let session = bench.session(AcknowledgeMode::Auto);
    let producer = session.producer("/queue/a");
    let message = OutgoingMessage::text("once").deduplication_id("order-1");
    ensure!(!producer.send(&message).await?.is_duplicate(), "the first");
    let completion = producer.send_async(&message).await?;
    ensure!(completion.await?.is_duplicate(), "the second");
    let nobody = Destination::from("/remote-temp-queue/of-nobody");
    let receipt = producer.send_to(nobody, "anybody?").await?;
    ensure!(receipt.is_unrouted(), "{receipt:?}");
    let mut consumer = session.consumer("/queue/a").await?;
    ensure!(texts(&mut consumer, 1).await? == ["once"], "it");
    ensure_quiet(&mut consumer).await
}

#[tokio::test]
async fn what_a_message_carries_comes_back() -> Result<()> {
    let bench = Bench::start().await?;
    let session = bench.session(AcknowledgeMode::Auto);
    let message = OutgoingMessage::text("body")
        .header("odd:name", "odd\nvalue")
        .kind("order")
        .correlation_id("c-1")
        .reply_to(Destination::queue("answers"))
        .delivery_mode(DeliveryMode::NonPersistent)
        .time_to_live(Duration::from_secs(60));
    session.producer("/queue/a").send(message).await?;
    let mut consumer = session.consumer("/queue/a").await?;
    let message = next(&mut consumer).await?;
    ensure!(
        message.header("odd:name").as_deref() == Some("odd\nvalue"),
        "{message:?}"
    );
    ensure!(message.kind().as_deref() == Some("order"), "{message:?}");
    ensure!(
        message.correlation_id().as_deref() == Some("c-1"),
        "{message:?}"
    );
    ensure!(
        message.reply_to() == Some(Destination::queue("answers")),
        "{message:?}"
    );
    ensure!(message.expires() > Some(SystemTime::now()), "{message:?}");
    ensure!(
        message.destination() == Destination::queue("a"),
        "{message:?}"
    );
    Ok(())
}

#[tokio::test]
async fn a_refusal_goes_to_the_call_and_the_connection_is_made_again() -> Result<()> {
    let bench = Bench::start().await?;
    let session = bench.session(AcknowledgeMode::Auto);
    let mut consumer = session.consumer("/queue/a").await?;
    let wrong = Subscription::to("/queue/b").selector("colour = ");
    let refused = session.consumer(wrong).await;
    let Err(error @ ClientError::Refused { .. }) = refused else {
        anyhow::bail!("{refused:?}");
    };
    ensure!(error.retry() == Retry::Never, "{error}");
    session.producer("/queue/a").send("goes on").await?;
    ensure!(texts(&mut consumer, 1).await? == ["goes on"], "it goes on");
    Ok(())
}
