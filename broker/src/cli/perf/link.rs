//! A connection to a broker: a blocking socket whose reads and writes return now and then, so that a load can end.

use std::io::{self, ErrorKind, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use memchr::memmem;
use stompbox_protocol::{Command, Version, encode};

use super::control::{Control, Phase};
use super::inbound::{Buffer, Inbound, Malformed};

/// How often a blocked thread looks whether it is to end.
pub(super) const TICK: Duration = Duration::from_millis(100);

/// How long a broker may take to accept a connection.
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);

/// How long a broker may be silent while it owes an answer: a slow one has megabytes to deal with before.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// How long a broker may take no byte: it may block its producers for a while.
const STALL: Duration = Duration::from_secs(60);

/// The receipt of what is done once in a session.
const ONCE: &[u8] = b"done";

/// Why a connection is of no more use.
#[derive(Debug, thiserror::Error)]
pub(super) enum LinkError {
    /// No way to the broker.
    #[error("cannot connect to {address}")]
    Unreachable {
        /// Where it should be.
        address: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The socket failed.
    #[error("the connection failed")]
    Socket(#[from] io::Error),
    /// The broker closed it.
    #[error("the broker closed the connection")]
    Closed,
    /// The broker sent an ERROR.
    #[error("the broker refused: {0}")]
    Refused(String),
    /// The broker does not speak STOMP.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The broker is silent.
    #[error("the broker did not answer {0} in time")]
    NoAnswer(&'static str),
    /// The broker takes nothing.
    #[error("the broker took no byte for {} s", STALL.as_secs())]
    Stalled,
    /// The user interrupted.
    #[error("interrupted")]
    Aborted,
}

/// Where a broker is and who wants in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    /// `host:port`.
    pub(super) address: String,
    /// Name and passcode.
    pub(super) login: Option<(String, String)>,
}

/// What came of a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arrival {
    /// Bytes.
    Data,
    /// Nothing for a tick.
    Quiet,
}

/// Whose peculiarities are to be minded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Server {
    /// To RabbitMQ `persistent:false` says that the queue is the connection's own and does not outlive it; a message is
    /// not persistent if that is not mentioned.
    RabbitMq,
    /// Nobody's.
    Other,
}

/// The half that sends.
pub(super) struct Outlet<'a> {
    stream: TcpStream,
    control: &'a Control,
}

/// The half that receives.
pub(super) struct Inlet {
    stream: TcpStream,
    buffer: Buffer,
}

/// Both halves of a session that has begun.
pub(super) struct Link<'a> {
    pub(super) server: Server,
    pub(super) outlet: Outlet<'a>,
    pub(super) inlet: Inlet,
}

