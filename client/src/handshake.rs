//! From an address to a session: the transport, CONNECT, and what CONNECTED says.

use std::time::Duration;

use bytes::Bytes;
use stompbox_protocol::{Command, Decoder, Frame, Input, Role, Version, encode};
use tokio::time::timeout;

use crate::connection::Options;
use crate::dialect::{Dialect, Feature};
use crate::exchange::refusal;
use crate::transport::{self, BoxedTransport, Framing, Output};
use crate::url::Address;
use crate::{ClientError, HeartBeat};

const VERSIONS: [Version; 3] = [Version::V1_2, Version::V1_1, Version::V1_0];

/// What was agreed on.
#[derive(Debug, Clone)]
pub(crate) struct Agreement {
    pub(crate) version: Version,
    /// The broker, as it names itself.
    pub(crate) server: String,
    pub(crate) dialect: Dialect,
    /// How often we must send something.
    pub(crate) send_every: Option<Duration>,
    /// After how much silence the broker is given up.
    pub(crate) silence: Option<Duration>,
}

impl Agreement {
    /// Before there is one.
    pub(crate) fn none() -> Self {
        Self {
            version: Version::V1_2,
            server: String::new(),
            dialect: Dialect::Other,
            send_every: None,
            silence: None,
        }
    }

    pub(crate) fn has(&self, feature: Feature) -> bool {
        self.dialect.has(feature, self.version)
    }

    pub(crate) fn unsupported(&self, feature: Feature) -> ClientError {
        ClientError::Unsupported {
            feature,
            server: format!("{} in STOMP {}", self.server, self.version),
        }
    }
}

/// A session that has begun. The decoder may hold frames already.
pub(crate) struct Opened {
    pub(crate) address: String,
    pub(crate) transport: BoxedTransport,
    pub(crate) decoder: Decoder,
    pub(crate) agreement: Agreement,
}

/// Opens a session with one broker, within the time of the options.
pub(crate) async fn open(address: &Address, options: &Options) -> Result<Opened, ClientError> {
    let limit = options.connect_timeout;
    // Boxed, since handshakes are large and rare.
    let opened = timeout(limit, Box::pin(begin(address, options))).await;
    opened.unwrap_or_else(|_elapsed| {
        Err(ClientError::ConnectTimeout {
            address: address.to_string(),
            timeout: limit,
        })
    })
}

async fn begin(address: &Address, options: &Options) -> Result<Opened, ClientError> {
    let mut transport = transport::open(address, &options.security).await?;
    let mut output = Output::new(framing(&transport));
    output.frame(&Bytes::new(), |out| write_connect(out, address, options));
    transport::drain(&mut *transport, &mut output)
        .await
        .map_err(ClientError::broken)?;
    let mut decoder = Decoder::new(Role::Client, options.limits.clone());
    let frame = first_frame(&mut transport, &mut decoder).await?;
    let agreement = match frame.command() {
        Command::Connected => agreement(&frame, options.heart_beat)?,
        Command::Error => return Err(refusal(&frame.as_ref())),
        command => return Err(ClientError::Unexpected { command }),
    };
    decoder.set_version(agreement.version);
    decoder.authenticated();
    Ok(Opened {
        address: address.to_string(),
        transport,
        decoder,
        agreement,
    })
}

pub(crate) fn framing(transport: &BoxedTransport) -> Framing {
    if transport.wants_frames() {
        Framing::Frames
    } else {
        Framing::Stream
    }
}

fn write_connect(out: &mut Vec<u8>, address: &Address, options: &Options) {
    let versions = VERSIONS.map(Version::as_str).join(",");
    let beat = options.heart_beat;
    let heart_beat = format!("{},{}", beat.send.as_millis(), beat.receive.as_millis());
    let host = options
        .virtual_host
        .as_ref()
        .or(address.virtual_host.as_ref())
        .unwrap_or(&address.host);
    let login = match &options.login {
        Some((name, passcode)) => Some((name.as_str(), passcode.0.as_str())),
        None => address
            .login
            .as_ref()
            .map(|(name, passcode)| (name.as_str(), passcode.as_str())),
    };
    out.extend_from_slice(b"CONNECT\n");
    let mut header = |name: &str, value: &str| {
        // CONNECT is never escaped: STOMP 1.2 §Value Encoding.
        encode::header(out, Version::V1_0, name.as_bytes(), value.as_bytes());
    };
    header("accept-version", &versions);
    header("host", host);
    header("heart-beat", &heart_beat);
    if let Some((name, passcode)) = login {
        header("login", name);
        header("passcode", passcode);
    }
    if let Some(id) = &options.client_id {
        header("client-id", id);
    }
    out.push(b'\n');
}

async fn first_frame(
    transport: &mut BoxedTransport,
    decoder: &mut Decoder,
) -> Result<Frame, ClientError> {
    loop {
        let input = decoder.next_input();
        match input.map_err(|source| ClientError::Malformed { source })? {
            Some(Input::Frame(frame)) => return Ok(frame),
            Some(Input::HeartBeat) => {}
            None => {
                let filled = transport::fill(&mut **transport, decoder).await;
                if filled.map_err(ClientError::broken)? == 0 {
                    return Err(ClientError::Closed);
                }
            }
        }
    }
}

fn agreement(connected: &Frame, ours: HeartBeat) -> Result<Agreement, ClientError> {
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
    let server = connected.text("server");
    Ok(Agreement {
        version,
        dialect: Dialect::of(server.as_deref()),
        server: server.map_or_else(|| "the broker".to_owned(), |name| name.into_owned()),
        // Earlier than agreed: ActiveMQ grants nothing for the way.
        send_every: agree(ours.send, wants).map(|interval| interval * 3 / 4),
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
