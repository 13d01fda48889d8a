//! Brokers to test, and what tests of every module need: waiting with a deadline, the console's numbers, proof that
//! nothing came.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::Value;
use stompbox_tests::broker::{Broker, Console, Launch};
use stompbox_tests::slow_sync::SlowSync;
use stompbox_tests::wire::{Frame, PATIENCE, Version, Wire, WireError};
use tempfile::TempDir;

/// Every version of the protocol.
pub(crate) const VERSIONS: [Version; 3] = [Version::V10, Version::V11, Version::V12];

/// A topic that nobody names.
const NOBODY: &str = "/topic/nobody";

/// How often something is looked at that cannot be waited for.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// The program under test.
pub(crate) fn launch() -> Launch {
    Launch::new(env!("CARGO_BIN_EXE_stompbox-under-test")).console(Console::None)
}

/// A broker with the default configuration.
pub(crate) fn start() -> Broker {
    launch().start()
}

/// A broker with this configuration.
pub(crate) fn start_with(toml: &str) -> Broker {
    launch().configuration(toml).start()
}

/// A broker with this configuration whose console can be asked.
pub(crate) fn start_watched(toml: &str) -> Broker {
    launch().console(Console::Open).configuration(toml).start()
}

/// A STOMP 1.2 connection.
pub(crate) fn connect(broker: &Broker) -> Wire {
    Wire::connect(broker.stomp(), Version::V12)
}

/// A broker whose disk can be made slow.
pub(crate) struct Slow {
    pub(crate) broker: Broker,
    pub(crate) disk: SlowSync,
    _folder: TempDir,
}

impl Slow {
    /// Quick as yet, with a console.
    pub(crate) fn start(toml: &str) -> Result<Slow> {
        let folder = TempDir::with_prefix("stompbox-slow-")?;
        let disk = SlowSync::build(folder.path())?;
        let launch = launch().console(Console::Open).configuration(toml);
        let broker = disk.applied_to(launch).start();
        Ok(Slow {
            broker,
            disk,
            _folder: folder,
        })
    }

    /// From now on a sync takes so much longer; the queues that a test uses are made before.
    pub(crate) fn slow_down(&self, delay: Duration, queues: &[&str]) -> Result<()> {
        let mut wire = connect(&self.broker);
        for queue in queues {
            wire.subscribe(queue, queue, "auto");
        }
        wire.disconnect();
        self.disk.await_rest(PATIENCE)?;
        self.disk.delay(delay)
    }
}

/// Waits until `probe` finds what it looks for.
pub(crate) fn eventually<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(Instant::now() < end, "not within {PATIENCE:?}: {what}");
        thread::sleep(LOOK_EVERY);
    }
}

/// What the console answers to `GET /api/v1/PATH`.
pub(crate) fn ask(broker: &Broker, path: &str) -> Value {
    let (status, body) = request(broker, "GET", path);
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}"))
}

