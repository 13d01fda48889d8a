//! A broker whose answers are set by the test.

use std::sync::atomic::{AtomicU64, Ordering};

use stompbox_console::{
    Action, AdminApi, AdminError, Answer, BodyView, Carried, ConnectionView, Health, ListQuery,
    Listing, MessagePage, MessageQuery, MessageView, MessagesQuery, Order, Overview, PolicyQuery,
    PolicyView, Purged, QueueView, ScheduledPage, ScheduledQuery, ScheduledView, SettingView,
    StoreView, SubscriptionView, TopicView,
};

/// Names that break out of quotes, lines, tags and reading direction wherever they are not escaped.
pub(crate) const HOSTILE: [&str; 6] = [
    "</script><script>alert(1)</script>",
    "quote\" back\\slash",
    "line\nfeed\r\n\r\ndata: x",
    "x\"} 1\nstompbox_healthy 0\n#",
    "\u{202e}rtl \u{1f4e6} \u{5d0}",
    "\u{2028}nul\0",
];

/// How the fake answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    Answering,
    Refusing,
    Silent,
}

pub(crate) struct Fake {
    pub(crate) mood: Mood,
    pub(crate) health: Health,
    pub(crate) queues: Vec<String>,
    pub(crate) overview_calls: AtomicU64,
    pub(crate) queue_calls: AtomicU64,
}

impl Default for Fake {
    fn default() -> Self {
        Self {
            mood: Mood::Answering,
            health: Health::Ok,
            queues: HOSTILE.map(str::to_owned).to_vec(),
            overview_calls: AtomicU64::new(0),
            queue_calls: AtomicU64::new(0),
        }
    }
}

impl Fake {
    pub(crate) fn with_queues(count: usize) -> Self {
        let queues = (0..count)
            .map(|index| format!("queue.{index:05}"))
            .collect();
        Self {
            queues,
            ..Self::default()
        }
    }

    pub(crate) fn in_mood(mood: Mood) -> Self {
        Self {
            mood,
            ..Self::default()
        }
    }

    fn answer<'a, T: Send + 'a>(&self, value: T) -> Answer<'a, T> {
        match self.mood {
            Mood::Answering => Box::pin(async { Ok(value) }),
            Mood::Refusing => {
                Box::pin(async { Err(AdminError::Unavailable("the disk is gone".to_owned())) })
            }
            Mood::Silent => Box::pin(std::future::pending()),
        }
    }
}

fn page<T>(all: Vec<T>, query: &ListQuery, name: fn(&T) -> &str) -> Listing<T> {
    let wanted = query.name.as_deref().unwrap_or_default().to_lowercase();
    let mut items = all;
    items.retain(|item| name(item).to_lowercase().contains(&wanted));
    let total = items.len();
    let limit = query.limit.unwrap_or(usize::MAX);
    let items = items.into_iter().skip(query.offset).take(limit).collect();
    Listing { total, items }
}

fn message(queue: &str) -> MessageView {
    MessageView {
        id: "ID:1".to_owned(),
        original_destination: Some(format!("/queue/{queue}")),
        body: BodyView {
            content: HOSTILE.concat(),
            ..BodyView::default()
        },
        ..MessageView::default()
    }
}

impl AdminApi for Fake {
    fn overview(&self) -> Answer<'_, Overview> {
        let calls = self.overview_calls.fetch_add(1, Ordering::Relaxed) + 1;
        self.answer(Overview {
            version: "1.2.3".to_owned(),
            instance: "abc".to_owned(),
            started_ms: 1_767_225_600_123,
            connections: 1,
            connections_total: 9,
            queues: self.queues.len() as u64,
            enqueued_total: calls * 100,
            store: StoreView {
                last_commit_us: 1_500,
                commits_total: 42,
                ..StoreView::default()
            },
            ..Overview::default()
        })
    }

    fn queues(&self, query: ListQuery) -> Answer<'_, Listing<QueueView>> {
        self.queue_calls.fetch_add(1, Ordering::Relaxed);
        let queue = |name: &String| QueueView {
            name: name.clone(),
            depth: 7,
            ..QueueView::default()
        };
        let queues = self.queues.iter().map(queue).collect();
        self.answer(page(queues, &query, |queue| &queue.name))
    }

    fn topics(&self, query: ListQuery) -> Answer<'_, Listing<TopicView>> {
        let topic = TopicView {
            name: "prices".to_owned(),
            consumers: 3,
            ..TopicView::default()
        };
        self.answer(page(vec![topic], &query, |topic| &topic.name))
    }

    fn connections(&self, query: ListQuery) -> Answer<'_, Listing<ConnectionView>> {
        let connection = ConnectionView {
            session: "s-1".to_owned(),
            client_id: Some("<b>client</b>".to_owned()),
            ..ConnectionView::default()
        };
        self.answer(page(vec![connection], &query, |connection| {
            &connection.session
        }))
    }

    fn subscriptions(&self, query: ListQuery) -> Answer<'_, Listing<SubscriptionView>> {
        let subscription = SubscriptionView {
            identity: "client-id=<b>&name=n".to_owned(),
            durable: true,
            pending: 5,
            ..SubscriptionView::default()
        };
        self.answer(page(vec![subscription], &query, |view| &view.identity))
    }

    fn scheduled(&self, query: ScheduledQuery) -> Answer<'_, ScheduledPage> {
        let items = match query.after.as_deref() {
            None => vec![ScheduledView {
                id: "1-2".to_owned(),
                due_ms: 77,
                ..ScheduledView::default()
            }],
            Some(_) => Vec::new(),
        };
        self.answer(ScheduledPage {
            total: 1,
            items,
            next: None,
        })
    }

    fn unschedule(&self, id: String) -> Answer<'_, bool> {
        self.answer(id == "1-2")
    }

    fn messages(&self, query: MessagesQuery) -> Answer<'_, MessagePage> {
        self.answer(MessagePage {
            items: vec![message(&query.queue)],
            more: query.offset == 0,
        })
    }

    fn message(&self, query: MessageQuery) -> Answer<'_, Option<MessageView>> {
        self.answer((query.id == "ID:1").then(|| message(&query.queue)))
    }

    fn carry_out(&self, order: Order) -> Answer<'_, Carried> {
        match order.action {
            Action::Delete => self.answer(Carried {
                done: order.ids.len() as u64,
                missing: Vec::new(),
            }),
            Action::Move(to) => Box::pin(async { Err(AdminError::Refused(to)) }),
            Action::Retry => Box::pin(async { Err(AdminError::ReadOnly) }),
        }
    }

    fn purge(&self, _queue: String, _limit: Option<u64>) -> Answer<'_, Purged> {
        Box::pin(async {
            Ok(Purged {
                done: 7,
                more: false,
            })
        })
    }

    fn forget(&self, identity: String) -> Answer<'_, bool> {
        Box::pin(async move { Ok(identity == "client-id=<b>&name=n") })
    }

    fn policy(&self, query: PolicyQuery) -> Answer<'_, PolicyView> {
        self.answer(PolicyView {
            kind: query.kind,
            name: query.name,
            exists: true,
            declared: false,
            settings: vec![SettingView {
                key: "max_messages".to_owned(),
                value: 7.into(),
                from: "[[destination]] orders.>".to_owned(),
            }],
        })
    }

    fn health(&self) -> Health {
        self.health.clone()
    }
}
