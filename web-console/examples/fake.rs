//! Serves the console over a broker that does not exist, to look at the page:
//!
//! ```sh
//! cargo run -p stompbox-console --example fake -- --queues 200
//! ```
//!
//! `--address IP:PORT` (default 127.0.0.1:8161), `--queues N` ordinary queues beside the odd ones (default 12),
//! `--empty` for a broker that was just started, `--stopping` or `--failed` for one in trouble.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use stompbox_console::{
    AdminApi, AdminError, Answer, BodyView, Carried, ConnectionView, Health, ListQuery, Listing,
    MessagePage, MessageQuery, MessageView, MessagesQuery, Order, Overview, PolicyQuery,
    PolicyView, Purged, QueueView, ScheduledPage, ScheduledQuery, SettingView, StoreView,
    SubscriptionView, TopicView,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// The broker seems to have run for so long when the example starts.
const AGE: Duration = Duration::from_secs(9 * 3_600 + 754);

/// Names that clients could choose to spoil a page.
const ODD: [&str; 8] = [
    "<img src=x onerror=alert(1)>",
    "</script><script>alert('x')</script>",
    "quotes \"and\" back\\slashes",
    "caf\u{e9}/\u{1f4e6}\u{1f680} \u{65e5}\u{672c}\u{8a9e}",
    "\u{5d4}\u{5d6}\u{5de}\u{5e0}\u{5d5}\u{5ea}.\u{627}\u{644}\u{637}\u{644}\u{628}\u{627}\u{62a}",
    "invoice\u{202e}fdp.exe",
    "line\u{2028}separators\u{2029}",
    "   spaces   and\u{200b}nothing",
];

const ORDINARY: [&str; 12] = [
    "orders",
    "orders.priority",
    "payments.authorise",
    "payments.capture",
    "billing/invoices",
    "mail.outbound",
    "search.index",
    "thumbnails",
    "audit",
    "shipping.labels",
    "inventory.sync",
    "webhooks",
];

struct Fake {
    started: Instant,
    started_ms: i64,
    queues: usize,
    topics: usize,
    health: Health,
}

/// How much a queue or topic has to do.
struct Load {
    per_second: f64,
    period_seconds: f64,
    lag_seconds: f64,
}

impl Fake {
    fn elapsed(&self) -> f64 {
        (self.started.elapsed() + AGE).as_secs_f64()
    }

    fn all_queues(&self) -> Vec<QueueView> {
        if self.queues == 0 {
            return Vec::new();
        }
        let numbered = (ORDINARY.len()..self.queues).map(|index| format!("tenant.{index:04}.jobs"));
        let long = format!("long.{}", "0123456789".repeat(25));
        let names = ORDINARY
            .iter()
            .take(self.queues)
            .chain(&ODD)
            .map(ToString::to_string);
        let names = names.chain(numbered).chain([long]).enumerate();
        let mut queues: Vec<_> = names.map(|(index, name)| self.queue(index, name)).collect();
        queues.push(dead_letters("ActiveMQ.DLQ", 37));
        queues.push(dead_letters("DLQ.orders", 0));
        queues.sort_by(|a, b| a.name.cmp(&b.name));
        queues
    }

    fn queue(&self, index: usize, name: String) -> QueueView {
        let load = load(index);
        let idle = index % 9 == 8;
        let unread = index % 11 == 10;
        let enqueued = if idle {
            1_200
        } else {
            load.done(self.elapsed())
        };
        let acknowledged = match (idle, unread) {
            (true, _) => 1_200,
            (false, true) => enqueued / 2,
            (false, false) => load.done(self.elapsed() - load.lag_seconds),
        };
        let depth = enqueued - acknowledged;
        let in_flight = if unread { 0 } else { depth.min(40) };
        QueueView {
            name,
            depth,
            depth_bytes: depth * 1_311,
            in_flight,
            delayed: depth / 50,
            parked: 0,
            paged: depth.saturating_sub(10_000),
            consumers: if unread { 0 } else { index as u64 % 5 + 1 },
            enqueued_total: enqueued,
            dispatched_total: acknowledged + in_flight + acknowledged / 100,
            acknowledged_total: acknowledged,
            redelivered_total: acknowledged / 1_000 * u64::from(index.is_multiple_of(3)),
            dead_lettered_total: if index == 0 { 37 } else { 0 },
            expired_total: if index == 5 { 112 } else { 0 },
            dropped_total: 0,
            replaced_total: 0,
        }
    }

    fn all_topics(&self) -> Vec<TopicView> {
        let names = [
            "prices.eu",
            "prices.us",
            "events.<b>user</b>",
            "ActiveMQ.Advisory.Connection",
        ];
        let topics = names
            .iter()
            .take(self.topics)
            .enumerate()
            .map(|(index, name)| {
                let enqueued = load(index + 3).done(self.elapsed());
                TopicView {
                    name: (*name).to_owned(),
                    durable: 1,
                    consumers: index as u64 * 2,
                    pending: index as u64 * 7,
                    in_flight: index as u64,
                    enqueued_total: enqueued,
                    dispatched_total: enqueued * index as u64 * 2,
                    dropped_total: if index == 1 { 3 } else { 0 },
                }
            });
        topics.collect()
    }

