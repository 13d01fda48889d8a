//! A connection's task by itself: the test is its client and its dispatcher.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use stompbox_store::Epoch;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::yield_now;

use super::*;
use crate::config::Config;
use crate::core::memory::MemoryBudget;

/// More turns of the runtime than anything here takes to come to rest.
const TURNS: usize = 200;

/// A connection under test, its client and its dispatcher.
struct Bench {
    client: TcpStream,
    requests: mpsc::Receiver<Message>,
    replies: mpsc::UnboundedSender<ToConnection>,
    polls: Arc<AtomicUsize>,
}

impl Bench {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let client = TcpStream::connect(address).await.expect("it listens");
        let (stream, peer) = listener.accept().await.expect("it connects");
        let config = Config::default();
        let settings = SessionSettings {
            limits: config.limits,
            policies: config.policies,
            heart_beat_min: config.stomp.heart_beat_min,
            instance: "i".into(),
            epoch: Epoch(1),
            budget: MemoryBudget::new(1 << 20),
            zone: crate::core::schedule::TimeZone::UTC,
        };
        let (dispatcher, requests) = mpsc::channel(8);
        let context = Arc::new(Context {
            settings: Arc::new(settings),
            stomp: config.stomp,
            dispatcher,
            clock: Clock::start(),
        });
        let permit = Arc::new(Semaphore::new(1)).try_acquire_owned();
        let permit = permit.expect("the only one");
        let id = ConnectionId(1);
        let (connection, replies) =
            Connection::new(id, stream, peer.to_string(), context, permit).expect("random");
        let polls = Arc::new(AtomicUsize::new(0));
        let served = counted(Arc::clone(&polls), connection.serve(replies.clone()));
        tokio::spawn(served);
        Self {
            client,
            requests,
            replies,
            polls,
        }
    }

    /// The client connects, and the dispatcher lets it in.
    async fn open(&mut self, connect: &str) {
        self.client
            .write_all(connect.as_bytes())
            .await
            .expect("it reads");
        while !matches!(self.requests.recv().await, Some(Message::Requests(..))) {}
        self.replies
            .send(ToConnection::Replies(vec![Reply::Opened]))
            .unwrap_or_else(|_| panic!("it lives"));
        let mut told = [0; 1024];
        let count = self.client.read(&mut told).await.expect("it answers");
        assert!(told[..count].starts_with(b"CONNECTED\n"));
    }

    /// How often the task is woken while the runtime turns and no time passes.
    async fn wakes(&self) -> usize {
        for _ in 0..TURNS {
            yield_now().await;
        }
        let before = self.polls.load(Ordering::Relaxed);
        for _ in 0..TURNS {
            yield_now().await;
        }
        self.polls.load(Ordering::Relaxed) - before
    }
}

/// Counts how often a future is polled.
async fn counted<T>(polls: Arc<AtomicUsize>, future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    poll_fn(|cx| {
        polls.fetch_add(1, Ordering::Relaxed);
        future.as_mut().poll(cx)
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn a_connection_with_nothing_to_wait_for_sleeps() {
    let mut bench = Bench::new().await;
    bench
        .open("CONNECT\naccept-version:1.2\nheart-beat:0,0\n\n\0")
        .await;
    // It gives its buffers back, and then has no alarm any more.
    for _ in 0..4 {
        tokio::time::advance(BUFFERS_KEPT).await;
        assert_eq!(bench.wakes().await, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_still_beats_when_its_buffers_are_given_back() {
    let mut bench = Bench::new().await;
    bench
        .open("CONNECT\naccept-version:1.2\nheart-beat:0,10000\n\n\0")
        .await;
    for _ in 0..3 {
        let mut told = [0; 16];
        // Time passes by itself while everybody sleeps.
        let count = bench.client.read(&mut told).await.expect("it lives");
        assert_eq!(&told[..count], b"\n");
    }
    assert_eq!(bench.wakes().await, 0);
}

#[tokio::test]
async fn what_a_peer_said_before_it_shut_its_side_is_acted_on() {
    let mut bench = Bench::new().await;
    // While CONNECT is being answered nothing else is decoded.
    let said = b"CONNECT\naccept-version:1.2\n\n\0SEND\ndestination:/queue/a\n\nbody\0";
    bench.client.write_all(said).await.expect("it reads");
    while !matches!(bench.requests.recv().await, Some(Message::Requests(..))) {}
    // Both come in one step, as they do when the dispatcher is slower than the network.
    bench.client.shutdown().await.expect("it is open");
    bench
        .replies
        .send(ToConnection::Replies(vec![Reply::Opened]))
        .unwrap_or_else(|_| panic!("it lives"));
    let sent = loop {
        match bench.requests.recv().await {
            Some(Message::Requests(_, requests, _)) => {
                break requests
                    .iter()
                    .any(|request| matches!(request, Request::Send { .. }));
            }
            Some(_) => {}
            None => break false,
        }
    };
    assert!(sent, "the SEND was dropped");
}
