//! The client against other brokers, as far as their dialects go: Debian's ActiveMQ and RabbitMQ.
//!
//! One that is not installed is skipped aloud, or fails the test where `STOMPBOX_REQUIRE_CLIENTS=1`.
#![allow(clippy::unwrap_used, reason = "tests")]

mod server;

use std::time::Duration;

use futures_util::StreamExt as _;
use server::Server;
use stompbox_client::{
    AcknowledgeMode, ClientError, Connection, DeliveryMode, Feature, OutgoingMessage, Session,
    Subscription,
};

const PATIENCE: Duration = Duration::from_secs(20);
const QUIET: Duration = Duration::from_millis(400);

async fn text(consumer: &mut stompbox_client::Consumer) -> String {
    let message = consumer.receive_timeout(PATIENCE).await.unwrap();
    let message = message.expect("a message in time");
    message.text().unwrap().to_owned()
}

/// What every broker can do.
async fn common(connection: &Connection) {
    let individual = connection.session(AcknowledgeMode::Individual);
    let producer = individual.producer("/queue/common");
    for number in 0..10 {
        let message = OutgoingMessage::text(format!("{number}")).header("odd:name", "odd\nvalue");
        producer.send(message).await.unwrap();
    }
    let mut consumer = individual
        .consumer(Subscription::to("/queue/common").prefetch(3))
        .await
        .unwrap();
    for number in 0..10 {
        let message = consumer.receive_timeout(PATIENCE).await.unwrap().unwrap();
        assert_eq!(message.text().unwrap(), format!("{number}"));
        assert_eq!(message.header("odd:name").as_deref(), Some("odd\nvalue"));
        consumer.ack_confirmed(&message).await.unwrap();
    }
    consumer.close().await.unwrap();

    // What is not acknowledged comes again, and says so.
    producer.send("again").await.unwrap();
    let other = connection.session(AcknowledgeMode::Individual);
    let mut consumer = other.consumer("/queue/common").await.unwrap();
    let message = consumer.receive_timeout(PATIENCE).await.unwrap().unwrap();
    assert!(!message.is_redelivered());
    drop(message);

    // A topic, by a listener.
    let auto = connection.session(AcknowledgeMode::Auto);
    let topic = auto.consumer("/topic/common").await.unwrap();
    let (seen, mut sees) = tokio::sync::mpsc::unbounded_channel();
    let listener = topic.listen(move |message| {
        let seen = seen.clone();
        async move { seen.send(message.text().unwrap().to_owned()).unwrap() }
    });
    let ticks = auto
        .producer("/topic/common")
        .delivery_mode(DeliveryMode::NonPersistent);
    ticks.send("tick").await.unwrap();
    let tick = tokio::time::timeout(PATIENCE, sees.recv()).await.unwrap();
    assert_eq!(tick.as_deref(), Some("tick"));
    listener.stop().await;
}

/// Another connection takes what the first had not acknowledged.
async fn takes_over(server: &Server) {
    let connection = server.connect().await;
    let session = connection.session(AcknowledgeMode::Individual);
    let mut consumer = session.consumer("/queue/common").await.unwrap();
    let message = consumer.receive_timeout(PATIENCE).await.unwrap().unwrap();
    assert_eq!(message.text().unwrap(), "again");
    assert!(message.is_redelivered());
    consumer.ack_confirmed(&message).await.unwrap();
    connection.close().await.unwrap();
}

/// Commit and rollback over sends and acknowledgements.
async fn transactions(connection: &Connection) {
    let auto = connection.session(AcknowledgeMode::Auto);
    for number in 0..3 {
        auto.producer("/queue/in")
            .send(format!("{number}"))
            .await
            .unwrap();
    }
    let session = connection.session(AcknowledgeMode::Transacted);
    let mut source = session.consumer("/queue/in").await.unwrap();
    let target = session.producer("/queue/out");
    for _ in 0..3 {
        let body = text(&mut source).await;
        target.send(body).await.unwrap();
    }
    session.rollback().await.unwrap();
    let mut out = auto.consumer("/queue/out").await.unwrap();
    assert!(
        out.receive_timeout(QUIET).await.unwrap().is_none(),
        "rolled back"
    );
    let mut moved = Vec::new();
    for _ in 0..3 {
        let message = source
            .receive_timeout(PATIENCE)
            .await
            .unwrap()
            .expect("given back");
        assert!(message.is_redelivered());
        moved.push(message.text().unwrap().to_owned());
        target
            .send(OutgoingMessage::copy_of(&message))
            .await
            .unwrap();
    }
    moved.sort_unstable();
    assert_eq!(moved, ["0", "1", "2"]);
    session.commit().await.unwrap();
    let mut arrived = vec![
        text(&mut out).await,
        text(&mut out).await,
        text(&mut out).await,
    ];
    arrived.sort_unstable();
    assert_eq!(arrived, ["0", "1", "2"]);
    assert!(
        source.receive_timeout(QUIET).await.unwrap().is_none(),
        "all are gone"
    );
}

async fn request_and_reply(session: &Session) {
    let questions = session.consumer("/queue/questions").await.unwrap();
    let answers = session.producer("/queue/unused");
    let _service = questions.listen(move |question| {
        let answers = answers.clone();
        async move {
            let answer = question.answer(format!("{}!", question.text()?));
            let reply_to = question.reply_to().expect("an address");
            answers.send_to(reply_to, answer).await.map(|_| ())
        }
    });
    let requestor = session.requestor("/queue/questions").await.unwrap();
    let (first, second) = tokio::join!(
        requestor.request("tea", PATIENCE),
        requestor.request("milk", PATIENCE)
    );
    assert_eq!(first.unwrap().text().unwrap(), "tea!");
    assert_eq!(second.unwrap().text().unwrap(), "milk!");
}

