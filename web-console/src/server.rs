//! The accept loop: HTTP/1.1 connections with limits on their number, their headers and their patience.
//!
//! *Invariants*: at most [`CONNECTIONS_MAX`] connections; a peer that sends no request or reads no answer is closed
//! after a set time; after `shutdown` every connection ends within [`DRAIN_TIME_MAX`].

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::stall::Stalling;

/// Four times the live streams, for the requests beside them; further ones wait in the listener's backlog.
const CONNECTIONS_MAX: usize = 256;

/// Time for the head of a request, counted from the end of the one before: also the idle limit.
const HEADER_TIME_MAX: Duration = Duration::from_secs(15);

/// Browsers send 1 to 2 KiB; the largest filter is a destination's name, escaped.
const HEADER_BYTES_MAX: usize = 16 * 1024;

/// Browsers and proxies send 10 to 30 headers.
const HEADER_COUNT_MAX: usize = 64;

/// A peer that takes nothing for so long is gone: live streams send every second.
const WRITE_STALL_MAX: Duration = Duration::from_secs(15);

/// Time for answers that are on their way when the console stops.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(2);

/// Wait after a failed accept: it fails for lack of file handles, and those come back by themselves.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves `router` until `shutdown`, then until its connections have ended.
pub(crate) async fn run(
    listener: TcpListener,
    router: Router,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let address = listener.local_addr()?;
    tracing::info!(%address, "console is open");
    let tasks = TaskTracker::new();
    // Cancel-safe: what is dropped is waiting, a connection that was accepted has its task.
    shutdown
        .run_until_cancelled(accept(&listener, &router, &shutdown, &tasks))
        .await;
    drop(listener);
    tasks.close();
    tasks.wait().await;
    tracing::info!(%address, "console is closed");
    Ok(())
}

async fn accept(
    listener: &TcpListener,
    router: &Router,
    shutdown: &CancellationToken,
    tasks: &TaskTracker,
) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    // Ends only if the semaphore is closed, and nothing closes it.
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        match listener.accept().await {
            Ok((stream, _peer)) => {
                let connection = connection(stream, router.clone(), shutdown.clone());
                tasks.spawn(async move {
                    connection.await;
                    drop(place);
                });
            }
            Err(error) if is_peers(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "console cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Whether it was the peer that gave up before it was accepted.
fn is_peers(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
    )
}

async fn connection(stream: TcpStream, router: Router, shutdown: CancellationToken) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "console connection ended before it began");
        return;
    }
    let stream = TokioIo::new(Stalling::new(stream, WRITE_STALL_MAX));
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_TIME_MAX)
            .max_headers(HEADER_COUNT_MAX)
            .max_buf_size(HEADER_BYTES_MAX)
            .serve_connection(stream, TowerToHyperService::new(router))
    );
    // Cancel-safe: the connection is pinned outside and goes on below.
    let ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        () = shutdown.cancelled() => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            connection.as_mut().graceful_shutdown();
            match tokio::time::timeout(DRAIN_TIME_MAX, connection).await {
                Ok(ended) => ended,
                Err(_elapsed) => return,
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "console connection ended");
    }
}
