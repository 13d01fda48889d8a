//! Runs the examples in the documentation of `stompbox-client`: each is given what it asks for, against a [`peer`] that
//! plays the broker. An example fails if it answers an error, panics or does not end.

mod given;
mod peer;

use std::sync::mpsc;
use std::time::Duration;

use stompbox_client::{AcknowledgeMode, ClientError, Connection, blocking};

pub use self::given::{Given, GivenBlocking};
use self::peer::Peer;

/// An example that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(30);

/// For so long one goes on that has no end.
const WHILE: Duration = Duration::from_millis(300);

/// What an example comes to.
pub trait Outcome {
    /// Panics if it is a failure.
    fn check(self);
}

impl Outcome for () {
    fn check(self) {}
}

impl Outcome for Result<(), ClientError> {
    fn check(self) {
        if let Err(error) = self {
            panic!("the example fails: {error}");
        }
    }
}

/// Runs an example. A session is in mode `Auto`.
pub fn run<G: Given, O: Outcome>(example: impl AsyncFnOnce(G) -> O) {
    let outcome = attempt(AcknowledgeMode::Auto, PATIENCE, example);
    outcome.expect("the example ends").check();
}

/// Runs one whose session is transacted.
pub fn run_transacted<G: Given, O: Outcome>(example: impl AsyncFnOnce(G) -> O) {
    let outcome = attempt(AcknowledgeMode::Transacted, PATIENCE, example);
    outcome.expect("the example ends").check();
}

/// Runs one that has no end for a while.
pub fn run_for_a_while<G: Given, O: Outcome>(example: impl AsyncFnOnce(G) -> O) {
    if let Some(outcome) = attempt(AcknowledgeMode::Auto, WHILE, example) {
        outcome.check();
        panic!("the example ends");
    }
}

fn attempt<G: Given, O>(
    mode: AcknowledgeMode,
    patience: Duration,
    example: impl AsyncFnOnce(G) -> O,
) -> Option<O> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let peer = Peer::start();
    runtime.block_on(async {
        let connection = Connection::connect(peer.address()).await;
        let connection = connection.expect("the peer answers");
        let given = G::given(&connection, mode).await.expect("what it asks for");
        tokio::time::timeout(patience, example(given)).await.ok()
    })
}

/// Runs an example of the blocking face. A session is in mode `Auto`.
pub fn run_blocking<G: GivenBlocking, O: Outcome>(example: impl FnOnce(G) -> O) {
    let outcome = example(given(&Peer::start(), AcknowledgeMode::Auto));
    outcome.check();
}

/// Runs one whose session is transacted.
pub fn run_blocking_transacted<G: GivenBlocking, O: Outcome>(example: impl FnOnce(G) -> O) {
    let outcome = example(given(&Peer::start(), AcknowledgeMode::Transacted));
    outcome.check();
}

/// Runs one that has no end for a while.
pub fn run_blocking_for_a_while<G: GivenBlocking, O: Outcome>(
    example: impl FnOnce(G) -> O + Send + 'static,
) {
    let (done, ended) = mpsc::channel();
    std::thread::spawn(move || {
        let outcome = example(given(&Peer::start(), AcknowledgeMode::Auto));
        outcome.check();
        // Fails if it was not waited for.
        done.send(()).ok();
    });
    let end = ended.recv_timeout(WHILE);
    assert_eq!(end, Err(mpsc::RecvTimeoutError::Timeout), "it has an end");
}

fn given<G: GivenBlocking>(peer: &Peer, mode: AcknowledgeMode) -> G {
    let connection = blocking::Connection::connect(peer.address()).expect("the peer answers");
    G::given(&connection, mode).expect("what it asks for")
}
