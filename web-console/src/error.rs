//! What a request is told when it cannot be answered: under `/api/v1` one JSON shape, elsewhere plain text.
//!
//! *Invariant*: a message says what to do about it, and `code` stays the same when the wording changes.

use std::time::Duration;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::port::AdminError;

/// Seconds after which a client that met a limit of ours may come again.
const RETRY_AFTER_SECONDS: &str = "5";

/// Why an API request is not answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ApiError {
    /// The query string is wrong; the text says how.
    BadQuery(String),
    /// No such path.
    NotFound,
    /// Nothing of that id is scheduled.
    NotScheduled,
    /// There is no queue of this name.
    NoSuchQueue(String),
    /// No message of that id waits in the queue.
    NoSuchMessage,
    /// There is no durable subscription of this identity.
    NoSuchSubscription,
    /// The body of the request is wrong; the text says how.
    BadBody(String),
    /// Another site's page sent the request.
    CrossOrigin,
    /// The configuration does not let the console do it.
    ReadOnly,
    /// It cannot be done; the text says why.
    Refused(String),
    /// The path exists, the method does not.
    MethodNotAllowed,
    /// The `Host` header names a host that is not ours.
    HostNotAllowed(String),
    /// The broker is stopping or has failed; the text says which.
    Unavailable(String),
    /// The broker gave no answer.
    NoAnswer { waited: Duration },
    /// As many live streams as there may be.
    TooManyStreams { limit: usize },
}

#[derive(Serialize)]
struct Body<'a> {
    error: Detail<'a>,
}

#[derive(Serialize)]
struct Detail<'a> {
    code: &'a str,
    message: String,
}

impl ApiError {
    fn status(&self) -> StatusCode {
        match self {
            Self::BadQuery(_) | Self::BadBody(_) => StatusCode::BAD_REQUEST,
            Self::NotFound
            | Self::NotScheduled
            | Self::NoSuchQueue(_)
            | Self::NoSuchMessage
            | Self::NoSuchSubscription => StatusCode::NOT_FOUND,
            Self::CrossOrigin | Self::ReadOnly => StatusCode::FORBIDDEN,
            Self::Refused(_) => StatusCode::CONFLICT,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::HostNotAllowed(_) => StatusCode::MISDIRECTED_REQUEST,
            Self::Unavailable(_) | Self::NoAnswer { .. } | Self::TooManyStreams { .. } => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        }
    }

    fn code(&self) -> &'static str {
        match self {
            Self::BadQuery(_) => "bad_query",
            Self::NotFound => "not_found",
            Self::NotScheduled => "not_scheduled",
            Self::NoSuchQueue(_) => "no_such_queue",
            Self::NoSuchMessage => "no_such_message",
            Self::NoSuchSubscription => "no_such_subscription",
            Self::BadBody(_) => "bad_body",
            Self::CrossOrigin => "cross_origin",
            Self::ReadOnly => "read_only",
            Self::Refused(_) => "refused",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::HostNotAllowed(_) => "host_not_allowed",
            Self::Unavailable(_) => "unavailable",
            Self::NoAnswer { .. } => "no_answer",
            Self::TooManyStreams { .. } => "too_many_streams",
        }
    }

    /// The text for people.
    pub(crate) fn message(&self) -> String {
        match self {
            Self::BadQuery(message)
            | Self::BadBody(message)
            | Self::Refused(message)
            | Self::HostNotAllowed(message) => message.clone(),
            Self::NotFound => "there is no such path; the page is at /, the API has overview, \
                               queues, messages, message, topics, subscriptions, scheduled, \
                               connections, policy and events under /api/v1"
                .to_owned(),
            Self::NotScheduled => "no message of that id is scheduled: it has come, or was \
                                   cancelled; /api/v1/scheduled lists what is"
                .to_owned(),
            Self::NoSuchQueue(name) => {
                format!("there is no queue '{name}'; /api/v1/queues lists those that are")
            }
            Self::NoSuchMessage => "no message of that id waits in the queue: it has gone, or is \
                                    with a consumer; /api/v1/messages lists what waits"
                .to_owned(),
            Self::NoSuchSubscription => "there is no durable subscription of this identity; \
                                         /api/v1/subscriptions lists those that are"
                .to_owned(),
            Self::CrossOrigin => "another site's page asks for this: only the console's own page \
                                  and programs may change anything"
                .to_owned(),
            Self::ReadOnly => "the console may neither show messages nor change anything: \
                               console.manage is false in the configuration"
                .to_owned(),
            Self::MethodNotAllowed => "use GET or HEAD; what changes something is DELETE on \
                                       /api/v1/scheduled/ID, and POST on delete, move and retry \
                                       under /api/v1/messages, on /api/v1/queues/purge and \
                                       /api/v1/subscriptions/delete"
                .to_owned(),
            Self::Unavailable(reason) => {
                format!("the broker is not available: {reason}; see /health")
            }
            Self::NoAnswer { waited } => format!(
                "the broker did not answer within {} s; see its log",
                waited.as_secs()
            ),
            Self::TooManyStreams { limit } => format!(
                "all {limit} live streams are taken: close other pages, or poll the lists instead"
            ),
        }
    }

    /// The answer as it is expected at `path`: JSON where the API is, elsewhere plain text.
    pub(crate) fn at(self, path: &str) -> Response {
        if path.starts_with("/api/") {
            self.into_response()
        } else {
            (self.status(), self.message() + "\n").into_response()
        }
    }
}

impl From<AdminError> for ApiError {
    fn from(error: AdminError) -> Self {
        match error {
            AdminError::Unavailable(reason) => Self::Unavailable(reason),
            AdminError::NoSuchQueue(name) => Self::NoSuchQueue(name),
            AdminError::ReadOnly => Self::ReadOnly,
            AdminError::Refused(reason) => Self::Refused(reason),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let detail = Detail {
            code: self.code(),
            message: self.message(),
        };
        let mut response = (self.status(), Json(Body { error: detail })).into_response();
        if self.status() == StatusCode::SERVICE_UNAVAILABLE {
            let retry_after = HeaderValue::from_static(RETRY_AFTER_SECONDS);
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, retry_after);
        }
        response
    }
}

/// Answers an unknown path.
pub(crate) async fn not_found(uri: Uri) -> Response {
    ApiError::NotFound.at(uri.path())
}

/// Answers a method that a path under `/api/v1` does not have.
pub(crate) async fn method_not_allowed() -> ApiError {
    ApiError::MethodNotAllowed
}
