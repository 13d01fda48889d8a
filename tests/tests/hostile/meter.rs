//! A consumer that acknowledges whatever it gets and counts it.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use stompbox_tests::broker::Broker;
use stompbox_tests::flood::Flood;

/// The consumer; it goes when this is dropped.
pub(crate) struct Meter {
    count: Arc<AtomicUsize>,
    stream: TcpStream,
    thread: Option<JoinHandle<()>>,
}

impl Meter {
    /// Begins to consume, with so many messages out at a time.
    pub(crate) fn start(broker: &Broker, queue: &str, prefetch: u32) -> Meter {
        let mut flood = Flood::connect(broker.stomp());
        flood.send(format!(
            "SUBSCRIBE\nid:s\nack:client-individual\ndestination:{queue}\nprefetch-count:{prefetch}\n\n\0"
        ));
        let count = Arc::new(AtomicUsize::new(0));
        let stream = flood.stream.try_clone().expect("a socket is cloned");
        stream.set_read_timeout(None).expect("no time-out");
        let thread = thread::spawn({
            let count = Arc::clone(&count);
            move || consume(flood.stream, &count)
        });
        Meter {
            count,
            stream,
            thread: Some(thread),
        }
    }

    /// Messages so far.
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// Waits until there were so many. Says how long that took from now on.
    pub(crate) fn await_count(&self, count: usize, patience: Duration) -> Duration {
        let began = Instant::now();
        while self.count() < count {
            let took = began.elapsed();
            assert!(took < patience, "{} of {count} in {took:?}", self.count());
            thread::sleep(Duration::from_millis(1));
        }
        began.elapsed()
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        // Closed by the broker at worst.
        let _ = self.stream.shutdown(Shutdown::Both);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Up to the end of the connection.
fn consume(mut stream: TcpStream, count: &AtomicUsize) {
    let (mut input, mut block, mut acks) = (Vec::new(), vec![0; 64 * 1024], Vec::new());
    while let Ok(length @ 1..) = stream.read(&mut block) {
        input.extend_from_slice(&block[..length]);
        let mut used = 0;
        while let Some(length) = input[used..].iter().position(|byte| *byte == 0) {
            let frame = input[used..used + length].trim_ascii_start();
            used += length + 1;
            let text = String::from_utf8_lossy(frame);
            assert!(text.starts_with("MESSAGE"), "{text}");
            let id = text.lines().find_map(|line| line.strip_prefix("ack:"));
            acks.extend_from_slice(format!("ACK\nid:{}\n\n\0", id.unwrap_or_default()).as_bytes());
            count.fetch_add(1, Ordering::AcqRel);
        }
        input.drain(..used);
        if stream.write_all(&acks).is_err() {
            return;
        }
        acks.clear();
    }
}
