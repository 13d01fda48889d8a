//! Subscriptions: made, restored, ended.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use stompbox_protocol::Command as Verb;

use super::receipt::{Call, OnLoss, Pending, answer};
use super::{Exchange, text_header};
use crate::ClientError;
use crate::command::Subscribe;
use crate::consumer::Mailbox;
use crate::destination::outlives_connection;
use crate::dialect::Dialect;
use crate::settle::{Requeue, Token, Verdict};
use crate::shared::{ConsumerId, Reply, SessionId};
use crate::subscription::{Purpose, Subscription};

/// A subscription that somebody receives from.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) subscription: Subscription,
    pub(super) purpose: Purpose,
    pub(super) session: SessionId,
    pub(super) mailbox: Arc<Mailbox>,
    /// The id on the wire.
    pub(super) wire_id: String,
    pub(super) returns: Returns,
    /// Who waits for it to be made.
    pub(super) reply: Option<Reply<()>>,
}

/// Whether the broker delivers again what is unacknowledged when the connection is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Returns {
    Always,
    Never,
    /// It depends on where the message was sent to.
    ByDestination,
}

impl Returns {
    fn of(subscription: &Subscription, purpose: Purpose) -> Self {
        let is_forgotten = match purpose {
            Purpose::Consume(mode) => mode == crate::AcknowledgeMode::Unacknowledged,
            Purpose::Browse => true,
        };
        let name = subscription.destination.as_str();
        if is_forgotten {
            Self::Never
        } else if subscription.is_durable() {
            Self::Always
        } else if name.contains(',') {
            Self::ByDestination
        } else if outlives_connection(name) {
            Self::Always
        } else {
            Self::Never
        }
    }
}

impl Exchange {
    /// Makes a subscription.
    pub(super) fn subscribe(&mut self, subscribe: Subscribe) {
        let Subscribe {
            consumer,
            session,
            subscription,
            purpose,
            mailbox,
            reply,
        } = subscribe;
        let entry = Entry {
            returns: Returns::of(&subscription, purpose),
            subscription,
            purpose,
            session,
            mailbox,
            wire_id: String::new(),
            reply: Some(reply),
        };
        self.consumers.insert(consumer, entry);
        self.write_subscribe(consumer);
    }

    /// Makes all of them again, on a new connection.
    pub(super) fn subscribe_all(&mut self) {
        let mut ids: Vec<ConsumerId> = self.consumers.keys().copied().collect();
        ids.sort_unstable();
        for id in ids {
            self.write_subscribe(id);
        }
    }

    fn write_subscribe(&mut self, id: ConsumerId) {
        let agreement = &self.agreement;
        let Some(entry) = self.consumers.get_mut(&id) else {
            return;
        };
        let (subscription, purpose) = (&entry.subscription, entry.purpose);
        let checked = subscription.check(
            purpose,
            agreement.dialect,
            agreement.version,
            &agreement.server,
        );
        if let Err(error) = checked {
            self.fail_consumer(id, &error);
            return;
        }
        self.named.remove(&entry.wire_id);
        entry.wire_id = match subscription.fixed_id(agreement.dialect) {
            Some(name) => {
                self.named.insert(name.to_owned(), id);
                name.to_owned()
            }
            None => id.0.to_string(),
        };
        if subscription.is_implied(agreement.dialect) {
            self.subscribed(id);
            return;
        }
        let receipt = self.expect(Pending::Subscribe(id));
        self.frame(
            Verb::Subscribe,
            Some(receipt),
            |out, agreement, consumers| {
                if let Some(entry) = consumers.get(&id) {
                    text_header(out, agreement, "id", &entry.wire_id);
                    entry.subscription.write(
                        out,
                        entry.purpose,
                        agreement.dialect,
                        agreement.version,
                    );
                }
            },
        );
    }

