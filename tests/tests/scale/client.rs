//! A client for masses: frames are written in batches, and read as slices of one buffer.
//!
//! It finds the end of a frame by its NUL, so that no body may have one.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use stompbox_tests::flood::Flood;

const BUFFER_BYTES: usize = 256 * 1024;

pub(crate) struct Client {
    stream: TcpStream,
    input: Vec<u8>,
    start: usize,
    end: usize,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Client {
        Client::connect_with(address, "")
    }

    /// With further lines of CONNECT, each with its line feed.
    pub(crate) fn connect_with(address: SocketAddr, headers: &str) -> Client {
        let flood = Flood::try_connect(address, headers).expect("a session");
        Client {
            stream: flood.stream,
            input: vec![0; BUFFER_BYTES],
            start: 0,
            end: 0,
        }
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).expect("it is taken");
    }

    /// The next frame without its NUL.
    pub(crate) fn next(&mut self) -> &[u8] {
        self.try_next().expect("a frame comes")
    }

    /// The same, or none where the connection has ended.
    pub(crate) fn try_next(&mut self) -> Option<&[u8]> {
        let mut scanned = self.start;
        let end = loop {
            let fresh = &self.input[scanned..self.end];
            if let Some(length) = fresh.iter().position(|byte| *byte == 0) {
                break scanned + length;
            }
            scanned = self.end - self.start;
            self.fill()?;
        };
        let frame = self.start..end;
        self.start = end + 1;
        let frame = &self.input[frame];
        let blank = frame.iter().take_while(|byte| **byte == b'\n').count();
        Some(&frame[blank..])
    }

    /// Whether a whole frame is there already.
    pub(crate) fn has_next(&self) -> bool {
        self.input[self.start..self.end].contains(&0)
    }

    fn fill(&mut self) -> Option<()> {
        self.input.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        if self.end == self.input.len() {
            self.input.resize(self.end * 2, 0);
        }
        let count = self.stream.read(&mut self.input[self.end..]).ok()?;
        self.end += count;
        (count > 0).then_some(())
    }

    /// Reads a RECEIPT; its id.
    pub(crate) fn expect_receipt(&mut self) -> String {
        let frame = self.next();
        assert!(frame.starts_with(b"RECEIPT\n"), "{}", frame.escape_ascii());
        header(frame, "receipt-id").to_owned()
    }

    /// Ends the session; what came meanwhile is not looked at.
    pub(crate) fn disconnect(mut self) {
        self.send("DISCONNECT\nreceipt:bye\n\n\0");
        while !self.next().starts_with(b"RECEIPT\nreceipt-id:bye\n") {}
    }
}

/// A header of a frame, which has it.
pub(crate) fn header<'f>(frame: &'f [u8], name: &str) -> &'f str {
    find(frame, name).unwrap_or_else(|| panic!("no {name} in {}", frame.escape_ascii()))
}

/// A header of a frame.
pub(crate) fn find<'f>(frame: &'f [u8], name: &str) -> Option<&'f str> {
    let mut lines = frame.split(|byte| *byte == b'\n').skip(1);
    let line = lines
        .by_ref()
        .take_while(|line| !line.is_empty())
        .find(|line| {
            line.strip_prefix(name.as_bytes())
                .is_some_and(|rest| rest.starts_with(b":"))
        })?;
    std::str::from_utf8(&line[name.len() + 1..]).ok()
}

/// The body of a MESSAGE.
pub(crate) fn body(frame: &[u8]) -> &[u8] {
    assert!(frame.starts_with(b"MESSAGE\n"), "{}", frame.escape_ascii());
    let end = frame.windows(2).position(|pair| pair == b"\n\n");
    &frame[end.expect("a head ends") + 2..]
}
