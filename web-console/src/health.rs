//! `/health`: whether the broker does its work, for load balancers, containers and the page.

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;

use crate::Console;
use crate::port::Health;

/// The JSON of a [`Health`].
#[derive(Debug, Serialize)]
pub(crate) struct HealthBody {
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// The route.
pub(crate) fn router() -> Router<Console> {
    Router::new().route("/health", get(health))
}

async fn health(State(console): State<Console>) -> (StatusCode, Json<HealthBody>) {
    let health = console.source.health();
    let status = match &health {
        Health::Ok => StatusCode::OK,
        Health::Stopping | Health::Failed(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, Json(health.into()))
}

impl From<Health> for HealthBody {
    fn from(health: Health) -> Self {
        match health {
            Health::Ok => Self {
                status: "ok",
                reason: None,
            },
            Health::Stopping => {
                let reason = "the broker drains its connections before it stops".to_owned();
                Self {
                    status: "stopping",
                    reason: Some(reason),
                }
            }
            Health::Failed(reason) => Self {
                status: "failed",
                reason: Some(reason),
            },
        }
    }
}
