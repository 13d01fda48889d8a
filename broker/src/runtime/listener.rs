//! Accepts STOMP connections, as many as there are file handles for.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use stompbox_protocol::{Command, Version, encode};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connection::{Connection, Context};
use crate::core::port::ConnectionId;

/// Connections that the kernel keeps before they are accepted.
const BACKLOG: i32 = 4096;

/// How long an accept that failed for want of handles is not tried again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How often the same complaint about connections is logged: thousands may come in a second.
const COMPLAINT_EVERY: Duration = Duration::from_secs(10);

/// How long a connection over the limit is told so.
const REFUSAL_TIME: Duration = Duration::from_secs(1);

/// Connections over the limit that are told so at a time; others are closed without a word.
pub(super) const REFUSALS_MAX: usize = 32;

/// Binds an address.
pub(super) fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// What all listeners share.
#[derive(Clone)]
pub(super) struct Acceptor {
    pub(super) context: Arc<Context>,
    pub(super) stop: CancellationToken,
    pub(super) connections: TaskTracker,
    /// A permit for each connection that may be open.
    pub(super) permits: Arc<Semaphore>,
    /// A permit for each connection that is being told that there are too many.
    pub(super) refusals: Arc<Semaphore>,
    pub(super) connections_max: usize,
    pub(super) next: Arc<AtomicU64>,
}

impl Acceptor {
    /// Accepts until the broker stops.
    pub(super) async fn run(self, listener: TcpListener) {
        let (mut refused, mut failed) = (Complaint::default(), Complaint::default());
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = self.stop.cancelled() => return,
            };
            match accepted {
                Ok((stream, peer)) => self.accept(stream, peer, &mut refused),
                Err(error) if is_peers(&error) => {}
                Err(error) => {
                    if let Some(count) = failed.due() {
                        tracing::warn!(
                            %error,
                            count,
                            "no file handle is left for a connection, which waits: raise the limit \
                             (ulimit -n, or LimitNOFILE= of the service), or lower limits.connections"
                        );
                    }
                    // Cancel-safe: nothing was accepted.
                    tokio::select! {
                        () = tokio::time::sleep(ACCEPT_PAUSE) => {}
                        () = self.stop.cancelled() => return,
                    }
                }
            }
        }
    }

    fn accept(&self, stream: TcpStream, peer: SocketAddr, refused: &mut Complaint) {
        if let Err(error) = self.prepare(&stream) {
            tracing::debug!(%peer, %error, "a socket option was refused");
        }
        let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() else {
            let limit = self.connections_max;
            if let Some(count) = refused.due() {
                tracing::warn!(%peer, limit, count, "too many connections: refused");
            }
            if let Ok(permit) = Arc::clone(&self.refusals).try_acquire_owned() {
                self.connections.spawn(async move {
                    refuse(stream, limit).await;
                    drop(permit);
                });
            }
            return;
        };
        let id = ConnectionId(self.next.fetch_add(1, Ordering::Relaxed));
        let context = Arc::clone(&self.context);
        match Connection::new(id, stream, peer.to_string(), context, permit) {
            Ok((connection, outbox)) => {
                self.connections.spawn(connection.serve(outbox));
            }
            Err(error) => tracing::error!(%peer, %error, "no random numbers: connection closed"),
        }
    }

    fn prepare(&self, stream: &TcpStream) -> std::io::Result<()> {
        stream.set_nodelay(true)?;
        let every = self.context.stomp.keep_alive;
        let keep_alive = TcpKeepalive::new()
            .with_time(every)
            .with_interval(every / 4);
        SockRef::from(stream).set_tcp_keepalive(&keep_alive)
    }
}

/// Something that is logged when it first happens, and then from time to time with how often it has.
#[derive(Debug, Default)]
struct Complaint {
    said: Option<Instant>,
    unsaid: u64,
}

impl Complaint {
    /// It has happened; how often since it was last logged, where it is time to log it.
    fn due(&mut self) -> Option<u64> {
        self.unsaid += 1;
        if self
            .said
            .is_some_and(|said| said.elapsed() < COMPLAINT_EVERY)
        {
            return None;
        }
        self.said = Some(Instant::now());
        Some(std::mem::take(&mut self.unsaid))
    }
}

/// Whether it was the peer or the network that gave up before the connection was accepted: the next one may do better.
fn is_peers(error: &std::io::Error) -> bool {
    use std::io::ErrorKind;
    matches!(
        error.kind(),
        ErrorKind::ConnectionAborted
            | ErrorKind::ConnectionRefused
            | ErrorKind::ConnectionReset
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkDown
            | ErrorKind::NetworkUnreachable
            | ErrorKind::Interrupted
    )
}

/// Tells a connection over the limit why it is closed.
async fn refuse(mut stream: TcpStream, limit: usize) {
    let mut bytes = Vec::new();
    let body = format!(
        "the broker has {limit} connections, which is limits.connections (0: as many as there are file \
         handles): close some, or raise the limit\n"
    );
    let headers: [(&[u8], &[u8]); 2] = [
        (b"message", b"too many connections"),
        (b"content-type", b"text/plain"),
    ];
    encode::frame(
        &mut bytes,
        Version::V1_0,
        Command::Error,
        &headers,
        body.as_bytes(),
    );
    let told = async {
        stream.write_all(&bytes).await?;
        stream.shutdown().await
    };
    // The connection is dropped whether or not it listened.
    let _ = tokio::time::timeout(REFUSAL_TIME, told).await;
}
