//! Conversations of frames as the documentation shows them, replayed against a broker.
//!
//! ```text
//! C: SUBSCRIBE                  the client sends this frame
//!    id:1
//!    destination:/queue/tea
//! C: SEND
//!    destination:/queue/tea
//!
//!    one cup                    behind a blank line: the body
//! S: MESSAGE                    the server answers with this one
//!    message-id:<id>            some text, which may be used below
//!    redelivered:<any>          some text
//!    ...                        and further headers
//!
//!    one cup
//! ```
//!
//! The NUL that ends a frame is not shown, headers of the server's frames may come in any order, receipts and
//! messages may overtake each other. `C2:` and `S2:` are a second connection. A connection whose first frame is not
//! CONNECT is connected with STOMP 1.2 before. Further lines:
//!
//! ```text
//! C: (breaks off)               the client closes its socket without DISCONNECT
//! S: (closes)                   the server closes the connection
//! B: (kill -9, start)           the broker crashes; all connections are gone
//! B: (stop, start)              the broker stops properly
//! ```
//!
//! At the end each connection that is left sends DISCONNECT: a frame of the server that was not shown is a failure.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, VecDeque};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use crate::broker::Broker;

/// How long a frame may take. Generous: it is spent only by failing tests.
const PATIENCE: Duration = Duration::from_secs(10);

const GOODBYE: &str = "end-of-conversation";

/// Who acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Client,
    Server,
    Broker,
}

/// One frame, or what stands in parentheses.
#[derive(Debug, PartialEq, Eq)]
struct Step {
    side: Side,
    connection: u32,
    command: String,
    headers: Vec<String>,
    body: String,
    /// Its line in the block, from 1.
    line: usize,
}

impl Step {
    fn header(&self, name: &str) -> Option<&str> {
        value(&self.headers, name)
    }
}

/// A frame as it came, header lines as on the wire.
#[derive(Debug)]
struct Frame {
    command: String,
    headers: Vec<String>,
    body: String,
}

fn value<'a>(headers: &'a [String], name: &str) -> Option<&'a str> {
    headers
        .iter()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
}

fn parse(text: &str) -> Result<Vec<Step>> {
    let mut steps: Vec<Step> = Vec::new();
    let mut in_body = false;
    let mut indent = 0;
    for (index, line) in text.lines().enumerate() {
        if let Some((step, width)) = opening(line, index + 1) {
            steps.push(step);
            (in_body, indent) = (false, width);
            continue;
        }
        let place = || format!("line {}: {line:?}", index + 1);
        let step = steps.last_mut().with_context(place)?;
        if line.trim().is_empty() {
            if in_body {
                step.body.push('\n');
            }
            in_body = true;
            continue;
        }
        let content = line
            .strip_prefix(&" ".repeat(indent))
            .with_context(|| format!("neither a frame nor indented by {indent}, {}", place()))?;
        if in_body {
            if !step.body.is_empty() && !step.body.ends_with('\n') {
                step.body.push('\n');
            }
            step.body.push_str(content);
        } else {
            step.headers.push(content.to_owned());
        }
    }
    ensure!(!steps.is_empty(), "a conversation without a frame");
    Ok(steps)
}

/// `C: COMMAND` and its like, and how far what belongs to it is indented.
fn opening(line: &str, number: usize) -> Option<(Step, usize)> {
    let (label, command) = line.split_once(": ")?;
    let (side, connection) = label.split_at_checked(1)?;
    let side = match side {
        "C" => Side::Client,
        "S" => Side::Server,
        "B" => Side::Broker,
        _ => return None,
    };
    let connection = match connection {
        "" => 1,
        digits => digits.parse().ok()?,
    };
    let step = Step {
        side,
        connection,
        command: command.trim().to_owned(),
        headers: Vec::new(),
        body: String::new(),
        line: number,
    };
    Some((step, label.len() + 2))
}

/// Replays a conversation.
///
/// # Errors
/// When it is not written in the notation, or the broker answers otherwise.
pub fn replay(text: &str, broker: &mut Broker) -> Result<()> {
    let mut talk = Talk::default();
    for step in parse(text)? {
        let act = talk.act(&step, broker);
        act.with_context(|| format!("line {}, {}", step.line, step.command))?;
    }
    for (number, connection) in &mut talk.connections {
        let end = connection.say_goodbye();
        end.with_context(|| format!("at the end of connection {number}"))?;
    }
    Ok(())
}

#[derive(Default)]
struct Talk {
    connections: BTreeMap<u32, Connection>,
    names: BTreeMap<String, String>,
}