impl Outlet<'_> {
    /// Writes all of it.
    pub(super) fn write(&mut self, mut bytes: &[u8]) -> Result<(), LinkError> {
        let mut moved = None;
        while !bytes.is_empty() {
            match self.stream.write(bytes) {
                Ok(0) => return Err(LinkError::Closed),
                Ok(count) => {
                    bytes = &bytes[count..];
                    moved = None;
                }
                Err(error) if is_tick(&error) => {
                    if self.control.phase() == Phase::Aborted {
                        return Err(LinkError::Aborted);
                    }
                    let since = *moved.get_or_insert_with(Instant::now);
                    if since.elapsed() > STALL {
                        return Err(LinkError::Stalled);
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

impl Inlet {
    /// Waits for bytes, for a tick at most.
    pub(super) fn read(&mut self) -> Result<Arrival, LinkError> {
        match self.buffer.fill(&mut self.stream) {
            Ok(0) => Err(LinkError::Closed),
            Ok(_) => Ok(Arrival::Data),
            Err(error) if is_tick(&error) => Ok(Arrival::Quiet),
            Err(error) => Err(error.into()),
        }
    }

    /// The next frame that has arrived. An ERROR is an error.
    pub(super) fn next(&mut self) -> Result<Option<Inbound<'_>>, LinkError> {
        match self.buffer.next()? {
            Some(Inbound::Error(text)) => {
                let text = String::from_utf8_lossy(text).trim_end().to_owned();
                Err(LinkError::Refused(text))
            }
            frame => Ok(frame),
        }
    }
}

impl<'a> Link<'a> {
    /// Connects and begins a session.
    pub(super) fn connect(target: &Target, control: &'a Control) -> Result<Link<'a>, LinkError> {
        let unreachable = |source| LinkError::Unreachable {
            address: target.address.clone(),
            source,
        };
        let stream = open(&target.address).map_err(unreachable)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TICK))?;
        stream.set_write_timeout(Some(TICK))?;
        let mut link = Link {
            server: Server::Other,
            outlet: Outlet {
                stream: stream.try_clone()?,
                control,
            },
            inlet: Inlet {
                stream,
                buffer: Buffer::new(),
            },
        };
        link.outlet.write(&connect_frame(target))?;
        let is_rabbit = |frame: &Inbound<'_>| match frame {
            Inbound::Connected(lines) => Some(memmem::find(lines, b"\nserver:RabbitMQ").is_some()),
            Inbound::Message(_) | Inbound::Receipt(_) | Inbound::Error(_) => None,
        };
        if link.await_frame("CONNECT", is_rabbit)? {
            link.server = Server::RabbitMq;
        }
        Ok(link)
    }

    /// Sends a frame that asks for a receipt.
    pub(super) fn ask(
        &mut self,
        command: Command,
        headers: &[(&[u8], &[u8])],
    ) -> Result<(), LinkError> {
        let mut all = headers.to_vec();
        all.push((b"receipt", ONCE));
        let mut frame = Vec::new();
        encode::frame(&mut frame, Version::V1_2, command, &all, b"");
        self.outlet.write(&frame)
    }

    /// Sends a frame and waits for its receipt. What else comes is dropped.
    pub(super) fn request(
        &mut self,
        command: Command,
        headers: &[(&[u8], &[u8])],
    ) -> Result<(), LinkError> {
        self.ask(command, headers)?;
        let is_done = |frame: &Inbound<'_>| (*frame == Inbound::Receipt(ONCE)).then_some(());
        self.await_frame(command.as_str(), is_done)
    }

    /// Ends the session: the broker has done all that it was sent before.
    pub(super) fn disconnect(&mut self) -> Result<(), LinkError> {
        self.request(Command::Disconnect, &[])
    }

    /// What the broker said before the connection failed, if that says more than `error`.
    pub(super) fn reason(&mut self, error: LinkError) -> LinkError {
        if !matches!(error, LinkError::Socket(_) | LinkError::Closed) {
            return error;
        }
        let end = Instant::now() + TICK;
        while Instant::now() < end {
            match self.inlet.next() {
                Ok(Some(_)) => continue,
                Ok(None) => {}
                Err(refused) => return refused,
            }
            if self.inlet.read().is_err() {
                break;
            }
        }
        error
    }

    /// Reads on until a frame is the one.
    fn await_frame<T>(
        &mut self,
        name: &'static str,
        find: impl Fn(&Inbound<'_>) -> Option<T>,
    ) -> Result<T, LinkError> {
        let mut quiet_since = Instant::now();
        while quiet_since.elapsed() < PATIENCE {
            while let Some(frame) = self.inlet.next()? {
                if let Some(found) = find(&frame) {
                    return Ok(found);
                }
            }
            if self.inlet.read()? == Arrival::Data {
                quiet_since = Instant::now();
            } else if self.outlet.control.phase() == Phase::Aborted {
                return Err(LinkError::Aborted);
            }
        }
        Err(LinkError::NoAnswer(name))
    }
}

impl Drop for Outlet<'_> {
    fn drop(&mut self) {
        // Closed by the broker already, at worst.
        self.stream.shutdown(Shutdown::Both).ok();
    }
}

fn open(address: &str) -> io::Result<TcpStream> {
    let mut failure = io::Error::new(ErrorKind::NotFound, "the name has no address");
    for address in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, CONNECT_PATIENCE) {
            Ok(stream) => return Ok(stream),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

fn connect_frame(target: &Target) -> Vec<u8> {
    let host = target.address.rsplit_once(':').map_or("", |(host, _)| host);
    // RabbitMQ takes `host` for the name of a virtual host, of which it has one.
    let host = if target.login.is_some() { "/" } else { host };
    let mut headers: Vec<(&[u8], &[u8])> = vec![
        (b"accept-version", b"1.2"),
        (b"host", host.as_bytes()),
        (b"heart-beat", b"0,0"),
    ];
    if let Some((login, passcode)) = &target.login {
        headers.push((b"login", login.as_bytes()));
        headers.push((b"passcode", passcode.as_bytes()));
    }
    let mut frame = Vec::new();
    encode::frame(&mut frame, Version::V1_2, Command::Connect, &headers, b"");
    frame
}

/// The time of a read or a write has passed.
fn is_tick(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
    )
}