    /// A subscription is made.
    pub(super) fn subscribed(&mut self, id: ConsumerId) {
        let entry = self.consumers.get_mut(&id);
        if let Some(reply) = entry.and_then(|entry| entry.reply.take()) {
            answer(reply, Ok(()));
        }
    }

    /// Ends a subscription. What is unacknowledged of it returns.
    pub(crate) fn unsubscribe(&mut self, id: ConsumerId, reply: Option<Reply<()>>) {
        let Some(entry) = self.forget(id) else {
            if let Some(reply) = reply {
                answer(reply, Ok(()));
            }
            return;
        };
        self.return_undelivered(id, &entry);
        entry.mailbox.fail(ClientError::Ended);
        if entry.subscription.is_implied(self.agreement.dialect) {
            if let Some(reply) = reply {
                answer(reply, Ok(()));
            }
            return;
        }
        let call = reply.map(|reply| Call {
            reply,
            on_loss: OnLoss::Done,
        });
        let receipt = self.expect_call(call);
        self.frame(Verb::Unsubscribe, receipt, |out, agreement, _| {
            text_header(out, agreement, "id", &entry.wire_id);
        });
    }

    /// Where UNSUBSCRIBE does not return what is unacknowledged, what has not been handed out is refused.
    fn return_undelivered(&mut self, id: ConsumerId, entry: &Entry) {
        if self.agreement.dialect.returns_on_unsubscribe() || entry.returns == Returns::Never {
            return;
        }
        let verdict = Verdict::Nack {
            delay: None,
            requeue: Requeue::Yes,
        };
        for message in entry.mailbox.clear() {
            if let Some(token) = Token::of(message.frame()) {
                self.write_settlement(id, verdict, &token, None, None);
            }
        }
    }

    /// Makes a subscription anew, so that what is unacknowledged of it comes again.
    pub(super) fn resubscribe(&mut self, id: ConsumerId) {
        let Some(entry) = self.consumers.get(&id) else {
            return;
        };
        entry.mailbox.clear();
        entry.mailbox.generation.fetch_add(1, Ordering::AcqRel);
        self.frame(Verb::Unsubscribe, None, |out, agreement, consumers| {
            if let Some(entry) = consumers.get(&id) {
                text_header(out, agreement, "id", &entry.wire_id);
            }
        });
        self.write_subscribe(id);
    }

    /// Ends a durable subscription for good.
    pub(super) fn delete(&mut self, subscription: &Subscription, reply: Reply<()>) {
        if self.agreement.dialect == Dialect::RabbitMq {
            // There only a consumer can end it.
            let purpose = Purpose::Consume(crate::AcknowledgeMode::Individual);
            self.frame(Verb::Subscribe, None, |out, agreement, _| {
                let id = subscription.fixed_id(agreement.dialect);
                text_header(out, agreement, "id", id.unwrap_or_default());
                subscription.write(out, purpose, agreement.dialect, agreement.version);
            });
        }
        let call = Call {
            reply,
            on_loss: OnLoss::Interrupted,
        };
        let receipt = self.expect_call(Some(call));
        self.frame(Verb::Unsubscribe, receipt, |out, agreement, _| {
            let id = subscription.fixed_id(agreement.dialect);
            text_header(out, agreement, "id", id.unwrap_or("durable"));
            text_header(
                out,
                agreement,
                "destination",
                subscription.destination.as_str(),
            );
            subscription.write_kind(out, agreement.dialect, agreement.version);
        });
    }

    /// A subscription cannot be made, or not again.
    pub(super) fn fail_consumer(&mut self, id: ConsumerId, error: &ClientError) {
        if let Some(entry) = self.forget(id) {
            entry.mailbox.fail(error.clone());
            if let Some(reply) = entry.reply {
                answer(reply, Err(error.clone()));
            }
        }
    }

    /// Its messages are no longer wanted.
    pub(super) fn forget(&mut self, id: ConsumerId) -> Option<Entry> {
        let entry = self.consumers.remove(&id)?;
        self.named.remove(&entry.wire_id);
        Some(entry)
    }
}