    fn all_connections(&self) -> Vec<ConnectionView> {
        let count = if self.queues == 0 { 0 } else { 14 };
        let connections = (0..count).map(|index: usize| ConnectionView {
            session: format!("6f2d9a-{index}"),
            peer: match index % 4 {
                0 => format!("[2001:db8:85a3::8a2e:370:{index:x}]:51700"),
                _ => format!("10.0.4.{}:{}", 20 + index, 49_152 + index * 731),
            },
            version: if index.is_multiple_of(5) {
                "1.1"
            } else {
                "1.2"
            }
            .to_owned(),
            client_id: match index % 3 {
                0 => Some(format!("billing-worker-{index}")),
                1 => ODD.get(index / 3).map(ToString::to_string),
                _ => None,
            },
            login: index.is_multiple_of(2).then(|| "app".to_owned()),
            connected_ms: self.started_ms + index as i64 * 2_400_000,
            subscriptions: index as u64 % 4,
            in_flight: index as u64 * 13 % 40,
            transactions: u64::from(index == 6),
            blocked: index == 3,
            blocked_by: (index == 3)
                .then(|| "limits.memory_bytes".to_owned())
                .into_iter()
                .collect(),
        });
        connections.collect()
    }

    fn summary(&self) -> Overview {
        let queues = self.all_queues();
        let sum = |field: fn(&QueueView) -> u64| queues.iter().map(field).sum::<u64>();
        let enqueued_total = sum(|queue| queue.enqueued_total);
        let depth = sum(|queue| queue.depth);
        Overview {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            instance: "k3v9q2".to_owned(),
            started_ms: self.started_ms,
            stomp: vec!["127.0.0.1:61613".to_owned()],
            connections: self.all_connections().len() as u64,
            connections_total: self.all_connections().len() as u64 * 31,
            subscriptions: sum(|queue| queue.consumers),
            queues: queues.len() as u64,
            topics: self.all_topics().len() as u64,
            depth,
            in_flight: sum(|queue| queue.in_flight),
            enqueued_total,
            dispatched_total: sum(|queue| queue.dispatched_total),
            acknowledged_total: sum(|queue| queue.acknowledged_total),
            redelivered_total: sum(|queue| queue.redelivered_total),
            dead_lettered_total: sum(|queue| queue.dead_lettered_total),
            expired_total: sum(|queue| queue.expired_total),
            dropped_total: u64::from(!queues.is_empty()) * 3,
            stale_acks_total: 0,
            duplicates_total: 0,
            scheduled: 0,
            memory_bytes: depth * 300 % (512 << 20),
            memory_limit_bytes: 512 << 20,
            store: StoreView {
                commits_total: enqueued_total / 40,
                operations_total: enqueued_total * 2,
                cancelled_total: enqueued_total / 3,
                last_commit_us: 900 + enqueued_total % 700,
                database_bytes: 4096 * 25 + depth * 1_400,
                database_free_bytes: 4096 * 5,
                scratch_bytes: 0,
                full: 0,
                wal_bytes: 32_768 + enqueued_total % 4_000_000,
                quarantined_total: 0,
            },
        }
    }

    /// The page asked for, or what a broker says when it has nothing more to tell.
    fn page<T>(
        &self,
        all: Vec<T>,
        query: &ListQuery,
        name: fn(&T) -> &str,
    ) -> Result<Listing<T>, AdminError> {
        if let Health::Failed(reason) = &self.health {
            return Err(AdminError::Unavailable(reason.clone()));
        }
        let wanted = query.name.as_deref().unwrap_or_default().to_lowercase();
        let matching = all
            .into_iter()
            .filter(|item| name(item).to_lowercase().contains(&wanted));
        let matching: Vec<T> = matching.collect();
        let total = matching.len();
        let items = matching
            .into_iter()
            .skip(query.offset)
            .take(query.limit.unwrap_or(100));
        Ok(Listing {
            total,
            items: items.collect(),
        })
    }
}

impl Load {
    /// Messages up to a time, at a rate that swings between a tenth and twice the usual.
    fn done(&self, seconds: f64) -> u64 {
        let turn = std::f64::consts::TAU / self.period_seconds;
        let swing = 0.8 * (1.0 - (turn * seconds).cos()) / turn;
        (self.per_second * (seconds + swing)).max(0.0) as u64
    }
}

fn load(index: usize) -> Load {
    Load {
        per_second: [310.0, 12.0, 48.0, 0.4, 95.0, 3.0, 160.0][index % 7],
        period_seconds: [97.0, 41.0, 173.0, 63.0, 29.0][index % 5],
        lag_seconds: [0.05, 0.4, 2.0, 0.01][index % 4],
    }
}

