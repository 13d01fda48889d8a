//! The console's port, answered by the dispatcher between two turns.

use std::sync::Arc;
use std::sync::Mutex;

use stompbox_console::{
    AdminApi, AdminError, Answer, Carried, ConnectionView, Health, Kind, ListQuery, Listing,
    MessagePage, MessageQuery, MessageView, MessagesQuery, Order, Overview, PolicyQuery,
    PolicyView, Purged, QueueView, ScheduledPage, ScheduledQuery, StoreView, SubscriptionView,
    TopicView,
};
use stompbox_store::Store;
use tokio::sync::oneshot;

use super::dispatcher::{Inbox, Message, look};
use super::visit::{self, Door, Errand, Named};
use crate::core::dispatcher::{Dispatcher, Finding, Inquiry};

/// What does not change while the broker runs.
#[derive(Debug, Clone)]
pub(super) struct Identity {
    pub(super) instance: String,
    pub(super) started_ms: i64,
    pub(super) stomp: Vec<String>,
}

/// The broker's side of the port.
pub(super) struct Admin {
    pub(super) identity: Identity,
    pub(super) dispatcher: Inbox,
    pub(super) health: Arc<Mutex<Health>>,
    pub(super) door: Door,
    /// Whether it may show messages and change anything.
    pub(super) may_manage: bool,
}

impl Admin {
    async fn look<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&Dispatcher, &dyn Store) -> T + Send + 'static,
    ) -> Result<T, AdminError> {
        look(&self.dispatcher, ask).await
    }
}

impl Admin {
    /// Asks what the store has to be asked for.
    async fn inquire(&self, inquiry: Inquiry) -> Result<Finding, AdminError> {
        let (sender, receiver) = oneshot::channel();
        let gone = || AdminError::Unavailable("the broker is stopping".to_owned());
        let message = Message::Inquire(inquiry, sender);
        self.dispatcher.send(message).await.map_err(|_| gone())?;
        receiver.await.map_err(|_| gone())
    }
}

impl Admin {
    /// Visits a queue, which a subscription would make if it were not there.
    async fn visit<T: Send + 'static>(
        &self,
        queue: String,
        errand: Errand<T>,
    ) -> Result<T, AdminError> {
        self.check_manage()?;
        let query = PolicyQuery {
            kind: Kind::Queue,
            name: queue.clone(),
        };
        let policy = self.policy(query).await?;
        if !policy.exists {
            return Err(AdminError::NoSuchQueue(queue));
        }
        self.door.visit(errand).await
    }

    /// What a durable subscription is called that may be deleted; none if there is none.
    async fn unused(&self, identity: String) -> Result<Option<Named>, AdminError> {
        let found = self.look(move |dispatcher, _| dispatcher.subscription_of(&identity));
        let Some(view) = found.await? else {
            return Ok(None);
        };
        if view.consumers > 0 {
            return Err(AdminError::Refused(format!(
                "it is in use, consumers are connected ({}): a subscription is deleted when nobody uses it",
                view.consumers
            )));
        }
        let Some(named) = Named::of(&view) else {
            return Err(AdminError::Refused(
                "it is not durable: it goes with its last consumer".to_owned(),
            ));
        };
        Ok(Some(named))
    }

    fn check_manage(&self) -> Result<(), AdminError> {
        match self.may_manage {
            true => Ok(()),
            false => Err(AdminError::ReadOnly),
        }
    }
}

