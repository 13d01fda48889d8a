//! From an address to a session: the TCP connection, CONNECT, and what CONNECTED says.

use std::sync::Arc;
use std::time::Duration;

use stompbox_protocol::{Command, Decoder, Frame, Input, Role, Version, encode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::inbound::refusal;
use crate::outbound::Headers;
use crate::{ClientError, ConnectOptions};

const VERSIONS: [Version; 3] = [Version::V1_0, Version::V1_1, Version::V1_2];

/// What was agreed on.
#[derive(Debug)]
pub(crate) struct Session {
    /// The version.
    pub(crate) version: Version,
    /// The broker's name for the session.
    pub(crate) id: Option<String>,
    /// How often we must send something.
    pub(crate) send_every: Option<Duration>,
    /// After how much silence the broker is given up.
    pub(crate) silence: Option<Duration>,
}

/// Connects and opens a session, within the time of the options. The decoder may hold frames already.
pub(crate) async fn connect(
    address: &str,
    options: &ConnectOptions,
) -> Result<(TcpStream, Decoder, Session), ClientError> {
    let late = |_| ClientError::ConnectTimeout {
        address: address.to_owned(),
        timeout: options.timeout,
    };
    timeout(options.timeout, open(address, options))
        .await
        .map_err(late)?
}

async fn open(
    address: &str,
    options: &ConnectOptions,
) -> Result<(TcpStream, Decoder, Session), ClientError> {
    let unreachable = |error| ClientError::Unreachable {
        address: address.to_owned(),
        source: Arc::new(error),
    };
    let mut socket = TcpStream::connect(address).await.map_err(unreachable)?;
    // An acknowledgement must not wait for the broker's TCP acknowledgement of the one before.
    socket.set_nodelay(true).map_err(unreachable)?;
    socket
        .write_all(&connect_frame(address, options))
        .await
        .map_err(broken)?;
    let mut decoder = Decoder::new(Role::Client, options.limits.clone());
    let frame = first_frame(&mut socket, &mut decoder).await?;
    let session = match frame.command() {
        Command::Connected => session(&frame, options)?,
        Command::Error => return Err(refusal(&frame)),
        command => return Err(ClientError::Unexpected { command }),
    };
    decoder.set_version(session.version);
    decoder.authenticated();
    Ok((socket, decoder, session))
}

fn connect_frame(address: &str, options: &ConnectOptions) -> Vec<u8> {
    let host = address
        .rsplit_once(':')
        .map_or(address, |(host, _port)| host);
    let versions = VERSIONS.map(Version::as_str).join(",");
    let beat = options.heart_beat;
    let heart_beat = format!("{},{}", beat.send.as_millis(), beat.receive.as_millis());
    let mut headers: Headers<'_> = vec![
        ("accept-version", &versions),
        ("host", options.host.as_deref().unwrap_or(host)),
        ("heart-beat", &heart_beat),
    ];
    let optional = [
        ("login", options.login.as_deref()),
        (
            "passcode",
            options.passcode.as_ref().map(|passcode| passcode.expose()),
        ),
        ("client-id", options.client_id.as_deref()),
    ];
    headers.extend(
        optional
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    encode_frame(Version::V1_0, Command::Connect, &headers, b"")
}

/// A frame as on the wire.
pub(crate) fn encode_frame(
    version: Version,
    command: Command,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Vec<u8> {
    let headers: Vec<(&[u8], &[u8])> = headers
        .iter()
        .map(|(name, value)| (name.as_bytes(), value.as_bytes()))
        .collect();
    let mut bytes = Vec::with_capacity(body.len() + 256);
    encode::frame(&mut bytes, version, command, &headers, body);
    bytes
}

async fn first_frame(socket: &mut TcpStream, decoder: &mut Decoder) -> Result<Frame, ClientError> {
    loop {
        match decoder
            .next_input()
            .map_err(|source| ClientError::Malformed { source })?
        {
            Some(Input::Frame(frame)) => return Ok(frame),
            Some(Input::HeartBeat) => {}
            None => {
                if socket
                    .read_buf(&mut decoder.read_space())
                    .await
                    .map_err(broken)?
                    == 0
                {
                    return Err(ClientError::Closed);
                }
            }
        }
    }
}

fn session(connected: &Frame, options: &ConnectOptions) -> Result<Session, ClientError> {
    let version = match connected.text("version") {
        // A broker of STOMP 1.0 names none.
        None => Version::V1_0,
        Some(named) => VERSIONS
            .into_iter()
            .find(|version| version.as_str() == named)
            .ok_or_else(|| ClientError::UnknownVersion {
                version: named.into_owned(),
            })?,
    };
    let (sends, wants) = connected
        .text("heart-beat")
        .and_then(|text| intervals(&text))
        .unwrap_or((0, 0));
    let ours = options.heart_beat;
    Ok(Session {
        version,
        id: connected.text("session").map(|id| id.into_owned()),
        send_every: agree(ours.send, wants),
        // Twice the interval: what is on time on the broker's side may be late here.
        silence: agree(ours.receive, sends).map(|interval| interval * 2),
    })
}

fn intervals(text: &str) -> Option<(u32, u32)> {
    let (sends, wants) = text.split_once(',')?;
    Some((sends.trim().parse().ok()?, wants.trim().parse().ok()?))
}

/// The interval of one direction (STOMP 1.2 §Heart-beating): the longer wish, none if either side wishes none.
fn agree(ours: Duration, theirs_ms: u32) -> Option<Duration> {
    let theirs = Duration::from_millis(theirs_ms.into());
    (!ours.is_zero() && !theirs.is_zero()).then(|| ours.max(theirs))
}

fn broken(error: std::io::Error) -> ClientError {
    ClientError::Broken {
        source: Arc::new(error),
    }
}