async fn durable(server: &Server) {
    let audit = Subscription::to("/topic/audit").durable("audit");
    let connect = || async {
        server
            .builder()
            .client_id("auditor")
            .connect()
            .await
            .unwrap()
    };
    let connection = connect().await;
    let session = connection.session(AcknowledgeMode::Individual);
    session.consumer(&audit).await.unwrap();
    connection.close().await.unwrap();
    let publisher = server.connect().await;
    let topic = publisher
        .session(AcknowledgeMode::Auto)
        .producer("/topic/audit");
    for number in 0..3 {
        topic.send(format!("{number}")).await.unwrap();
    }
    let connection = connect().await;
    let session = connection.session(AcknowledgeMode::Auto);
    let mut consumer = session.consumer(&audit).await.unwrap();
    for number in 0..3 {
        assert_eq!(text(&mut consumer).await, format!("{number}"));
    }
    consumer.close().await.unwrap();
    session.unsubscribe(&audit).await.unwrap();
    connection.close().await.unwrap();
    publisher.close().await.unwrap();
}

/// RabbitMQ: NACK is a redelivery, and everything that was not acknowledged is there again, at the latest when the
/// connection has ended.
async fn gives_back(server: &Server) {
    let connection = server.connect().await;
    let session = connection.session(AcknowledgeMode::Individual);
    let producer = session.producer("/queue/back");
    for number in 0..3 {
        producer.send(format!("{number}")).await.unwrap();
    }
    let mut consumer = session.consumer("/queue/back").await.unwrap();
    let first = consumer.receive_timeout(PATIENCE).await.unwrap().unwrap();
    first.nack().unwrap();
    consumer.close().await.unwrap();
    connection.close().await.unwrap();

    let connection = server.connect().await;
    let session = connection.session(AcknowledgeMode::Auto);
    let mut consumer = session.consumer("/queue/back").await.unwrap();
    let mut all = Vec::new();
    for _ in 0..3 {
        all.push(text(&mut consumer).await);
    }
    all.sort_unstable();
    assert_eq!(all, ["0", "1", "2"]);
    connection.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn activemq() {
    let Some(server) = Server::activemq().await else {
        return;
    };
    let connection = server.connect().await;
    common(&connection).await;
    connection.close().await.unwrap();
    takes_over(&server).await;
    durable(&server).await;

    let connection = server.connect().await;
    transactions(&connection).await;
    let session = connection.session(AcknowledgeMode::Auto);
    request_and_reply(&session).await;

    let shelf = session.producer("/queue/shelf");
    for (number, colour) in ["red", "blue", "red"].iter().enumerate() {
        let item = OutgoingMessage::text(format!("{number}")).header("colour", colour);
        shelf.send(item).await.unwrap();
    }
    let browser = session.browser("/queue/shelf").await.unwrap();
    assert_eq!(browser.collect::<Vec<_>>().await.len(), 3);
    let red = Subscription::to("/queue/shelf").selector("colour = 'red'");
    let mut red = session.consumer(red).await.unwrap();
    assert_eq!([text(&mut red).await, text(&mut red).await], ["0", "2"]);
    assert!(red.receive_timeout(QUIET).await.unwrap().is_none());

    let later = OutgoingMessage::text("later").delay(Duration::from_millis(700));
    session.producer("/queue/later").send(later).await.unwrap();
    let mut consumer = session.consumer("/queue/later").await.unwrap();
    assert!(consumer.receive_timeout(QUIET).await.unwrap().is_none());
    assert_eq!(text(&mut consumer).await, "later");

    let shared = session
        .consumer(Subscription::to("/topic/a").shared("s"))
        .await;
    assert!(matches!(
        shared,
        Err(ClientError::Unsupported {
            feature: Feature::SharedSubscription,
            ..
        })
    ));
    connection.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rabbitmq() {
    let Some(server) = Server::rabbitmq().await else {
        return;
    };
    let connection = server.connect().await;
    common(&connection).await;
    connection.close().await.unwrap();
    takes_over(&server).await;
    durable(&server).await;
    gives_back(&server).await;

    let connection = server.connect().await;
    transactions(&connection).await;
    let session = connection.session(AcknowledgeMode::Auto);
    request_and_reply(&session).await;

    // It refuses without naming a receipt, and the connection may go on.
    let refused = session.consumer("/exchange/none/key").await;
    assert!(
        matches!(refused, Err(ClientError::Refused { .. })),
        "{refused:?}"
    );
    for (subscription, missing) in [
        (
            Subscription::to("/queue/a").selector("a = 1"),
            Feature::Selector,
        ),
        (
            Subscription::to("/topic/a").shared("s"),
            Feature::SharedSubscription,
        ),
    ] {
        let refused = session.consumer(subscription).await;
        assert!(
            matches!(&refused, Err(ClientError::Unsupported { feature, .. }) if *feature == missing),
            "{refused:?}"
        );
    }
    session
        .producer("/queue/a")
        .send("still here")
        .await
        .unwrap();
    connection.close().await.unwrap();
}
