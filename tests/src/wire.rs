//! A raw, blocking STOMP connection with its own parser, for tests.
//!
//! It owns one socket and the transcript of what went over it. Methods that return a `Result` are for workloads in which a broken connection
//! is an ordinary event; methods named `expect_*` panic and show the transcript.

mod frame;

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

pub use frame::{Frame, Version};
use frame::{escape, parse};

/// How long an expectation waits unless a test says otherwise. Generous: it is spent only by failing tests.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Transcript entries that are kept; a workload's connection forgets its beginning.
const TRANSCRIPT_ENTRIES_MAX: usize = 200;

/// Characters of a frame that its transcript entry shows.
const TRANSCRIPT_CHARS_MAX: usize = 600;

/// Why no frame came.
#[derive(Debug)]
pub enum WireError {
    /// The peer closed its side, or reset the connection.
    Closed,
    /// Nothing complete arrived in time.
    TimedOut(Duration),
    /// What arrived is not a STOMP frame.
    Malformed(String),
    /// The socket failed otherwise.
    Io(io::Error),
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WireError::Closed => write!(f, "the connection was closed"),
            WireError::TimedOut(patience) => write!(f, "no frame within {patience:?}"),
            WireError::Malformed(what) => write!(f, "not a STOMP frame: {what}"),
            WireError::Io(error) => write!(f, "socket: {error}"),
        }
    }
}

impl std::error::Error for WireError {}

impl From<io::Error> for WireError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::NotConnected
            | io::ErrorKind::UnexpectedEof => WireError::Closed,
            _ => WireError::Io(error),
        }
    }
}

/// One connection.
pub struct Wire {
    stream: TcpStream,
    version: Version,
    input: Vec<u8>,
    /// Read while waiting for another frame; handed out first.
    set_aside: VecDeque<Frame>,
    receipt_count: u64,
    opened: Instant,
    transcript: VecDeque<String>,
}

impl Wire {
    /// Opens a socket and sends nothing.
    ///
    /// # Panics
    /// When nobody listens there.
    #[must_use]
    pub fn open(address: SocketAddr) -> Wire {
        match Wire::try_open(address) {
            Ok(wire) => wire,
            Err(error) => panic!("cannot connect to {address}: {error}"),
        }
    }