impl AdminApi for Admin {
    fn overview(&self) -> Answer<'_, Overview> {
        Box::pin(async {
            let seen = self
                .look(|dispatcher, store| (dispatcher.overview(), store.statistics()))
                .await?;
            let (overview, statistics) = seen;
            Ok(Overview {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                instance: self.identity.instance.clone(),
                started_ms: self.identity.started_ms,
                stomp: self.identity.stomp.clone(),
                store: StoreView {
                    commits_total: statistics.commit_count,
                    operations_total: statistics.operation_count,
                    cancelled_total: statistics.cancelled_count,
                    last_commit_us: statistics.last_commit_us,
                    database_bytes: statistics.database_bytes,
                    database_free_bytes: statistics.database_free_bytes,
                    wal_bytes: statistics.wal_bytes,
                    scratch_bytes: statistics.scratch_bytes,
                    full: u64::from(statistics.is_full),
                    quarantined_total: statistics.quarantined_count,
                },
                ..overview
            })
        })
    }

    fn queues(&self, query: ListQuery) -> Answer<'_, Listing<QueueView>> {
        Box::pin(self.look(move |dispatcher, _| dispatcher.list_queues(&query)))
    }

    fn topics(&self, query: ListQuery) -> Answer<'_, Listing<TopicView>> {
        Box::pin(self.look(move |dispatcher, _| dispatcher.list_topics(&query)))
    }

    fn connections(&self, query: ListQuery) -> Answer<'_, Listing<ConnectionView>> {
        Box::pin(self.look(move |dispatcher, _| dispatcher.list_connections(&query)))
    }

    fn subscriptions(&self, query: ListQuery) -> Answer<'_, Listing<SubscriptionView>> {
        Box::pin(self.look(move |dispatcher, _| dispatcher.list_subscriptions(&query)))
    }

    fn scheduled(&self, query: ScheduledQuery) -> Answer<'_, ScheduledPage> {
        Box::pin(async move {
            match self.inquire(Inquiry::Scheduled(query)).await? {
                Finding::Scheduled(page) => Ok(page),
                Finding::Cancelled(_) => Ok(ScheduledPage::default()),
            }
        })
    }

    fn unschedule(&self, id: String) -> Answer<'_, bool> {
        Box::pin(async move {
            self.check_manage()?;
            let finding = self.inquire(Inquiry::Unschedule(id)).await?;
            Ok(finding == Finding::Cancelled(true))
        })
    }

    fn messages(&self, query: MessagesQuery) -> Answer<'_, MessagePage> {
        let queue = query.queue.clone();
        let errand: Errand<_> = Box::new(|visit| Box::pin(visit::page(visit, query)));
        Box::pin(self.visit(queue, errand))
    }

    fn message(&self, query: MessageQuery) -> Answer<'_, Option<MessageView>> {
        let queue = query.queue.clone();
        let errand: Errand<_> = Box::new(|visit| Box::pin(visit::one(visit, query)));
        Box::pin(self.visit(queue, errand))
    }

    fn carry_out(&self, order: Order) -> Answer<'_, Carried> {
        let queue = order.queue.clone();
        let errand: Errand<_> = Box::new(|visit| Box::pin(visit::carry_out(visit, order)));
        Box::pin(self.visit(queue, errand))
    }

    fn purge(&self, queue: String, limit: Option<u64>) -> Answer<'_, Purged> {
        let name = queue.clone();
        let errand: Errand<_> = Box::new(move |visit| Box::pin(visit::purge(visit, name, limit)));
        Box::pin(self.visit(queue, errand))
    }

    fn forget(&self, identity: String) -> Answer<'_, bool> {
        Box::pin(async move {
            self.check_manage()?;
            let Some(named) = self.unused(identity).await? else {
                return Ok(false);
            };
            let client_id = named.client_id.clone();
            let errand: Errand<_> = Box::new(|visit| Box::pin(visit::forget(visit, named)));
            self.door.visit_as(client_id, errand).await?;
            Ok(true)
        })
    }

    fn policy(&self, query: PolicyQuery) -> Answer<'_, PolicyView> {
        Box::pin(self.look(move |dispatcher, _| dispatcher.policy_view(query)))
    }

    fn health(&self) -> Health {
        match self.health.lock() {
            Ok(health) => health.clone(),
            Err(poisoned) => poisoned.into_inner().clone(),
        }
    }
}
