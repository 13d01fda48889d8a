//! The examples, each against a model of a broker, and those that survive it with connections that are cut.

use crate::deadline::within;
use crate::model::{Faults, Model};

macro_rules! example {
    ($name:ident, $path:literal) => {
        #[allow(dead_code, reason = "its main is for the command line")]
        #[path = $path]
        mod $name;
    };
}

example!(blocking_worker, "../../examples/blocking_worker.rs");
example!(durable_subscriber, "../../examples/durable_subscriber.rs");
example!(failover, "../../examples/failover.rs");
example!(first_message, "../../examples/first_message.rs");
example!(listener, "../../examples/listener.rs");
example!(producer, "../../examples/producer.rs");
example!(request_reply, "../../examples/request_reply.rs");
example!(transacted_bridge, "../../examples/transacted_bridge.rs");

#[tokio::test]
async fn the_producer_sends() {
    let model = Model::start().await;
    within(producer::run(&model.address)).await.unwrap();
    assert_eq!(model.waiting("/queue/example.orders").len(), 101);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_blocking_worker_works() {
    let model = Model::start().await;
    let address = model.address.clone();
    let worker = tokio::task::spawn_blocking(move || blocking_worker::run(&address));
    within(worker).await.unwrap().unwrap();
    assert_eq!(model.acknowledged(), ["1", "2", "4"]);
    assert!(model.waiting("/queue/example.numbers").is_empty());
}

#[tokio::test]
async fn the_listener_packs_everything() {
    let model = Model::start().await;
    within(listener::run(&model.address)).await.unwrap();
    assert_eq!(model.acknowledged().len(), 8);
    assert_eq!(model.subscriptions(), 0);
}

#[tokio::test]
async fn the_questions_are_answered() {
    let model = Model::start().await;
    within(request_reply::run(&model.address)).await.unwrap();
    assert_eq!(model.subscriptions(), 0);
}

#[tokio::test]
async fn the_bridge_moves_everything() {
    let model = Model::start().await;
    within(transacted_bridge::run(&model.address))
        .await
        .unwrap();
    assert_eq!(model.waiting("/queue/example.there").len(), 20);
}

#[tokio::test]
async fn the_bridge_moves_everything_once_over_connections_that_are_cut() {
    for seed in 1..=20 {
        let model = Model::start_with(Faults::one_in(25, seed)).await;
        let url = format!("failover:({})?initialReconnectDelay=1", model.address);
        let bridged = within(transacted_bridge::run(&url)).await;
        // Only the farewell may have been cut.
        if let Err(error) = bridged {
            assert!(error.is_transient(), "seed {seed}: {error}");
        }
        let mut there = model.waiting("/queue/example.there");
        let mut here = model.waiting("/queue/example.here");
        there.append(&mut here);
        there.sort_unstable();
        let mut expected: Vec<String> = (0..20).map(|number| format!("order {number}")).collect();
        expected.sort_unstable();
        assert_eq!(there, expected, "seed {seed}, {} cuts", model.cuts());
    }
}

#[tokio::test]
async fn the_topic_waits_for_its_subscriber() {
    let model = Model::start().await;
    within(durable_subscriber::run(&model.address))
        .await
        .unwrap();
    assert_eq!(model.acknowledged(), ["event 1", "event 2", "event 3"]);
}

#[tokio::test]
async fn the_ticks_go_on_over_connections_that_are_cut() {
    let model = Model::start_with(Faults::one_in(8, 3)).await;
    let farewell = within(failover::run(&model.address)).await;
    if let Err(error) = farewell {
        assert!(error.is_transient(), "{error}");
    }
    assert!(model.cuts() > 0);
}
