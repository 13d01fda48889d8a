//! `/api/v1/messages`: what waits in a queue, and what is done to it.

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;

use crate::Console;
use crate::error::ApiError;
use crate::given::Given;
use crate::port::{Action, Carried, MessagePage, MessageView, Order, Purged};
use crate::query::{Waiting, Which};

/// Messages that one request names at the most: a page of the list.
const IDS_MAX: usize = 100;

/// The routes of messages.
pub(crate) fn router() -> Router<Console> {
    Router::new()
        .route("/messages", get(messages))
        .route("/message", get(message))
        .route("/messages/delete", post(delete))
        .route("/messages/move", post(move_to))
        .route("/messages/retry", post(retry))
        .route("/queues/purge", post(purge))
}

/// Messages of one queue.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Selection {
    queue: String,
    ids: Vec<String>,
}

/// One queue, and how many of its messages.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Purging {
    queue: String,
    limit: Option<u64>,
}

/// Messages of one queue, and where they are to go.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Moving {
    queue: String,
    ids: Vec<String>,
    to: String,
}

async fn messages(
    State(console): State<Console>,
    Waiting(query): Waiting,
) -> Result<Json<MessagePage>, ApiError> {
    console.source.messages(query).await.map(Json)
}

async fn message(
    State(console): State<Console>,
    Which(query): Which,
) -> Result<Json<MessageView>, ApiError> {
    let found = console.source.message(query).await?;
    found.map(Json).ok_or(ApiError::NoSuchMessage)
}

async fn delete(
    State(console): State<Console>,
    Given(Selection { queue, ids }): Given<Selection>,
) -> Result<Json<Carried>, ApiError> {
    carry_out(&console, queue, ids, Action::Delete).await
}

async fn move_to(
    State(console): State<Console>,
    Given(Moving { queue, ids, to }): Given<Moving>,
) -> Result<Json<Carried>, ApiError> {
    carry_out(&console, queue, ids, Action::Move(to)).await
}

async fn retry(
    State(console): State<Console>,
    Given(Selection { queue, ids }): Given<Selection>,
) -> Result<Json<Carried>, ApiError> {
    carry_out(&console, queue, ids, Action::Retry).await
}

async fn purge(
    State(console): State<Console>,
    Given(Purging { queue, limit }): Given<Purging>,
) -> Result<Json<Purged>, ApiError> {
    console.source.purge(queue, limit).await.map(Json)
}

async fn carry_out(
    console: &Console,
    queue: String,
    ids: Vec<String>,
    action: Action,
) -> Result<Json<Carried>, ApiError> {
    if ids.is_empty() || ids.len() > IDS_MAX {
        return Err(ApiError::BadBody(format!(
            "ids has {}: name 1 to {IDS_MAX} messages at a time",
            ids.len()
        )));
    }
    let order = Order { queue, ids, action };
    console.source.carry_out(order).await.map(Json)
}
