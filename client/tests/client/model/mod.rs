//! A model of a broker, in memory: queues, topics, durable subscriptions, temporary queues, transactions, duplicate
//! detection, and connections that it cuts at places drawn from a seed.
//!
//! It keeps to stompbox's dialect as far as the tests go, and checks what a real broker cannot know: that no subscription
//! is left behind, and what became of each message.

mod session;
mod state;

use std::sync::{Arc, Mutex, MutexGuard};

use stompbox_client::ConnectionBuilder;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use self::session::serve;
pub(crate) use self::state::Faults;
use self::state::State;

/// A broker that lives as long as this.
pub(crate) struct Model {
    pub(crate) address: String,
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

impl Model {
    /// A broker that cuts no connection.
    pub(crate) async fn start() -> Model {
        Model::start_with(Faults::none()).await
    }

    pub(crate) async fn start_with(faults: Faults) -> Model {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let state = Arc::new(Mutex::new(State::new(faults)));
        let shared = Arc::clone(&state);
        let task = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(serve(socket, Arc::clone(&shared)));
            }
        });
        Model {
            address,
            state,
            task,
        }
    }

    pub(crate) fn client(&self) -> ConnectionBuilder {
        crate::peer::client(&self.address)
    }

    /// Cuts no more connections.
    pub(crate) fn calm(&self) {
        self.cut_from_now(Faults::none());
    }

    /// Cuts connections from now on.
    pub(crate) fn cut_from_now(&self, faults: Faults) {
        self.state().faults = faults;
    }

    /// How many connections were cut.
    pub(crate) fn cuts(&self) -> usize {
        self.state().cuts
    }

    /// How many subscriptions there are.
    pub(crate) fn subscriptions(&self) -> usize {
        self.state().subscription_count()
    }

    /// The bodies of what waits in a queue, in order, and of what is out.
    pub(crate) fn waiting(&self, queue: &str) -> Vec<String> {
        self.state().waiting(queue)
    }

    /// The bodies of what was acknowledged, from any queue.
    pub(crate) fn acknowledged(&self) -> Vec<String> {
        self.state().acknowledged.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("the model does not panic")
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        self.task.abort();
    }
}