impl Talk {
    fn act(&mut self, step: &Step, broker: &mut Broker) -> Result<()> {
        match (step.side, step.command.as_str()) {
            (Side::Broker, "(kill -9, start)") => {
                self.connections.clear();
                broker.kill();
                broker.start_again();
            }
            (Side::Broker, "(stop, start)") => {
                let status = broker.terminate();
                ensure!(status.success(), "the broker stopped with {status}");
                self.connections.clear();
                broker.start_again();
            }
            (Side::Client, "(breaks off)") => {
                let gone = self.connections.remove(&step.connection);
                gone.context("no such connection")?;
            }
            (Side::Server, "(closes)") => {
                let gone = self.connections.remove(&step.connection);
                gone.context("no such connection")?.expect_end()?;
            }
            (_, command) if command.starts_with('(') => bail!("unknown: {command}"),
            (Side::Broker, _) => bail!("the broker has no frames: write S"),
            (Side::Client, _) => {
                let frame = self.fill_in(step)?;
                self.connection(step, broker.stomp())?.send(&frame)?;
            }
            (Side::Server, _) => {
                let connection = self.connections.get_mut(&step.connection);
                let frame = connection.context("no such connection")?.receive(step)?;
                self.compare(step, &frame)
                    .with_context(|| format!("got {frame:#?}"))?;
            }
        }
        Ok(())
    }

    fn connection(&mut self, step: &Step, address: SocketAddr) -> Result<&mut Connection> {
        match self.connections.entry(step.connection) {
            Entry::Occupied(open) => Ok(open.into_mut()),
            Entry::Vacant(place) => {
                let mut connection = Connection::open(address)?;
                if !matches!(step.command.as_str(), "CONNECT" | "STOMP") {
                    connection.send("CONNECT\naccept-version:1.2\nhost:localhost\n\n\0")?;
                    let connected = connection.read()?;
                    ensure!(connected.command == "CONNECTED", "got {connected:?}");
                }
                Ok(place.insert(connection))
            }
        }
    }

    /// The client's frame, names replaced by what they stand for.
    fn fill_in(&self, step: &Step) -> Result<String> {
        let mut text = format!("{}\n", step.command);
        for header in &step.headers {
            text.push_str(header);
            text.push('\n');
        }
        text.push('\n');
        text.push_str(&step.body);
        for (name, meaning) in &self.names {
            text = text.replace(&format!("<{name}>"), meaning);
        }
        let unknown = text.lines().find(|line| line.contains(":<"));
        ensure!(unknown.is_none(), "nothing is known as {unknown:?}");
        text.push('\0');
        Ok(text)
    }

    fn compare(&mut self, step: &Step, frame: &Frame) -> Result<()> {
        ensure!(step.command == frame.command, "another command");
        let mut left = frame.headers.clone();
        let mut may_have_more = false;
        for shown in &step.headers {
            if shown == "..." {
                may_have_more = true;
                continue;
            }
            let found = left.iter().position(|line| self.fits(shown, line));
            let found = found.with_context(|| format!("no header {shown}"))?;
            self.learn(shown, &left.remove(found));
        }
        ensure!(may_have_more || left.is_empty(), "not shown: {left:?}");
        let fits = step.body == "..." || self.fits(&step.body, frame.body.trim_end());
        ensure!(fits, "another body than {:?}", step.body);
        Ok(())
    }

    /// Whether a text is as shown: `<any>` and names that mean nothing yet stand for any text.
    fn fits(&self, shown: &str, text: &str) -> bool {
        let mut rest = text;
        let mut is_open = false;
        for piece in pieces(shown) {
            let literal = match piece {
                Piece::Text(literal) => literal,
                Piece::Name(name) => match self.names.get(name) {
                    Some(meaning) => meaning,
                    None => {
                        is_open = true;
                        continue;
                    }
                },
            };
            let at = if is_open {
                rest.find(literal)
            } else {
                rest.starts_with(literal).then_some(0)
            };
            let Some(at) = at else { return false };
            rest = &rest[at + literal.len()..];
            is_open = false;
        }
        is_open || rest.is_empty()
    }

    /// Remembers what a new name at the end of a line stands for.
    fn learn(&mut self, shown: &str, text: &str) {
        if let Some((before, name)) = shown.strip_suffix('>').and_then(|it| it.rsplit_once('<'))
            && name != "any"
            && !before.contains('<')
            && let Some(meaning) = text.strip_prefix(before)
        {
            self.names
                .entry(name.to_owned())
                .or_insert(meaning.to_owned());
        }
    }
}

