//! The body of a request that changes something: JSON, and short.
//!
//! *Invariants*: only a body that says it is JSON is read, so that a page of another site would have to ask first; it has a
//! limit in length and in time.

use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};
use serde::de::DeserializeOwned;

use crate::error::ApiError;

/// Bytes of a request's body: ids have 50 bytes or less, a destination's name at most 255.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// Time for a request's body.
const BODY_TIME_MAX: Duration = Duration::from_secs(15);

/// A body of JSON.
pub(crate) struct Given<T>(pub(crate) T);

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

async fn read(body: Body) -> Result<Bytes, ApiError> {
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
