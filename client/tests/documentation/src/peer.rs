//! Plays the broker of an example: says yes to everything, has two messages for every subscription, and answers what has
//! a `reply-to`. It keeps nothing.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

/// What it is asked for by the name of a header.
struct Request {
    command: String,
    headers: Vec<(String, String)>,
}

impl Request {
    fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(own, _)| own == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// See the module.
pub(super) struct Peer {
    address: String,
}

impl Peer {
    /// Accepts connections from now on, on a free port.
    pub(super) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound").to_string();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // It ends when the client has gone.
                thread::spawn(move || Conversation::new(stream)?.run());
            }
        });
        Self { address }
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }
}

struct Conversation {
    from: BufReader<TcpStream>,
    to: TcpStream,
    /// Where answers go: the subscription and its temporary queue.
    answers: Option<(String, String)>,
    messages: u32,
}

impl Conversation {
    fn new(stream: TcpStream) -> io::Result<Self> {
        Ok(Self {
            to: stream.try_clone()?,
            from: BufReader::new(stream),
            answers: None,
            messages: 0,
        })
    }

    fn run(mut self) -> io::Result<()> {
        loop {
            let request = self.read()?;
            match request.command.as_str() {
                "CONNECT" | "STOMP" => {
                    self.write("CONNECTED\nversion:1.2\nserver:stompbox/example\nsession:1\n\n")?;
                }
                "SUBSCRIBE" => {
                    self.confirm(&request)?;
                    self.deliver(&request)?;
                    continue;
                }
                "SEND" if request.header("reply-to").is_some() => self.answer(&request)?,
                _ => {}
            }
            self.confirm(&request)?;
        }
    }

    fn confirm(&mut self, request: &Request) -> io::Result<()> {
        match request.header("receipt") {
            Some(receipt) => self.write(&format!("RECEIPT\nreceipt-id:{receipt}\n\n")),
            None => Ok(()),
        }
    }

    fn deliver(&mut self, request: &Request) -> io::Result<()> {
        let id = request.header("id").unwrap_or_default();
        let destination = request.header("destination").unwrap_or_default();
        if destination.starts_with("/temp-queue/") {
            self.answers = Some((id.to_owned(), destination.to_owned()));
            return Ok(());
        }
        for _ in 0..2 {
            self.message(id, destination, "reply-to:/queue/replies\n", "one tea")?;
        }
        if request.header("browser") == Some("true") {
            self.message(id, destination, "browser:end\n", "")?;
        }
        Ok(())
    }

    fn answer(&mut self, request: &Request) -> io::Result<()> {
        let Some((id, destination)) = self.answers.clone() else {
            return Ok(());
        };
        let correlation = request.header("correlation-id").unwrap_or_default();
        let correlation = format!("correlation-id:{correlation}\n");
        self.message(&id, &destination, &correlation, "3.20")
    }

    fn message(&mut self, id: &str, to: &str, headers: &str, body: &str) -> io::Result<()> {
        self.messages += 1;
        let number = self.messages;
        self.write(&format!(
            "MESSAGE\nsubscription:{id}\nmessage-id:{number}\nack:{number}\ndestination:{to}\n\
             redelivered:false\ncontent-type:text/plain\n{headers}\n{body}"
        ))
    }

    fn write(&mut self, frame: &str) -> io::Result<()> {
        self.to.write_all(frame.as_bytes())?;
        self.to.write_all(b"\0")
    }

    fn read(&mut self) -> io::Result<Request> {
        let mut command = self.line()?;
        while command.is_empty() {
            command = self.line()?;
        }
        let mut request = Request {
            command,
            headers: Vec::new(),
        };
        loop {
            let line = self.line()?;
            match line.split_once(':') {
                Some((name, value)) => request.headers.push((name.to_owned(), value.to_owned())),
                None => break,
            }
        }
        let bytes = request.header("content-length");
        let bytes = bytes.and_then(|bytes| bytes.parse().ok()).unwrap_or(0);
        // The NUL too.
        self.from.read_exact(&mut vec![0; bytes + 1])?;
        Ok(request)
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.from.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end_matches('\n').to_owned())
    }
}
