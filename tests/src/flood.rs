//! A logged-in socket for masses: it writes bytes as they are, and reads only when it is told to.
//!
//! Unlike [`crate::wire::Wire`] it keeps no transcript and parses nothing.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use crate::wire::PATIENCE;

/// The socket.
#[derive(Debug)]
pub struct Flood {
    /// The socket itself, for time-outs and half-closes.
    pub stream: TcpStream,
}

impl Flood {
    /// Opens a socket and says nothing.
    ///
    /// # Errors
    /// When nobody listens, or no file handle is left.
    pub fn open(address: SocketAddr) -> io::Result<Flood> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Flood { stream })
    }

    /// Opens a STOMP 1.2 session.
    ///
    /// # Panics
    /// When CONNECTED does not come.
    #[must_use]
    pub fn connect(address: SocketAddr) -> Flood {
        match Flood::try_connect(address, "") {
            Ok(flood) => flood,
            Err(error) => panic!("no session on {address}: {error}"),
        }
    }

    /// Opens a STOMP 1.2 session with further lines of CONNECT, each with its line feed.
    ///
    /// # Errors
    /// When CONNECTED does not come.
    pub fn try_connect(address: SocketAddr, headers: &str) -> io::Result<Flood> {
        let mut flood = Flood::open(address)?;
        let connect = format!("CONNECT\naccept-version:1.2\nhost:x\n{headers}\n\0");
        flood.stream.write_all(connect.as_bytes())?;
        let answer = flood.read_frame()?;
        if answer.starts_with(b"CONNECTED\n") {
            return Ok(flood);
        }
        Err(io::Error::other(answer.escape_ascii().to_string()))
    }

    /// Writes all of it.
    ///
    /// # Panics
    /// When the broker does not take it.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let bytes = bytes.as_ref();
        if let Err(error) = self.stream.write_all(bytes) {
            panic!("{} bytes are not taken: {error}", bytes.len());
        }
    }

    /// Reads up to and including the next NUL, byte by byte so that nothing behind it is taken.
    ///
    /// # Errors
    /// When the connection ends or nothing comes.
    pub fn read_frame(&mut self) -> io::Result<Vec<u8>> {
        let mut frame = Vec::new();
        let mut byte = [0];
        loop {
            self.stream.read_exact(&mut byte)?;
            match byte[0] {
                0 => return Ok(frame),
                b'\n' if frame.is_empty() => {}
                other => frame.push(other),
            }
        }
    }

    /// Writes until all of it is taken, or nothing was for a while; says how much was.
    ///
    /// # Panics
    /// When the connection ends.
    pub fn send_until_stuck(&mut self, bytes: &[u8], patience: Duration) -> usize {
        let mut sent = 0;
        self.set_write_patience(patience);
        while sent < bytes.len() {
            match self.stream.write(&bytes[sent..]) {
                Ok(count) => sent += count,
                Err(error) if is_timeout(&error) => break,
                Err(error) => panic!("after {sent} bytes: {error}"),
            }
        }
        sent
    }

    /// How long a write may wait.
    ///
    /// # Panics
    /// When the socket refuses.
    pub fn set_write_patience(&self, patience: Duration) {
        if let Err(error) = self.stream.set_write_timeout(Some(patience)) {
            panic!("no time-out: {error}");
        }
    }

    /// Reads and throws away on a thread of its own what comes, until the end or a long silence.
    ///
    /// # Panics
    /// When the socket cannot be cloned.
    #[must_use]
    pub fn drain(&self) -> thread::JoinHandle<()> {
        let mut stream = match self.stream.try_clone() {
            Ok(stream) => stream,
            Err(error) => panic!("a socket is not cloned: {error}"),
        };
        thread::spawn(move || {
            let mut block = vec![0; 64 * 1024];
            while matches!(stream.read(&mut block), Ok(count) if count > 0) {}
        })
    }

    /// Reads what comes until the end of the connection, which must come.
    ///
    /// # Errors
    /// When the end does not come in time.
    pub fn read_to_end(&mut self) -> io::Result<Vec<u8>> {
        let mut all = Vec::new();
        match self.stream.read_to_end(&mut all) {
            Ok(_) => Ok(all),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(all),
            Err(error) => Err(error),
        }
    }
}

/// Whether a read or a write ran out of its time.
#[must_use]
pub fn is_timeout(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}
