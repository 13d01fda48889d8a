//! `/api/v1/messages`: what waits in a queue, and what is done to it.
//!
//! *Invariants*: only POST changes anything, and only with a body that says it is JSON, so that a page of another site
//! would have to ask first; a body has a limit in length and in time.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{FromRequest, Request, State};
use axum::http::{HeaderMap, header};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::Console;
use crate::error::ApiError;
use crate::port::{Action, Carried, MessagePage, MessageView, Order};
use crate::query::{Waiting, Which};

/// Messages that one request names at the most: a page of the list.
const IDS_MAX: usize = 100;

/// Bytes of a request's body: ids have 50 bytes or less, a destination's name at most 255.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// Time for a request's body.
const BODY_TIME_MAX: Duration = Duration::from_secs(15);

/// The routes of messages.
pub(crate) fn router() -> Router<Console> {
    Router::new()
        .route("/messages", get(messages))
        .route("/message", get(message))
        .route("/messages/delete", post(delete))
        .route("/messages/move", post(move_to))
        .route("/messages/retry", post(retry))
}

/// Messages of one queue.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Selection {
    queue: String,
    ids: Vec<String>,
}

/// Messages of one queue, and where they are to go.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Moving {
    queue: String,
    ids: Vec<String>,
    to: String,
}

/// A body of JSON.
struct Given<T>(T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Given<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _state: &S) -> Result<Self, ApiError> {
        let (head, body) = request.into_parts();
        if !is_json(&head.headers) {
            return Err(ApiError::BadBody(
                "the body is JSON: send it with Content-Type: application/json".to_owned(),
            ));
        }
        let bytes = tokio::time::timeout(BODY_TIME_MAX, read(body))
            .await
            .map_err(|_elapsed| ApiError::BadBody("the body did not come in time".to_owned()))??;
        serde_json::from_slice(&bytes)
            .map(Self)
            .map_err(|error| ApiError::BadBody(format!("the body is not as it should be: {error}")))
    }
}

async fn read(body: Body) -> Result<axum::body::Bytes, ApiError> {
    to_bytes(body, BODY_BYTES_MAX).await.map_err(|_| {
        ApiError::BadBody(format!(
            "the body broke off, or has more than {BODY_BYTES_MAX} bytes: name fewer messages at a time"
        ))
    })
}

fn is_json(headers: &HeaderMap) -> bool {
    let given = headers.get(header::CONTENT_TYPE);
    let given = given.and_then(|value| value.to_str().ok());
    let essence = given.and_then(|value| value.split(';').next());
    essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"))
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
