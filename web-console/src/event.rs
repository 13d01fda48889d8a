//! `/api/v1/events`: the live feed as server-sent events.

use std::convert::Infallible;

use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use hyper::body::Bytes;
use serde::Serialize;

use crate::Console;
use crate::error::ApiError;
use crate::query::Filter;

/// Streams snapshots, one a second, until the client leaves or the console stops.
pub(crate) async fn events(
    State(console): State<Console>,
    filter: Filter,
) -> Result<Response, ApiError> {
    let viewer = console.feed.watch(filter).await?;
    let events = stream::unfold(viewer, |mut viewer| async {
        let event = viewer.next().await?;
        Some((Ok::<_, Infallible>(event), viewer))
    });
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        // Proxies that buffer answers would hold a stream back for ever.
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    Ok((headers, Body::from_stream(events)).into_response())
}

/// One event, rendered once for all its viewers. JSON escapes line ends, so its data is one line.
pub(crate) fn render(event: &str, data: &impl Serialize) -> Bytes {
    match serde_json::to_string(data) {
        Ok(data) => Bytes::from(format!("event: {event}\ndata: {data}\n\n")),
        Err(error) => {
            // Only a map with keys other than strings or a failing Serialize could: neither is in the port.
            tracing::error!(%error, event, "console cannot render an event");
            Bytes::from_static(b": not rendered\n\n")
        }
    }
}