enum Piece<'a> {
    Text(&'a str),
    Name(&'a str),
}

fn pieces(shown: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = shown;
    while let Some((before, behind)) = rest.split_once('<')
        && let Some((name, behind)) = behind.split_once('>')
    {
        pieces.push(Piece::Text(before));
        pieces.push(Piece::Name(name));
        rest = behind;
    }
    if !rest.is_empty() || pieces.is_empty() {
        pieces.push(Piece::Text(rest));
    }
    pieces
}

struct Connection {
    stream: TcpStream,
    input: Vec<u8>,
    /// Read and not shown yet.
    set_aside: VecDeque<Frame>,
}

impl Connection {
    fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            input: Vec::new(),
            set_aside: VecDeque::new(),
        })
    }

    fn send(&mut self, text: &str) -> Result<()> {
        Ok(self.stream.write_all(text.as_bytes())?)
    }

    /// The next frame of this command; of receipts the one that is shown.
    fn receive(&mut self, step: &Step) -> Result<Frame> {
        let receipt = step.header("receipt-id");
        let is_meant = |frame: &Frame| {
            frame.command == step.command
                && (frame.command != "RECEIPT" || value(&frame.headers, "receipt-id") == receipt)
        };
        if let Some(found) = self.set_aside.iter().position(is_meant)
            && let Some(frame) = self.set_aside.remove(found)
        {
            return Ok(frame);
        }
        loop {
            let frame = self.read()?;
            if is_meant(&frame) {
                return Ok(frame);
            }
            ensure!(frame.command != "ERROR", "got {frame:#?}");
            self.set_aside.push_back(frame);
        }
    }

    fn read(&mut self) -> Result<Frame> {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some((frame, used)) = first_frame(&self.input)? {
                self.input.drain(..used);
                return Ok(frame);
            }
            ensure!(
                Instant::now() < end,
                "no frame came, only {:?}",
                self.set_aside
            );
            ensure!(self.fill()? > 0, "the broker has closed the connection");
        }
    }

    fn fill(&mut self) -> Result<usize> {
        let mut block = [0; 4096];
        let count = match self.stream.read(&mut block) {
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => 0,
            Err(error) => return Err(error).context("no frame came"),
        };
        self.input.extend_from_slice(&block[..count]);
        Ok(count)
    }

    fn expect_end(mut self) -> Result<()> {
        while self.fill()? > 0 {}
        let left = String::from_utf8_lossy(&self.input);
        let is_silent = self.set_aside.is_empty() && left.trim().is_empty();
        ensure!(is_silent, "not shown: {:?} {left}", self.set_aside);
        Ok(())
    }

    fn say_goodbye(&mut self) -> Result<()> {
        self.send(&format!("DISCONNECT\nreceipt:{GOODBYE}\n\n\0"))?;
        loop {
            let frame = self.read()?;
            if value(&frame.headers, "receipt-id") == Some(GOODBYE) {
                break;
            }
            self.set_aside.push_back(frame);
        }
        ensure!(
            self.set_aside.is_empty(),
            "not shown: {:#?}",
            self.set_aside
        );
        Ok(())
    }
}

/// The first frame in `input` and how many bytes it took.
fn first_frame(input: &[u8]) -> Result<Option<(Frame, usize)>> {
    let start = input.iter().position(|byte| *byte != b'\n');
    let start = start.unwrap_or(input.len());
    let Some(head) = input[start..].windows(2).position(|pair| pair == b"\n\n") else {
        return Ok(None);
    };
    let text = String::from_utf8_lossy(&input[start..start + head]);
    let mut lines = text.lines().map(str::to_owned);
    let command = lines.next().unwrap_or_default();
    let headers: Vec<String> = lines.collect();
    let body = start + head + 2;
    let length = match value(&headers, "content-length") {
        Some(length) => length.parse().context("content-length")?,
        None => match input[body..].iter().position(|byte| *byte == 0) {
            Some(length) => length,
            None => return Ok(None),
        },
    };
    match input.get(body + length) {
        None => Ok(None),
        Some(0) => {
            let body_text = String::from_utf8_lossy(&input[body..body + length]).into_owned();
            let frame = Frame {
                command,
                headers,
                body: body_text,
            };
            Ok(Some((frame, body + length + 1)))
        }
        Some(_) => bail!("no NUL behind the body of {command}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_read_as_they_are_shown() -> Result<()> {
        let steps =
            parse("C: SEND\n   destination:a\n\n   one\n   two\nS2: RECEIPT\n    receipt-id:1\n")?;
        assert_eq!(steps.len(), 2);
        assert_eq!((steps[0].side, steps[0].connection), (Side::Client, 1));
        assert_eq!(steps[0].headers, ["destination:a"]);
        assert_eq!(steps[0].body, "one\ntwo");
        assert_eq!((steps[1].side, steps[1].connection), (Side::Server, 2));
        assert_eq!(steps[1].header("receipt-id"), Some("1"));
        assert!(parse("C: SEND\ndestination:a\n").is_err());
        Ok(())
    }

    #[test]
    fn names_stand_for_what_they_met_first() {
        let mut talk = Talk::default();
        assert!(talk.fits("a:<any>b<any>", "a:xxbyy"));
        assert!(!talk.fits("a:<any>b", "a:xxbyy"));
        assert!(talk.fits("ack:<ack>", "ack:7"));
        talk.learn("ack:<ack>", "ack:7");
        assert!(talk.fits("ack:<ack>", "ack:7"));
        assert!(!talk.fits("ack:<ack>", "ack:8"));
    }
}
