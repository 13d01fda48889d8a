//! Who is told of a connection's events.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::event::ConnectionEvent;

type Function = Arc<dyn Fn(&ConnectionEvent) + Send + Sync>;

/// The function that wants to know, if any.
#[derive(Clone, Default)]
pub(crate) struct Events(Option<Function>);

impl Events {
    pub(crate) fn new(function: impl Fn(&ConnectionEvent) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(function)))
    }

    /// Tells. A panic of the function is its own: the connection goes on.
    pub(crate) fn emit(&self, event: &ConnectionEvent) {
        tracing::debug!(?event, "connection event");
        if let Some(function) = &self.0
            && catch_unwind(AssertUnwindSafe(|| function(event))).is_err()
        {
            tracing::error!("the function for connection events panicked");
        }
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Events({})", self.0.is_some())
    }
}
