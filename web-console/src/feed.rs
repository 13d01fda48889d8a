//! The live feed: one task that samples the broker once a second for everybody who watches.
//!
//! It owns the last minutes' counters and one [`watch`] channel for each distinct filter: viewers with the same
//! filter share one question to the broker and one rendered event. A viewer that is slow skips samples, it never
//! queues them.
//!
//! *Invariants*: at most [`STREAMS_MAX`] viewers, thus as many filters; a filter without viewers is not sampled;
//! when the console stops, every viewer's stream ends, whatever the broker does.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hyper::body::Bytes;
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::error::ApiError;
use crate::event;
use crate::health::HealthBody;
use crate::port::{ConnectionView, Listing, Overview, QueueView, SubscriptionView, TopicView};
use crate::query::Filter;
use crate::source::Source;

/// Live streams at a time: a team with a few tabs each.
pub(crate) const STREAMS_MAX: usize = 64;

/// Time between samples.
const SAMPLE_INTERVAL: Duration = Duration::from_secs(1);

/// Samples a page can draw as soon as it opens: five minutes.
const HISTORY_COUNT_MAX: usize = 300;

/// Nobody asks to watch without holding one of the places.
const REQUESTS_MAX: usize = STREAMS_MAX;

/// The way to the sampling task.
#[derive(Clone)]
pub(crate) struct Feed {
    requests: mpsc::Sender<Request>,
    places: Arc<Semaphore>,
    shutdown: CancellationToken,
}

/// A viewer's end of the feed. Dropping it frees its place.
pub(crate) struct Viewer {
    opening: Option<Bytes>,
    events: watch::Receiver<Bytes>,
    shutdown: CancellationToken,
    _place: OwnedSemaphorePermit,
}

struct Request {
    filter: Filter,
    reply: oneshot::Sender<(Bytes, watch::Receiver<Bytes>)>,
}

impl Feed {
    /// Starts the sampling task.
    pub(crate) fn spawn(source: Source, shutdown: CancellationToken) -> Self {
        let (requests, inbox) = mpsc::channel(REQUESTS_MAX);
        let sampler = Sampler {
            source,
            views: HashMap::new(),
            history: VecDeque::new(),
        };
        let until = shutdown.clone();
        tokio::spawn(async move { until.run_until_cancelled_owned(sampler.run(inbox)).await });
        Self {
            requests,
            places: Arc::new(Semaphore::new(STREAMS_MAX)),
            shutdown,
        }
    }

    /// Takes a place and starts to watch.
    pub(crate) async fn watch(&self, filter: Filter) -> Result<Viewer, ApiError> {
        let place = Arc::clone(&self.places)
            .try_acquire_owned()
            .map_err(|_full| ApiError::TooManyStreams { limit: STREAMS_MAX })?;
        let stopping = || ApiError::Unavailable("the console is stopping".to_owned());
        if self.shutdown.is_cancelled() {
            return Err(stopping());
        }
        let (reply, answer) = oneshot::channel();
        let request = Request { filter, reply };
        self.requests
            .send(request)
            .await
            .map_err(|_closed| stopping())?;
        let (history, events) = answer.await.map_err(|_closed| stopping())?;
        let shutdown = self.shutdown.clone();
        Ok(Viewer {
            opening: Some(history),
            events,
            shutdown,
            _place: place,
        })
    }
}

impl Viewer {
    /// The next event: first the history, then the newest sample each time there is one. Nothing at the end.
    pub(crate) async fn next(&mut self) -> Option<Bytes> {
        if let Some(history) = self.opening.take() {
            return Some(history);
        }
        // Cancel-safe: a change not yet seen stays unseen.
        let changed = self
            .shutdown
            .run_until_cancelled(self.events.changed())
            .await?;
        changed.ok()?;
        Some(self.events.borrow_and_update().clone())
    }
}

/// The task: who is watching what, and what there was to see.
struct Sampler {
    source: Source,
    views: HashMap<Filter, watch::Sender<Bytes>>,
    history: VecDeque<Point>,
}

/// The broker's counters at one time.
#[derive(Clone, Copy)]
struct Point {
    at_ms: u64,
    enqueued_total: u64,
    dispatched_total: u64,
    acknowledged_total: u64,
    depth: u64,
}

/// The `history` event: one column for each counter, oldest first.
#[derive(Serialize, Default)]
struct History {
    at_ms: Vec<u64>,
    enqueued_total: Vec<u64>,
    dispatched_total: Vec<u64>,
    acknowledged_total: Vec<u64>,
    depth: Vec<u64>,
}