/// Status and body of what the console answers to this method on `/api/v1/PATH`.
pub(crate) fn request(broker: &Broker, method: &str, path: &str) -> (u16, String) {
    let console = broker.console().expect("the test starts a console");
    let host = console.trim_start_matches("http://");
    let address: SocketAddr = host.parse().expect("an announced address parses");
    let mut stream = TcpStream::connect(address).expect("the console listens");
    write!(
        stream,
        "{method} /api/v1/{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    )
    .expect("the console reads");
    let mut answer = String::new();
    stream
        .read_to_string(&mut answer)
        .expect("the console answers");
    let (head, body) = answer.split_once("\r\n\r\n").expect("an HTTP answer");
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    (status.expect("a status"), body.to_owned())
}

/// A number of the overview.
pub(crate) fn overview(broker: &Broker, field: &str) -> u64 {
    let seen = ask(broker, "overview");
    seen[field]
        .as_u64()
        .unwrap_or_else(|| panic!("no {field} in {seen}"))
}

/// What the console says of a queue, if there is one of that name.
pub(crate) fn queue(broker: &Broker, name: &str) -> Option<Value> {
    let listing = ask(broker, &format!("queues?name={name}&limit=1000"));
    let items = listing["items"].as_array().expect("a listing has items");
    items.iter().find(|item| item["name"] == name).cloned()
}

/// Waits until a queue holds exactly so many messages, those with consumers included.
pub(crate) fn await_depth(broker: &Broker, name: &str, depth: u64) {
    eventually(&format!("{name} holds {depth}"), || {
        queue(broker, name).filter(|queue| queue["depth"] == depth)
    });
}

/// The bodies of the next messages.
pub(crate) fn bodies(wire: &mut Wire, count: usize) -> Vec<String> {
    (0..count).map(|_| wire.expect_message().text()).collect()
}

/// Checks that nothing was dispatched to this connection which the test has not taken. What the dispatcher answers
/// comes in order, so that the receipt of a SEND proves what did not come before it.
pub(crate) fn expect_quiet(wire: &mut Wire) {
    wire.send_receipted(NOBODY, &[("persistent", "false")], "");
    match wire.try_first(Duration::ZERO, |frame| frame.command == "MESSAGE") {
        Err(WireError::TimedOut(_)) => {}
        Err(error) => wire.fail(&format!("expected no message: {error}")),
        Ok(frame) => wire.fail(&format!("expected no message, got {frame}")),
    }
}

/// Sends and waits for the receipt.
pub(crate) fn send(wire: &mut Wire, to: &str, headers: &[(&str, &str)], body: &str) {
    wire.send_receipted(to, headers, body);
}

/// The next messages' bodies, each acknowledged.
pub(crate) fn take(wire: &mut Wire, count: usize) -> Vec<String> {
    let mut next = || {
        let message = wire.expect_message();
        wire.ack(&message, &[]);
        message.text()
    };
    (0..count).map(|_| next()).collect()
}

/// A connection with the subscription `s`, in `client-individual` mode.
pub(crate) fn consumer(broker: &Broker, to: &str, headers: &[(&str, &str)]) -> Wire {
    let mut wire = connect(broker);
    wire.subscribe_with("s", to, "client-individual", headers);
    wire
}

/// Everything that was dispatched to this connection and not taken, as [`expect_quiet`] would find it.
pub(crate) fn drain(wire: &mut Wire) -> Vec<Frame> {
    wire.send_receipted(NOBODY, &[("persistent", "false")], "");
    let mut found = Vec::new();
    loop {
        match wire.try_first(Duration::ZERO, |frame| frame.command == "MESSAGE") {
            // A pattern may hear that, too.
            Ok(frame) if frame.header("destination") == Some(NOBODY) => {}
            Ok(frame) => found.push(frame),
            Err(WireError::TimedOut(_)) => return found,
            Err(error) => wire.fail(&format!("expected messages or none: {error}")),
        }
    }
}

/// The bodies of [`drain`].
pub(crate) fn drained(wire: &mut Wire) -> Vec<String> {
    drain(wire).iter().map(Frame::text).collect()
}

/// A header that must be there.
pub(crate) fn header<'f>(frame: &'f Frame, name: &str) -> &'f str {
    frame
        .header(name)
        .unwrap_or_else(|| panic!("no {name} on {frame}"))
}

/// Checks whether and how often a message says that it was delivered before.
pub(crate) fn expect_delivery(message: &Frame, count: u32) {
    assert_eq!(
        header(message, "JMSXDeliveryCount"),
        count.to_string(),
        "{message}"
    );
    assert_eq!(
        header(message, "redelivered"),
        if count > 1 { "true" } else { "false" },
        "{message}"
    );
}

/// Sends a frame that must be refused: ERROR with everything that one carries, then the end.
pub(crate) fn expect_refusal(wire: &mut Wire, frame: &str, about: &str) -> Frame {
    wire.send(frame);
    let error = wire.expect_error(about);
    expect_complete(&error);
    wire.expect_closed();
    error
}

/// Checks what every ERROR carries.
pub(crate) fn expect_complete(error: &Frame) {
    assert!(!header(error, "message").is_empty(), "{error}");
    assert_eq!(header(error, "content-type"), "text/plain", "{error}");
    let text = error.text();
    assert!(text.split_whitespace().count() >= 5, "no advice: {error}");
    for trace in ["panicked", "src/", ".rs:", "0x7f", "RUST_BACKTRACE"] {
        assert!(!text.contains(trace), "{trace} in {error}");
    }
}
