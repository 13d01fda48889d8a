//! The console: JSON API, health, metrics and one live page, over a port that the broker implements.
//!
//! It owns the HTTP listener and everything that is served on it; what it shows comes through [`AdminApi`].
//!
//! *Invariants*: GET and HEAD change nothing, and what changes something is refused to other sites' pages; whatever a peer
//! can make the console keep (connections, streams, headers, bodies, waiting answers) has a named limit; text that came
//! from a client reaches a page only as JSON and is written there as text.
//!
//! It must never reach around the port into the broker, nor fetch anything from another host.

mod api;
mod asset;
mod error;
mod event;
mod feed;
mod given;
mod guard;
mod health;
mod message;
mod metric;
mod port;
mod query;
mod server;
mod source;
mod stall;

use std::io;
use std::sync::Arc;

use axum::Router;
use axum::middleware;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use guard::AllowedHosts;
pub use port::*;

use feed::Feed;
use source::Source;

/// What every handler can reach.
#[derive(Clone)]
struct Console {
    source: Source,
    feed: Feed,
}

/// Serves the console on `listener` until `shutdown`, under IP addresses and `localhost` only.
///
/// On `shutdown` it accepts nothing more, ends live streams at once, lets answers that are on their way finish
/// for a moment, and returns. Cancel it last: until then `/health` tells that the broker is stopping.
///
/// # Errors
/// When the listener has no address. Failures of single connections end those alone.
pub async fn serve(
    listener: TcpListener,
    admin: Arc<dyn AdminApi>,
    shutdown: CancellationToken,
) -> io::Result<()> {
    serve_as(listener, admin, AllowedHosts::default(), shutdown).await
}

/// [`serve`] under further host names, such as the one a reverse proxy or a container network uses.
///
/// # Errors
/// As [`serve`].
pub async fn serve_as(
    listener: TcpListener,
    admin: Arc<dyn AdminApi>,
    hosts: AllowedHosts,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let router = router(admin, hosts, shutdown.clone());
    server::run(listener, router, shutdown).await
}

/// The console's routes, to be served or mounted. Its sampling task is spawned on the current tokio runtime and
/// ends with `shutdown` or with the last copy of the router.
pub fn router(
    admin: Arc<dyn AdminApi>,
    hosts: AllowedHosts,
    shutdown: CancellationToken,
) -> Router {
    let source = Source::new(admin);
    let feed = Feed::spawn(source.clone(), shutdown);
    Router::new()
        .nest("/api/v1", api::router())
        .merge(health::router())
        .merge(metric::router())
        .merge(asset::router())
        .fallback(error::not_found)
        .layer(middleware::from_fn_with_state(
            Arc::new(hosts),
            guard::check_host,
        ))
        .layer(middleware::map_response(guard::add_security_headers))
        .with_state(Console { source, feed })
}