/// The `snapshot` event.
#[derive(Serialize)]
struct Snapshot<'a> {
    at_ms: u64,
    health: HealthBody,
    overview: &'a Overview,
    queues: Listing<QueueView>,
    topics: Listing<TopicView>,
    subscriptions: Listing<SubscriptionView>,
    connections: Listing<ConnectionView>,
}

/// The `unavailable` event: there is no snapshot this time.
#[derive(Serialize)]
struct Unavailable {
    at_ms: u64,
    health: HealthBody,
    message: String,
}

impl Sampler {
    async fn run(mut self, mut inbox: mpsc::Receiver<Request>) {
        let mut ticks = interval(SAMPLE_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            // Cancel-safe: both only wait; the work is done in the arms.
            tokio::select! {
                request = inbox.recv() => match request {
                    Some(request) => self.open(request).await,
                    None => return,
                },
                _ = ticks.tick() => self.sample().await,
            }
        }
    }

    /// Lets one more viewer in. A filter that is new is answered at once, not at the next tick.
    async fn open(&mut self, request: Request) {
        let history = event::render("history", &self.history());
        if let Some(view) = self.views.get(&request.filter) {
            let mut events = view.subscribe();
            events.mark_changed();
            // A viewer that has gone away meanwhile needs no answer.
            let _gone = request.reply.send((history, events));
            return;
        }
        let (view, events) = watch::channel(Bytes::new());
        if request.reply.send((history, events)).is_ok() {
            let at_ms = now_ms();
            let snapshot = match self.source.overview().await {
                Ok(overview) => self.snapshot(&request.filter, at_ms, &overview).await,
                Err(error) => Err(error),
            };
            view.send_replace(self.event(&snapshot));
            self.views.insert(request.filter, view);
        }
    }

    /// Asks once for everybody. When the broker does not answer one question, the others are not asked: each
    /// would wait in vain, and everybody behind it.
    async fn sample(&mut self) {
        self.views.retain(|_filter, view| view.receiver_count() > 0);
        let at_ms = now_ms();
        let mut overview = self.source.overview().await;
        if let Ok(overview) = &overview {
            self.remember(at_ms, overview);
        }
        for (filter, view) in &self.views {
            let snapshot = match &overview {
                Ok(overview) => self.snapshot(filter, at_ms, overview).await,
                Err(error) => Err(error.clone()),
            };
            view.send_replace(self.event(&snapshot));
            if let Err(error) = snapshot {
                overview = Err(error);
            }
        }
    }

    fn remember(&mut self, at_ms: u64, overview: &Overview) {
        if self.history.len() == HISTORY_COUNT_MAX {
            self.history.pop_front();
        }
        self.history.push_back(Point {
            at_ms,
            enqueued_total: overview.enqueued_total,
            dispatched_total: overview.dispatched_total,
            acknowledged_total: overview.acknowledged_total,
            depth: overview.depth,
        });
    }

    fn history(&self) -> History {
        let mut history = History::default();
        for point in &self.history {
            history.at_ms.push(point.at_ms);
            history.enqueued_total.push(point.enqueued_total);
            history.dispatched_total.push(point.dispatched_total);
            history.acknowledged_total.push(point.acknowledged_total);
            history.depth.push(point.depth);
        }
        history
    }

    /// The `snapshot` event of one filter.
    async fn snapshot(
        &self,
        filter: &Filter,
        at_ms: u64,
        overview: &Overview,
    ) -> Result<Bytes, ApiError> {
        let snapshot = Snapshot {
            at_ms,
            health: self.source.health().into(),
            overview,
            queues: self.source.queues(filter.query()).await?,
            topics: self.source.topics(filter.query()).await?,
            subscriptions: self.source.subscriptions(filter.query()).await?,
            connections: self.source.connections(filter.query()).await?,
        };
        Ok(event::render("snapshot", &snapshot))
    }

    /// A snapshot as it is, or an event that tells why there is none.
    fn event(&self, snapshot: &Result<Bytes, ApiError>) -> Bytes {
        match snapshot {
            Ok(snapshot) => snapshot.clone(),
            Err(error) => {
                let health = self.source.health().into();
                let unavailable = Unavailable {
                    at_ms: now_ms(),
                    health,
                    message: error.message(),
                };
                event::render("unavailable", &unavailable)
            }
        }
    }
}

/// Wall time in milliseconds since 1970, as the broker's own times are; 0 when the clock is before that.
fn now_ms() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
