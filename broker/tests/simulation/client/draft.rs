//! A frame in the making.

use stompbox_protocol::Command;

/// See the module.
pub(super) struct Draft {
    pub(super) command: Command,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Draft {
    pub(super) fn new(command: Command) -> Self {
        Self {
            command,
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    pub(super) fn asks_for_receipt(&self) -> bool {
        self.headers.iter().any(|(name, _)| name == "receipt")
    }

    pub(super) fn with(mut self, name: &str, value: impl ToString) -> Self {
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }
}
