//! Looking at what waits in a queue, without taking it.

use std::sync::Arc;

use stompbox_console::{AdminError, MessagePage, MessageQuery, MessageView, MessagesQuery};

use super::view::view;
use super::{Visit, selector_of, subscribing};
use crate::core::port::{Delivery, DeliveryCounter, Intent, Reply, Request, SubscriptionHandle};
use crate::core::selector::Selector;

/// Items of a page when the query names no limit.
const PAGE_DEFAULT: usize = 100;

/// Bytes of each body in a list: a line of it.
const EXCERPT_BYTES: usize = 256;

/// Bytes of a body that are shown.
const BODY_BYTES_MAX: usize = 256 * 1024;

/// Messages that are looked at between two answers to the dispatcher.
const PREFETCH: usize = 500;

const BROWSER: SubscriptionHandle = SubscriptionHandle(1);

/// A page of what waits in a queue.
pub(in crate::runtime) async fn page(
    visit: &mut Visit,
    query: MessagesQuery,
) -> Result<MessagePage, AdminError> {
    let limit = query.limit.unwrap_or(PAGE_DEFAULT);
    let end = query.offset.saturating_add(limit);
    let instance = Arc::clone(&visit.instance);
    let mut page = MessagePage::default();
    let mut seen = 0;
    visit
        .walk(&query.queue, None, |delivery| {
            page.more = seen == end;
            if seen >= query.offset && seen < end {
                page.items.push(view(&instance, delivery, EXCERPT_BYTES));
            }
            seen += 1;
            !page.more
        })
        .await?;
    Ok(page)
}

/// One message, if it waits there.
pub(in crate::runtime) async fn one(
    visit: &mut Visit,
    query: MessageQuery,
) -> Result<Option<MessageView>, AdminError> {
    let selector = selector_of(&[query.id])?;
    let instance = Arc::clone(&visit.instance);
    let mut found = None;
    visit
        .walk(&query.queue, Some(selector), |delivery| {
            found = Some(view(&instance, delivery, BODY_BYTES_MAX));
            false
        })
        .await?;
    Ok(found)
}

impl Visit {
    /// Shows what waits in a queue, in order, until there is no more or `look` has seen enough.
    pub(super) async fn walk(
        &mut self,
        queue: &str,
        selector: Option<Arc<Selector>>,
        mut look: impl FnMut(&Delivery) -> bool + Send,
    ) -> Result<(), AdminError> {
        let browsing = subscribing(BROWSER, queue, Intent::Browse, PREFETCH, selector);
        self.request(Request::Subscribe(Box::new(browsing))).await?;
        loop {
            match self.reply().await? {
                Reply::BrowseEnd(BROWSER) => break,
                Reply::Deliver(delivery) if !look(&delivery) => break,
                Reply::Deliver(delivery) => {
                    let written = Request::Written {
                        subscription: BROWSER,
                        count: 1,
                        bytes: delivery.message.bytes(),
                    };
                    self.request(written).await?;
                }
                _ => {}
            }
        }
        self.request(Request::Unsubscribe {
            subscription: Some(BROWSER),
            deletes: None,
            given: DeliveryCounter(0),
            receipt: None,
        })
        .await
    }
}
