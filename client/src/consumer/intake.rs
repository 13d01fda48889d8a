//! The end of a subscription that a program holds: what consumers, listeners and browsers have in common.
//!
//! *Invariant.* While it lives the broker has the subscription, or will have it; when it is dropped, whenever that is,
//! the subscription ends.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use super::Mailbox;
use crate::command::{Command, Subscribe};
use crate::session::SessionCore;
use crate::shared::{ConsumerId, Left};
use crate::subscription::{Purpose, Subscription};
use crate::{AcknowledgeMode, ClientError, Destination, Message};

/// Memory for more messages than this is given back when none waits.
const KEPT_MAX: usize = 128;

/// A subscription in the hands of a program.
#[derive(Debug)]
pub(crate) struct Intake {
    session: Arc<SessionCore>,
    destination: Destination,
    id: ConsumerId,
    mailbox: Arc<Mailbox>,
    /// Taken out of the mailbox together, so that it is locked once for all of them.
    taken: VecDeque<Message>,
}

impl Intake {
    /// Subscribes, and returns when the broker has done so.
    pub(crate) async fn open(
        session: &Arc<SessionCore>,
        subscription: Subscription,
        purpose: Purpose,
    ) -> Result<Self, ClientError> {
        let handle = &session.connection.handle;
        let messages_max = match purpose {
            Purpose::Consume(AcknowledgeMode::Unacknowledged) | Purpose::Browse => {
                usize::try_from(subscription.prefetch).ok()
            }
            Purpose::Consume(_) => None,
        };
        let shared = Arc::clone(handle.shared());
        // Before the first await: if this is given up, dropping it ends what may have been begun.
        let intake = Self {
            session: Arc::clone(session),
            destination: subscription.destination.clone(),
            id: ConsumerId(shared.next_number()),
            mailbox: Arc::new(Mailbox::new(shared, messages_max)),
            taken: VecDeque::new(),
        };
        let subscribe = |reply| {
            Command::Subscribe(Box::new(Subscribe {
                consumer: intake.id,
                session: session.id,
                subscription,
                purpose,
                mailbox: Arc::clone(&intake.mailbox),
                reply,
            }))
        };
        handle.call(subscribe).await?;
        Ok(intake)
    }

    pub(crate) fn session(&self) -> &Arc<SessionCore> {
        &self.session
    }

    pub(crate) fn destination(&self) -> &Destination {
        &self.destination
    }

    pub(crate) fn id(&self) -> ConsumerId {
        self.id
    }

    pub(crate) fn mailbox(&self) -> &Arc<Mailbox> {
        &self.mailbox
    }

    /// The next message; [`None`] when nothing comes any more.
    pub(crate) fn poll_next(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<Option<Message>, ClientError>> {
        loop {
            while let Some(message) = self.taken.pop_front() {
                if self.mailbox.is_current(&message) {
                    return Poll::Ready(Ok(Some(message)));
                }
            }
            if self.taken.capacity() > KEPT_MAX {
                self.taken = VecDeque::new();
            }
            if !ready!(self.mailbox.poll_take(context, &mut self.taken))? {
                return Poll::Ready(Ok(None));
            }
        }
    }

    /// Puts back what is not handed out yet, for others to take.
    pub(crate) fn put_back(&mut self) {
        self.mailbox.put_back(&mut self.taken);
    }

    /// Ends the subscription, and returns when the broker has done so.
    pub(crate) async fn close(&mut self) -> Result<(), ClientError> {
        self.put_back();
        let consumer = self.id;
        let command = |reply| Command::Unsubscribe { consumer, reply };
        self.session.connection.handle.call(command).await
    }
}

impl Drop for Intake {
    fn drop(&mut self) {
        self.put_back();
        let shared = self.session.connection.handle.shared();
        shared.leave(Left::Consumer(self.id));
    }
}
