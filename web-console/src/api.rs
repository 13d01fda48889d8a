//! `/api/v1`: the broker's lists and counters as JSON. Every handler is one question to the port.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{delete, get, post};
use axum::{Json, Router, middleware};
use serde::Deserialize;

use crate::Console;
use crate::error::{self, ApiError};
use crate::event;
use crate::given::Given;
use crate::guard;
use crate::message;
use crate::port::{
    ConnectionView, Listing, Overview, PolicyView, QueueView, ScheduledPage, SubscriptionView,
    TopicView,
};
use crate::query::{Later, Page, Whose};

/// A durable subscription.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Forgetting {
    identity: String,
}

/// The routes below `/api/v1`.
pub(crate) fn router() -> Router<Console> {
    Router::new()
        .route("/overview", get(overview))
        .route("/queues", get(queues))
        .route("/topics", get(topics))
        .route("/subscriptions", get(subscriptions))
        .route("/subscriptions/delete", post(forget))
        .merge(message::router())
        .route("/scheduled", get(scheduled))
        .route("/scheduled/{id}", delete(unschedule))
        .route("/connections", get(connections))
        .route("/policy", get(policy))
        .route("/events", get(event::events))
        .method_not_allowed_fallback(error::method_not_allowed)
        .layer(middleware::from_fn(guard::check_origin))
}

async fn overview(State(console): State<Console>) -> Result<Json<Overview>, ApiError> {
    console.source.overview().await.map(Json)
}

async fn queues(
    State(console): State<Console>,
    Page(query): Page,
) -> Result<Json<Listing<QueueView>>, ApiError> {
    console.source.queues(query).await.map(Json)
}

async fn topics(
    State(console): State<Console>,
    Page(query): Page,
) -> Result<Json<Listing<TopicView>>, ApiError> {
    console.source.topics(query).await.map(Json)
}

async fn connections(
    State(console): State<Console>,
    Page(query): Page,
) -> Result<Json<Listing<ConnectionView>>, ApiError> {
    console.source.connections(query).await.map(Json)
}

async fn subscriptions(
    State(console): State<Console>,
    Page(query): Page,
) -> Result<Json<Listing<SubscriptionView>>, ApiError> {
    console.source.subscriptions(query).await.map(Json)
}

async fn forget(
    State(console): State<Console>,
    Given(Forgetting { identity }): Given<Forgetting>,
) -> Result<StatusCode, ApiError> {
    match console.source.forget(identity).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(ApiError::NoSuchSubscription),
    }
}

async fn scheduled(
    State(console): State<Console>,
    Later(query): Later,
) -> Result<Json<ScheduledPage>, ApiError> {
    console.source.scheduled(query).await.map(Json)
}

async fn unschedule(
    State(console): State<Console>,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    match console.source.unschedule(id).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(ApiError::NotScheduled),
    }
}

async fn policy(
    State(console): State<Console>,
    Whose(query): Whose,
) -> Result<Json<PolicyView>, ApiError> {
    console.source.policy(query).await.map(Json)
}