    /// Opens a socket and sends nothing.
    ///
    /// # Errors
    /// When nobody listens there.
    pub fn try_open(address: SocketAddr) -> Result<Wire, WireError> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Wire {
            stream,
            version: Version::V12,
            input: Vec::new(),
            set_aside: VecDeque::new(),
            receipt_count: 0,
            opened: Instant::now(),
            transcript: VecDeque::new(),
        })
    }

    /// Opens a connection and logs in without heart-beats.
    ///
    /// # Panics
    /// When the broker does not answer CONNECTED with this version.
    #[must_use]
    pub fn connect(address: SocketAddr, version: Version) -> Wire {
        Wire::connect_with(address, version, &[])
    }

    /// Opens a connection and logs in with further CONNECT headers.
    ///
    /// # Panics
    /// When the broker does not answer CONNECTED with this version.
    #[must_use]
    pub fn connect_with(address: SocketAddr, version: Version, headers: &[(&str, &str)]) -> Wire {
        let mut wire = Wire::open(address);
        if let Err(error) = wire.try_login(version, headers) {
            wire.fail(&format!("no CONNECTED: {error}"));
        }
        wire
    }

    /// Logs in on an open socket.
    ///
    /// # Errors
    /// When the answer is not CONNECTED in this version.
    pub fn try_login(
        &mut self,
        version: Version,
        headers: &[(&str, &str)],
    ) -> Result<Frame, WireError> {
        let mut text = format!(
            "CONNECT\naccept-version:{}\nhost:localhost\n",
            version.text()
        );
        for (name, value) in headers {
            text.push_str(&format!("{name}:{value}\n"));
        }
        text.push_str("\n^@");
        self.version = version;
        self.try_send(&text)?;
        let connected = self.try_next(PATIENCE)?;
        let spoken = connected.header("version").unwrap_or("1.0");
        if connected.command != "CONNECTED" || spoken != version.text() {
            return Err(WireError::Malformed(format!(
                "expected CONNECTED with version {}, got {connected}",
                version.text()
            )));
        }
        Ok(connected)
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// When the socket does not take them.
    pub fn try_send_raw(&mut self, bytes: &[u8]) -> Result<(), WireError> {
        let shown = &bytes[..bytes.len().min(TRANSCRIPT_CHARS_MAX)];
        self.note('>', &shown.escape_ascii().to_string());
        self.stream.write_all(bytes).map_err(WireError::from)
    }

    /// Sends a frame given as text in which `^@` stands for NUL.
    ///
    /// # Errors
    /// When the socket does not take it.
    pub fn try_send(&mut self, text: &str) -> Result<(), WireError> {
        self.try_send_raw(text.replace("^@", "\0").as_bytes())
    }

    /// As [`Wire::try_send`]; for tests in which a broken connection is a failure.
    ///
    /// # Panics
    /// When the socket does not take it.
    pub fn send(&mut self, text: &str) {
        if let Err(error) = self.try_send(text) {
            self.fail(&format!("cannot send {text:?}: {error}"));
        }
    }

    /// Sends bytes as they are; for tests in which a broken connection is a failure.
    ///
    /// # Panics
    /// When the socket does not take them.
    pub fn send_raw(&mut self, bytes: &[u8]) {
        if let Err(error) = self.try_send_raw(bytes) {
            self.fail(&format!("cannot send {} bytes: {error}", bytes.len()));
        }
    }

    /// How long a write may wait for the peer to read, for a test in which it does not.
    ///
    /// # Panics
    /// When the socket refuses.
    pub fn set_write_patience(&mut self, patience: Duration) {
        if let Err(error) = self.stream.set_write_timeout(Some(patience)) {
            self.fail(&format!("cannot set a time-out: {error}"));
        }
    }

    /// Shuts the writing side, as a client that has said everything.
    pub fn shut_write(&mut self) {
        self.note('>', "(end of stream)");
        // Fails only on a connection that is already gone, which is what the caller wants.
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// The next frame in the order of arrival.
    ///
    /// # Errors
    /// When none is complete in time, the connection ends, or what arrives is no frame.
    pub fn try_next(&mut self, patience: Duration) -> Result<Frame, WireError> {
        match self.set_aside.pop_front() {
            Some(frame) => Ok(frame),
            None => self.read_frame(patience),
        }
    }

    /// The next frame in the order of arrival.
    ///
    /// # Panics
    /// When none comes.
    pub fn next_frame(&mut self) -> Frame {
        match self.try_next(PATIENCE) {
            Ok(frame) => frame,
            Err(error) => self.fail(&format!("expected a frame: {error}")),
        }
    }

    /// The next frame, which must have this command.
    ///
    /// # Panics
    /// When it has another one, or none comes.
    pub fn expect_frame(&mut self, command: &str) -> Frame {
        let frame = self.next_frame();
        if frame.command != command {
            self.fail(&format!("expected {command}, got {frame}"));
        }
        frame
    }

    /// The first frame that fits; others are set aside in their order.
    ///
    /// # Errors
    /// When none comes in time. An ERROR that does not fit is reported at once.
    pub fn try_first(
        &mut self,
        patience: Duration,
        fits: impl Fn(&Frame) -> bool,
    ) -> Result<Frame, WireError> {
        if let Some(found) = self.set_aside.iter().position(&fits)
            && let Some(frame) = self.set_aside.remove(found)
        {
            return Ok(frame);
        }
        let end = Instant::now() + patience;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let frame = self.read_frame(left)?;
            if fits(&frame) {
                return Ok(frame);
            }
            if frame.command == "ERROR" {
                return Err(WireError::Malformed(format!("unexpected {frame}")));
            }
            self.set_aside.push_back(frame);
        }
    }

    /// The next MESSAGE; receipts that come before it are set aside.
    ///
    /// # Panics
    /// When none comes.
    pub fn expect_message(&mut self) -> Frame {
        match self.try_first(PATIENCE, |frame| frame.command == "MESSAGE") {
            Ok(frame) => frame,
            Err(error) => self.fail(&format!("expected a MESSAGE: {error}")),
        }
    }

    /// The RECEIPT of that id; messages that come before it are set aside.
    ///
    /// # Panics
    /// When it does not come.
    pub fn expect_receipt(&mut self, receipt: &str) -> Frame {
        let wanted = |frame: &Frame| {
            frame.command == "RECEIPT" && frame.header("receipt-id") == Some(receipt)
        };
        match self.try_first(PATIENCE, wanted) {
            Ok(frame) => frame,
            Err(error) => self.fail(&format!("expected the RECEIPT {receipt}: {error}")),
        }
    }

    /// An ERROR whose `message` header or body contains this text.
    ///
    /// # Panics
    /// When the next frame is another one.
    pub fn expect_error(&mut self, text: &str) -> Frame {
        match self.try_first(PATIENCE, |frame| frame.command == "ERROR") {
            Ok(error)
                if error.header("message").unwrap_or_default().contains(text)
                    || error.text().contains(text) =>
            {
                error
            }
            Ok(error) => self.fail(&format!("expected an ERROR about {text:?}, got {error}")),
            Err(error) => self.fail(&format!("expected an ERROR about {text:?}: {error}")),
        }
    }

    /// The end of the connection, with nothing before it.
    ///
    /// # Panics
    /// When a frame comes, or the connection stays open.
    pub fn expect_closed(&mut self) {
        match self.try_next(PATIENCE) {
            Err(WireError::Closed) => {}
            Err(error) => self.fail(&format!("expected the connection to close: {error}")),
            Ok(frame) => self.fail(&format!("expected the connection to close, got {frame}")),
        }
    }

    /// That no frame comes for a while. Only where nothing else proves the absence: it always costs its time.
    ///
    /// # Panics
    /// When one comes or the connection ends.
    pub fn expect_nothing_for(&mut self, period: Duration) {
        match self.try_next(period) {
            Err(WireError::TimedOut(_)) => {}
            Err(error) => self.fail(&format!("expected silence for {period:?}: {error}")),
            Ok(frame) => self.fail(&format!("expected silence for {period:?}, got {frame}")),
        }
    }

    /// A receipt id that this connection has not used.
    pub fn new_receipt(&mut self) -> String {
        self.receipt_count += 1;
        format!("r{}", self.receipt_count)
    }

    /// Subscribes and waits for the receipt.
    ///
    /// # Panics
    /// When it does not come.
    pub fn subscribe(&mut self, id: &str, destination: &str, ack: &str) {
        self.subscribe_with(id, destination, ack, &[]);
    }

    /// Subscribes with further headers and waits for the receipt.
    ///
    /// # Panics
    /// When it does not come.
    pub fn subscribe_with(
        &mut self,
        id: &str,
        destination: &str,
        ack: &str,
        headers: &[(&str, &str)],
    ) {
        let mut all = vec![("id", id), ("destination", destination), ("ack", ack)];
        all.extend_from_slice(headers);
        self.request("SUBSCRIBE", &all, b"");
    }

    /// Sends a message and waits for its receipt.
    ///
    /// # Panics
    /// When it does not come.
    pub fn send_receipted(&mut self, destination: &str, headers: &[(&str, &str)], body: &str) {
        let mut all = vec![("destination", destination)];
        all.extend_from_slice(headers);
        self.request("SEND", &all, body.as_bytes());
    }

    /// Acknowledges a delivery and waits for the receipt.
    ///
    /// # Panics
    /// When it does not come.
    pub fn ack(&mut self, message: &Frame, headers: &[(&str, &str)]) {
        self.settle("ACK", message, headers);
    }

    /// Refuses a delivery and waits for the receipt.
    ///
    /// # Panics
    /// When it does not come.
    pub fn nack(&mut self, message: &Frame, headers: &[(&str, &str)]) {
        self.settle("NACK", message, headers);
    }

    /// Sends a frame with a receipt and waits for it.
    ///
    /// # Panics
    /// When it does not come.
    pub fn request(&mut self, command: &str, headers: &[(&str, &str)], body: &[u8]) -> Frame {
        let receipt = self.new_receipt();
        let mut all = headers.to_vec();
        all.push(("receipt", &receipt));
        let bytes = self.encode(command, &all, body);
        self.send_raw(&bytes);
        self.expect_receipt(&receipt)
    }

    /// Leaves properly and waits for the end.
    ///
    /// # Panics
    /// When the receipt or the end does not come.
    pub fn disconnect(mut self) {
        self.request("DISCONNECT", &[], b"");
        self.set_aside.clear();
        self.expect_closed();
    }

    /// A frame's bytes, header values escaped by the connection's version.
    #[must_use]
    pub fn encode(&self, command: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(command.len() + 64 * headers.len() + body.len());
        bytes.extend_from_slice(command.as_bytes());
        bytes.push(b'\n');
        for (name, value) in headers {
            bytes.extend_from_slice(escape(name, self.version).as_bytes());
            bytes.push(b':');
            bytes.extend_from_slice(escape(value, self.version).as_bytes());
            bytes.push(b'\n');
        }
        if !body.is_empty() {
            bytes.extend_from_slice(format!("content-length:{}\n", body.len()).as_bytes());
        }
        bytes.push(b'\n');
        bytes.extend_from_slice(body);
        bytes.push(0);
        bytes
    }

    /// The headers by which this connection's version names a delivery.
    ///
    /// # Panics
    /// When the MESSAGE lacks what its version must carry.
    pub fn settle_headers<'m>(&self, message: &'m Frame) -> Vec<(&'static str, &'m str)> {
        let from_message = |name: &str| match message.header(name) {
            Some(value) => value,
            None => self.fail(&format!("no {name} header on {message}")),
        };
        match self.version {
            Version::V12 => vec![("id", from_message("ack"))],
            Version::V11 => vec![
                ("message-id", from_message("message-id")),
                ("subscription", from_message("subscription")),
            ],
            Version::V10 => vec![("message-id", from_message("message-id"))],
        }
    }

    /// Ends a test and shows what went over this connection.
    ///
    /// # Panics
    /// Always.
    pub fn fail(&self, what: &str) -> ! {
        panic!("{what}\n--- transcript ---\n{}", self.transcript());
    }

    /// What went over this connection, newest last.
    #[must_use]
    pub fn transcript(&self) -> String {
        self.transcript
            .iter()
            .map(|line| format!("{line}\n"))
            .collect()
    }

    fn settle(&mut self, command: &str, message: &Frame, headers: &[(&str, &str)]) {
        let mut all = self.settle_headers(message);
        all.extend_from_slice(headers);
        self.request(command, &all, b"");
    }

    fn read_frame(&mut self, patience: Duration) -> Result<Frame, WireError> {
        let end = Instant::now() + patience;
        loop {
            if let Some((frame, used)) = parse(&self.input, self.version)? {
                self.input.drain(..used);
                self.note('<', &frame.to_string());
                return Ok(frame);
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(WireError::TimedOut(patience));
            }
            self.fill(left)?;
        }
    }

    fn fill(&mut self, patience: Duration) -> Result<(), WireError> {
        // A zero time-out would mean "for ever" to the socket.
        self.stream
            .set_read_timeout(Some(patience.max(Duration::from_millis(1))))?;
        let mut block = [0; 16 * 1024];
        match self.stream.read(&mut block) {
            Ok(0) => {
                self.note('<', "(end of stream)");
                Err(WireError::Closed)
            }
            Ok(count) => {
                self.input.extend_from_slice(&block[..count]);
                Ok(())
            }
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock
                        | io::ErrorKind::TimedOut
                        | io::ErrorKind::Interrupted
                ) =>
            {
                Ok(())
            }
            Err(error) => {
                self.note('<', &format!("({error})"));
                Err(error.into())
            }
        }
    }

    fn note(&mut self, direction: char, what: &str) {
        if self.transcript.len() == TRANSCRIPT_ENTRIES_MAX {
            self.transcript.pop_front();
        }
        let elapsed_ms = self.opened.elapsed().as_millis();
        let shown: String = what.chars().take(TRANSCRIPT_CHARS_MAX).collect();
        self.transcript
            .push_back(format!("{elapsed_ms:>6} ms {direction} {shown}"));
    }
}
