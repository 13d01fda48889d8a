//! The broker's life: open the store, listen, serve, drain, stop.

use std::io::Write;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};

use anyhow::Context as _;
use stompbox_console::Health;
use stompbox_store::sqlite::{Durability, SqliteOptions};
use stompbox_store::{EventSink, Recovered, Store, StoreError};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::admin::{Admin, Identity};
use super::clock::{Clock, wall_ms};
use super::connection::Context;
use super::dispatcher::{DispatcherTask, Inbox, Message, StoreFailed, event_sink};
use super::listener::{Acceptor, REFUSALS_MAX, bind};
use super::signal::StopSignals;
use super::visit::Door;
use crate::cli::exit;
use crate::config::{self, Config};
use crate::core::dispatcher::{DiskLimits, Dispatcher, Settings, Window};
use crate::core::memory::MemoryBudget;
use crate::core::session::SessionSettings;

/// How the durable state is opened: the SQLite engine, or what a test puts in its place.
pub type OpenStore = Box<
    dyn FnOnce(SqliteOptions, i64, EventSink) -> Result<(Box<dyn Store>, Recovered), StoreError>
        + Send,
>;

/// File handles that are kept for the store, the console and the logs.
const RESERVED_HANDLES: u64 = 128;

/// Runs a broker until it is told to stop.
pub(crate) fn run(config: Config, open: OpenStore) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "the runtime could not be started");
            return ExitCode::from(exit::FAILED);
        }
    };
    let code = runtime
        .block_on(serve(config, open))
        .unwrap_or_else(|error| {
            match error.downcast_ref::<StoreError>() {
                // Its text says all of it, its source too.
                Some(refused) => tracing::error!("{refused}"),
                None => tracing::error!("{error:#}"),
            }
            match error.downcast_ref::<StoreError>() {
                Some(StoreError::InUse { .. }) => exit::DATA_IN_USE,
                _ => exit::FAILED,
            }
        });
    runtime.shutdown_background();
    ExitCode::from(code)
}

type Dispatching = JoinHandle<Result<(), StoreFailed>>;

struct Broker {
    dispatcher: Inbox,
    connections: TaskTracker,
    connections_max: usize,
    stop: CancellationToken,
    console: CancellationToken,
    health: Arc<Mutex<Health>>,
    config: Config,
}

async fn serve(config: Config, open: OpenStore) -> anyhow::Result<u8> {
    let mut signals = StopSignals::listen()?;
    let connections_max = connections_max(config.limits.connections)?;
    let clock = Clock::start();
    let started_ms = wall_ms();
    let (sink, events) = event_sink();
    let options = store_options(&config);
    let opening = tokio::task::spawn_blocking(move || open(options, started_ms, sink));
    // An opening may wait for another program; what it has not committed by then is as it was.
    let (store, recovered) = tokio::select! {
        opened = opening => opened??,
        () = signals.next() => {
            tracing::warn!("stopped before it had started");
            return Ok(exit::STOP_CUT_SHORT);
        }
    };
    let stomp = bind_all(&config)?;
    let console = match config.console.listen {
        Some(address) => {
            Some(bind(address).with_context(|| {
                format!(
                    "the console cannot listen on {address}: is another broker running? choose another address with \
                     --console, or none"
                )
            })?)
        }
        None => None,
    };
    let budget = MemoryBudget::new(config.limits.memory_bytes);
    let settings = Settings {
        policies: config.policies.clone(),
        limits: config.limits.clone(),
        client_id: config.stomp.client_id,
        budget: Arc::clone(&budget),
        window: Window::default(),
        disk: DiskLimits {
            bytes_max: Some(config.store.disk_bytes_max as u64).filter(|limit| *limit > 0),
            wal_bytes_max: config.store.wal_bytes_max as u64,
        },
        zone: config.stomp.time_zone(),
    };
    let mut dispatcher = Dispatcher::new(settings, &recovered);
    dispatcher.declare(clock.now());
    let (task, inbox) = DispatcherTask::new(dispatcher, store, events, clock);
    let dispatching = tokio::spawn(task.run());
    let broker = Broker {
        dispatcher: inbox,
        connections: TaskTracker::new(),
        connections_max,
        stop: CancellationToken::new(),
        console: CancellationToken::new(),
        health: Arc::new(Mutex::new(Health::Ok)),
        config,
    };
    let addresses = broker.listen(stomp, &recovered, budget, clock)?;
    let console_address = broker.open_console(console, &addresses, &recovered, started_ms)?;
    announce(&addresses, console_address)?;
    broker.until_stopped(dispatching, &mut signals).await
}

