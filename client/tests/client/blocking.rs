//! The blocking face, from plain threads, against a model of a broker.

use std::thread;
use std::time::Duration;

use stompbox_client::{AcknowledgeMode, ClientError, OutgoingMessage, blocking};

use crate::model::Model;

const PATIENCE: Duration = Duration::from_secs(20);

/// Runs plain code beside a model.
async fn beside<T: Send + 'static>(
    model: &Model,
    code: impl FnOnce(blocking::Connection) -> T + Send + 'static,
) -> T {
    let builder = model.client();
    let thread = tokio::task::spawn_blocking(move || code(builder.connect_blocking().unwrap()));
    crate::deadline::within(thread).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_block_and_messages_come_in_order() {
    let model = Model::start().await;
    beside(&model, |connection| {
        let session = connection.session(AcknowledgeMode::Individual);
        let producer = session.producer("/queue/a").priority(7);
        assert_eq!(producer.destination().as_str(), "/queue/a");
        let mut consumer = session.consumer("/queue/a").unwrap();
        assert!(consumer.receive_no_wait().unwrap().is_none());
        let nothing = consumer.receive_timeout(Duration::from_millis(20)).unwrap();
        assert!(nothing.is_none());
        producer.send("0").unwrap();
        producer.send_async("1").unwrap().wait().unwrap();
        producer.send_and_forget("2").unwrap();
        for number in 0..3 {
            let message = consumer.receive().unwrap();
            assert_eq!(message.text().unwrap(), format!("{number}"));
            consumer.ack_confirmed(&message).unwrap();
        }
        consumer.close().unwrap();
        connection.close().unwrap();
    })
    .await;
    assert_eq!(model.acknowledged(), ["0", "1", "2"]);
    assert_eq!(model.subscriptions(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_threads_share_a_connection() {
    let model = Model::start().await;
    beside(&model, |connection| {
        let workers: Vec<_> = (0..8)
            .map(|worker| {
                let connection = connection.clone();
                thread::spawn(move || {
                    let session = connection.session(AcknowledgeMode::Auto);
                    let queue = format!("/queue/{worker}");
                    let producer = session.producer(&queue);
                    for number in 0..50 {
                        producer.send(format!("{number}")).unwrap();
                    }
                    let consumer = session.consumer(&queue).unwrap();
                    for (number, message) in consumer.take(50).enumerate() {
                        assert_eq!(message.unwrap().text().unwrap(), format!("{number}"));
                    }
                })
            })
            .collect();
        for worker in workers {
            worker.join().unwrap();
        }
        connection.close().unwrap();
    })
    .await;
    assert_eq!(model.acknowledged().len(), 400);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transactions_and_requests_block_too() {
    let model = Model::start().await;
    beside(&model, |connection| {
        let session = connection.session(AcknowledgeMode::Transacted);
        assert_eq!(session.mode(), AcknowledgeMode::Transacted);
        let mut source = session.consumer("/queue/in").unwrap();
        let target = session.producer("/queue/out");
        let auto = connection.session(AcknowledgeMode::Auto);
        auto.producer("/queue/in").send("x").unwrap();
        let message = source.receive().unwrap();
        target.send(OutgoingMessage::copy_of(&message)).unwrap();
        session.rollback().unwrap();
        let message = source.receive().unwrap();
        assert!(message.is_redelivered());
        target.send(OutgoingMessage::copy_of(&message)).unwrap();
        session.commit().unwrap();
        assert_eq!(session.resolve().unwrap().sends(), 0);
        assert!(matches!(auto.commit(), Err(ClientError::NotTransacted)));

        let service = connection.clone();
        let service = thread::spawn(move || {
            let session = service.session(AcknowledgeMode::Auto);
            let answers = session.producer("/queue/unused");
            let question = session
                .consumer("/queue/questions")
                .unwrap()
                .receive()
                .unwrap();
            let reply_to = question.reply_to().unwrap();
            answers.send_to(reply_to, question.answer("3.20")).unwrap();
        });
        let requestor = auto.requestor("/queue/questions").unwrap();
        let answer = requestor.request("tea?", PATIENCE).unwrap();
        assert_eq!(answer.text().unwrap(), "3.20");
        service.join().unwrap();
    })
    .await;
    assert_eq!(model.waiting("/queue/out"), ["x"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blocked_receive_learns_that_the_connection_has_ended() {
    let model = Model::start().await;
    beside(&model, |connection| {
        let session = connection.session(AcknowledgeMode::Auto);
        let mut consumer = session.consumer("/queue/a").unwrap();
        let waiting = thread::spawn(move || {
            let error = consumer.receive().expect_err("closed");
            assert!(matches!(error, ClientError::Ended), "{error:?}");
            assert!(consumer.next().unwrap().is_err());
            assert!(consumer.next().is_none());
        });
        thread::sleep(Duration::from_millis(20));
        connection.close().unwrap();
        waiting.join().unwrap();
    })
    .await;
}
