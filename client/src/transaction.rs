//! The handle of an open transaction.

/// An open transaction of a connection: made by [`begin`](crate::Connection::begin), used up by
/// [`commit`](crate::Connection::commit) or [`abort`](crate::Connection::abort). When the connection ends first, the
/// broker aborts it.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a transaction takes effect only when it is committed"]
pub struct Transaction {
    id: String,
}

impl Transaction {
    pub(crate) fn new(number: u64) -> Self {
        Self {
            id: format!("t{number}"),
        }
    }

    /// Its id on the wire, unique within the connection.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }
}