fn store_options(config: &Config) -> SqliteOptions {
    let mut options = SqliteOptions::new(config.store.data.clone());
    options.durability = match config.store.durability {
        config::Durability::Power => Durability::Power,
        config::Durability::Process => Durability::Process,
    };
    options.reserve_bytes = config.store.disk_reserve as u64;
    options.resume_bytes = config.store.disk_resume as u64;
    options
}

fn bind_all(config: &Config) -> anyhow::Result<Vec<TcpListener>> {
    let bind = |address: &SocketAddr| {
        bind(*address).with_context(|| {
            format!("STOMP cannot listen on {address}: is another broker running? choose another with --stomp")
        })
    };
    config.stomp.listen.iter().map(bind).collect()
}

/// How many connections may be open: what was configured, or what the file handles allow. The soft limit is raised
/// to the hard one.
fn connections_max(configured: usize) -> anyhow::Result<usize> {
    let handles = match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(handles) => handles,
        Err(error) => {
            tracing::warn!(%error, "the limit of file handles could not be read");
            1024
        }
    };
    anyhow::ensure!(
        handles > RESERVED_HANDLES,
        "only {handles} file handles may be open, and {RESERVED_HANDLES} are kept for the store, the console and the \
         log: raise the limit (ulimit -n, or LimitNOFILE= of the service) to that and one more for each connection"
    );
    let by_handles = usize::try_from(handles - RESERVED_HANDLES)
        .unwrap_or(usize::MAX)
        .min(Semaphore::MAX_PERMITS);
    Ok(if configured == 0 {
        by_handles
    } else {
        configured.min(by_handles)
    })
}

/// Tells where it listens. A line each, for people and for scripts.
fn announce(stomp: &[SocketAddr], console: Option<SocketAddr>) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "stompbox {}", env!("CARGO_PKG_VERSION"))?;
    for address in stomp {
        writeln!(out, "stomp listening on {address}")?;
    }
    if let Some(address) = console {
        writeln!(out, "console listening on http://{address}")?;
    }
    if let Some(address) = stomp.first() {
        let to = if address.port() == 61613 {
            String::new()
        } else {
            format!(" --to {address}")
        };
        writeln!(
            out,
            "send a first message:  stompbox send /queue/hello \"Hello\"{to}"
        )?;
        let from = to.replace("--to", "--from");
        writeln!(
            out,
            "and receive it:        stompbox receive /queue/hello{from}"
        )?;
    }
    out.flush()?;
    Ok(())
}

impl Broker {
    fn listen(
        &self,
        listeners: Vec<TcpListener>,
        recovered: &Recovered,
        budget: Arc<MemoryBudget>,
        clock: Clock,
    ) -> anyhow::Result<Vec<SocketAddr>> {
        let settings = SessionSettings {
            limits: self.config.limits.clone(),
            policies: self.config.policies.clone(),
            heart_beat_min: self.config.stomp.heart_beat_min,
            instance: recovered.instance.as_str().into(),
            epoch: recovered.epoch,
            budget,
            zone: self.config.stomp.time_zone(),
        };
        let acceptor = Acceptor {
            context: Arc::new(Context {
                settings: Arc::new(settings),
                stomp: self.config.stomp.clone(),
                dispatcher: self.dispatcher.clone(),
                clock,
            }),
            stop: self.stop.clone(),
            connections: self.connections.clone(),
            permits: Arc::new(Semaphore::new(self.connections_max)),
            refusals: Arc::new(Semaphore::new(REFUSALS_MAX)),
            connections_max: self.connections_max,
            next: Arc::new(AtomicU64::new(1)),
        };
        let mut addresses = Vec::new();
        for listener in listeners {
            addresses.push(listener.local_addr()?);
            self.connections.spawn(acceptor.clone().run(listener));
        }
        Ok(addresses)
    }