fn dead_letters(name: &str, depth: u64) -> QueueView {
    QueueView {
        name: name.to_owned(),
        depth,
        depth_bytes: depth * 2_048,
        enqueued_total: depth,
        ..QueueView::default()
    }
}

fn odd_message(index: usize, text: &str, queue: &str) -> MessageView {
    MessageView {
        id: format!("ID:fake-1-{index}"),
        priority: 4,
        persistent: true,
        bytes: text.len() as u64,
        original_destination: queue.contains("DLQ").then(|| text.to_owned()),
        body: BodyView {
            content: text.to_owned(),
            shown_bytes: text.len() as u64,
            bytes: text.len() as u64,
            ..BodyView::default()
        },
        ..MessageView::default()
    }
}

impl AdminApi for Fake {
    fn overview(&self) -> Answer<'_, Overview> {
        Box::pin(async {
            match &self.health {
                Health::Failed(reason) => Err(AdminError::Unavailable(reason.clone())),
                Health::Ok | Health::Stopping => Ok(self.summary()),
            }
        })
    }

    fn queues(&self, query: ListQuery) -> Answer<'_, Listing<QueueView>> {
        Box::pin(async move { self.page(self.all_queues(), &query, |queue| &queue.name) })
    }

    fn topics(&self, query: ListQuery) -> Answer<'_, Listing<TopicView>> {
        Box::pin(async move { self.page(self.all_topics(), &query, |topic| &topic.name) })
    }

    fn connections(&self, query: ListQuery) -> Answer<'_, Listing<ConnectionView>> {
        Box::pin(async move {
            self.page(self.all_connections(), &query, |connection| {
                connection
                    .client_id
                    .as_deref()
                    .unwrap_or(&connection.session)
            })
        })
    }

    fn subscriptions(&self, query: ListQuery) -> Answer<'_, Listing<SubscriptionView>> {
        let view = SubscriptionView {
            identity: "client-id=cellar&name=wine".to_owned(),
            topic: "deliveries".to_owned(),
            durable: true,
            pending: 12,
            ..SubscriptionView::default()
        };
        Box::pin(async move { self.page(vec![view], &query, |view| &view.identity) })
    }

    fn scheduled(&self, _query: ScheduledQuery) -> Answer<'_, ScheduledPage> {
        Box::pin(async { Ok(ScheduledPage::default()) })
    }

    fn unschedule(&self, _id: String) -> Answer<'_, bool> {
        Box::pin(async { Ok(false) })
    }

    fn messages(&self, query: MessagesQuery) -> Answer<'_, MessagePage> {
        let items = ODD.iter().enumerate();
        let page = MessagePage {
            items: items
                .map(|(index, text)| odd_message(index, text, &query.queue))
                .collect(),
            more: false,
        };
        Box::pin(async { Ok(page) })
    }

    fn message(&self, query: MessageQuery) -> Answer<'_, Option<MessageView>> {
        let mut odd = ODD.iter().enumerate();
        let found = odd.find_map(|(index, text)| {
            let message = odd_message(index, text, &query.queue);
            (message.id == query.id).then_some(message)
        });
        Box::pin(async { Ok(found) })
    }

    fn carry_out(&self, order: Order) -> Answer<'_, Carried> {
        let carried = Carried {
            done: 0,
            missing: order.ids,
        };
        Box::pin(async { Ok(carried) })
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
        let view = PolicyView {
            exists: self
                .all_queues()
                .iter()
                .any(|queue| queue.name == query.name),
            declared: false,
            settings: vec![SettingView {
                key: "max_messages".to_owned(),
                value: 0.into(),
                from: "default".to_owned(),
            }],
            kind: query.kind,
            name: query.name,
        };
        Box::pin(async { Ok(view) })
    }

    fn health(&self) -> Health {
        self.health.clone()
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut address = "127.0.0.1:8161".to_owned();
    let mut queues = ORDINARY.len();
    let mut health = Health::Ok;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--address" => address = arguments.next().ok_or("--address needs IP:PORT")?,
            "--queues" => queues = arguments.next().ok_or("--queues needs a number")?.parse()?,
            "--empty" => queues = 0,
            "--stopping" => health = Health::Stopping,
            "--failed" => health = Health::Failed("a commit failed: disk I/O error".to_owned()),
            other => return Err(format!("unknown argument {other}").into()),
        }
    }
    let now_ms = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?;
    let fake = Fake {
        started: Instant::now(),
        started_ms: now_ms - i64::try_from(AGE.as_millis())?,
        queues,
        topics: if queues == 0 { 0 } else { 4 },
        health,
    };
    let listener = TcpListener::bind(&address).await?;
    eprintln!("the console is at http://{}/", listener.local_addr()?);
    let shutdown = CancellationToken::new();
    let stop = shutdown.clone();
    tokio::spawn(async move {
        let interrupted = tokio::signal::ctrl_c().await;
        interrupted.map(|()| stop.cancel())
    });
    stompbox_console::serve(listener, Arc::new(fake), shutdown).await?;
    Ok(())
}
