//! The broker as the handlers see it: the port, with a limit on how long an answer may take.
//!
//! *Invariant*: no handler waits longer than [`ANSWER_TIME_MAX`] for the broker, however it fares.

use std::sync::Arc;
use std::time::Duration;

use crate::error::ApiError;
use crate::port::{
    AdminApi, Answer, Carried, ConnectionView, Health, ListQuery, Listing, MessagePage,
    MessageQuery, MessageView, MessagesQuery, Order, Overview, PolicyQuery, PolicyView, Purged,
    QueueView, ScheduledPage, ScheduledQuery, SubscriptionView, TopicView,
};

/// A dispatcher that has not answered by then is stuck or overloaded: an error tells more than a page that hangs.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(5);

/// The port with its time limit. Clones ask the same broker.
#[derive(Clone)]
pub(crate) struct Source {
    admin: Arc<dyn AdminApi>,
}

impl Source {
    pub(crate) fn new(admin: Arc<dyn AdminApi>) -> Self {
        Self { admin }
    }

    pub(crate) fn health(&self) -> Health {
        self.admin.health()
    }

    pub(crate) async fn overview(&self) -> Result<Overview, ApiError> {
        in_time(self.admin.overview()).await
    }

    pub(crate) async fn queues(&self, query: ListQuery) -> Result<Listing<QueueView>, ApiError> {
        in_time(self.admin.queues(query)).await
    }

    pub(crate) async fn topics(&self, query: ListQuery) -> Result<Listing<TopicView>, ApiError> {
        in_time(self.admin.topics(query)).await
    }

    pub(crate) async fn connections(
        &self,
        query: ListQuery,
    ) -> Result<Listing<ConnectionView>, ApiError> {
        in_time(self.admin.connections(query)).await
    }

    pub(crate) async fn subscriptions(
        &self,
        query: ListQuery,
    ) -> Result<Listing<SubscriptionView>, ApiError> {
        in_time(self.admin.subscriptions(query)).await
    }

    pub(crate) async fn scheduled(&self, query: ScheduledQuery) -> Result<ScheduledPage, ApiError> {
        in_time(self.admin.scheduled(query)).await
    }

    pub(crate) async fn unschedule(&self, id: String) -> Result<bool, ApiError> {
        in_time(self.admin.unschedule(id)).await
    }

    pub(crate) async fn messages(&self, query: MessagesQuery) -> Result<MessagePage, ApiError> {
        in_time(self.admin.messages(query)).await
    }

    pub(crate) async fn message(
        &self,
        query: MessageQuery,
    ) -> Result<Option<MessageView>, ApiError> {
        in_time(self.admin.message(query)).await
    }

    pub(crate) async fn carry_out(&self, order: Order) -> Result<Carried, ApiError> {
        in_time(self.admin.carry_out(order)).await
    }

    pub(crate) async fn purge(
        &self,
        queue: String,
        limit: Option<u64>,
    ) -> Result<Purged, ApiError> {
        in_time(self.admin.purge(queue, limit)).await
    }

    pub(crate) async fn forget(&self, identity: String) -> Result<bool, ApiError> {
        in_time(self.admin.forget(identity)).await
    }

    pub(crate) async fn policy(&self, query: PolicyQuery) -> Result<PolicyView, ApiError> {
        in_time(self.admin.policy(query)).await
    }
}

async fn in_time<T>(answer: Answer<'_, T>) -> Result<T, ApiError> {
    match tokio::time::timeout(ANSWER_TIME_MAX, answer).await {
        Ok(answer) => Ok(answer?),
        Err(_elapsed) => Err(ApiError::NoAnswer {
            waited: ANSWER_TIME_MAX,
        }),
    }
}