    fn open_console(
        &self,
        listener: Option<TcpListener>,
        stomp: &[SocketAddr],
        recovered: &Recovered,
        started_ms: i64,
    ) -> anyhow::Result<Option<SocketAddr>> {
        let Some(listener) = listener else {
            return Ok(None);
        };
        let address = listener.local_addr()?;
        let admin = Admin {
            identity: Identity {
                instance: recovered.instance.clone(),
                started_ms,
                stomp: stomp.iter().map(SocketAddr::to_string).collect(),
            },
            dispatcher: self.dispatcher.clone(),
            health: Arc::clone(&self.health),
            door: Door::new(
                self.dispatcher.clone(),
                self.connections.clone(),
                &recovered.instance,
            ),
            may_manage: self.config.console.manage,
        };
        let shutdown = self.console.clone();
        tokio::spawn(async move {
            if let Err(error) = stompbox_console::serve(listener, Arc::new(admin), shutdown).await {
                tracing::error!(%error, "the console has stopped");
            }
        });
        Ok(Some(address))
    }

    async fn until_stopped(
        self,
        mut dispatching: Dispatching,
        signals: &mut StopSignals,
    ) -> anyhow::Result<u8> {
        tokio::select! {
            () = signals.next() => {}
            ended = &mut dispatching => return Ok(self.failed(ended)),
        }
        tracing::info!("stopping: a second signal stops at once");
        self.set_health(Health::Stopping);
        let deadline = self.config.stomp.stop_deadline;
        // While draining, the dispatcher's own end is no news unless it is a failure.
        let failing = async {
            match dispatching.await {
                Ok(Ok(())) => std::future::pending().await,
                ended => ended,
            }
        };
        tokio::select! {
            drained = tokio::time::timeout(deadline, self.drain()) => match drained {
                Ok(Ok(())) => Ok(exit::OK),
                Ok(Err(error)) => {
                    tracing::error!("{error:#}");
                    Ok(exit::DISK_FAILED)
                }
                Err(_) => {
                    tracing::error!(?deadline, "not everything could be finished: as after a crash");
                    Ok(exit::STOP_CUT_SHORT)
                }
            },
            ended = failing => Ok(self.failed(ended)),
            () = signals.next() => {
                tracing::warn!("second signal: stopped at once");
                Ok(exit::STOP_CUT_SHORT)
            }
        }
    }

    /// Listeners close, sessions finish at a frame boundary, the last batch is written.
    async fn drain(&self) -> anyhow::Result<()> {
        self.stop.cancel();
        let told = self.dispatcher.send(Message::StopConnections).await;
        anyhow::ensure!(told.is_ok(), "the dispatcher is gone");
        self.connections.close();
        self.connections.wait().await;
        let (done, stopped) = oneshot::channel();
        let sent = self.dispatcher.send(Message::Stop(done)).await;
        anyhow::ensure!(sent.is_ok(), "the dispatcher is gone");
        stopped.await.context("the dispatcher is gone")??;
        self.console.cancel();
        Ok(())
    }

    fn failed(&self, ended: Result<Result<(), StoreFailed>, tokio::task::JoinError>) -> u8 {
        let (text, code) = match ended {
            Ok(Err(StoreFailed(error))) => (error.to_string(), exit::DISK_FAILED),
            Ok(Ok(())) => ("the dispatcher has ended".to_owned(), exit::FAILED),
            Err(panic) => (format!("the dispatcher has failed: {panic}"), exit::FAILED),
        };
        tracing::error!("{text}; nothing more is promised: the broker stops");
        self.set_health(Health::Failed(text));
        code
    }

    fn set_health(&self, health: Health) {
        match self.health.lock() {
            Ok(mut own) => *own = health,
            Err(poisoned) => *poisoned.into_inner() = health,
        }
    }
}
