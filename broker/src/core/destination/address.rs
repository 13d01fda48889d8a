//! One destination as a header names it: what everybody means by it, or what only this connection does.

use super::DestinationKind;
use super::error::NameError;
use super::name::{DestinationName, check};
use super::pattern::is_wildcard;
use super::prefix::{self, Scope};
use crate::core::excerpt::excerpt;

/// One destination as a header names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Address {
    /// `/queue/NAME`, `/topic/NAME` or `NAME`: made on first use.
    Named(DestinationName),
    /// `/temp-queue/NAME`, `/temp-topic/NAME`: no destination yet, the connection says which one it is.
    Temporary(TemporaryName),
    /// `/remote-temp-queue/ID`, `/remote-temp-topic/ID`: never made on use, it exists or has gone.
    RemoteTemporary(RemoteTemporary),
}

/// What a connection calls a temporary destination of its own. Two connections may use one name for two.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TemporaryName {
    kind: DestinationKind,
    name: Box<str>,
}

/// A temporary destination as everybody else names it. It becomes a [`DestinationName`] only by
/// [`RemoteTemporary::into_name`], where one must think of its having gone.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RemoteTemporary(DestinationName);

impl Address {
    /// Reads one name.
    pub(super) fn parse(text: &str) -> Result<Self, NameError> {
        let (scope, kind, name) = prefix::split(text)?;
        check(name)?;
        if name.split('.').any(is_wildcard) {
            return Err(NameError::Pattern(excerpt(text)));
        }
        Ok(match scope {
            Scope::Shared => Self::Named(DestinationName::new(kind, name)),
            Scope::Connection => Self::Temporary(TemporaryName {
                kind,
                name: name.into(),
            }),
            Scope::Remote => {
                Self::RemoteTemporary(RemoteTemporary(DestinationName::temporary(kind, name)))
            }
        })
    }

    /// Queue or topic.
    #[must_use]
    pub fn kind(&self) -> DestinationKind {
        match self {
            Self::Named(name) => name.kind(),
            Self::Temporary(name) => name.kind,
            Self::RemoteTemporary(remote) => remote.0.kind(),
        }
    }
}

/// A name without the spaces around it, which mean nothing.
#[must_use]
pub fn without_spaces(mut value: &[u8]) -> &[u8] {
    while let [b' ', rest @ ..] | [rest @ .., b' '] = value {
        value = rest;
    }
    value
}

impl TemporaryName {
    /// Reads a `reply-to` header; [`None`] if it names no temporary destination of the connection's own, and so is
    /// handed on as it was written.
    ///
    /// # Errors
    /// When it begins as one and is none.
    pub fn in_reply_to(value: &[u8]) -> Result<Option<Self>, NameError> {
        let value = without_spaces(value);
        if !value.starts_with(b"/temp-queue/") && !value.starts_with(b"/temp-topic/") {
            return Ok(None);
        }
        let text = std::str::from_utf8(value).map_err(|_| NameError::NotUtf8)?;
        if text.contains(',') {
            return Err(NameError::ReplyToList);
        }
        if text.contains('?') {
            return Err(NameError::Options);
        }
        match Address::parse(text)? {
            Address::Temporary(name) => Ok(Some(name)),
            Address::Named(_) | Address::RemoteTemporary(_) => Ok(None),
        }
    }

    /// Queue or topic.
    #[must_use]
    pub fn kind(&self) -> DestinationKind {
        self.kind
    }

    /// Without its prefix.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The destination that was made for it under an id that nobody can guess.
    #[must_use]
    pub fn made_as(&self, id: &str) -> DestinationName {
        DestinationName::temporary(self.kind, id)
    }
}

impl RemoteTemporary {
    /// The destination to look for.
    #[must_use]
    pub fn name(&self) -> &DestinationName {
        &self.0
    }

    /// The destination to look for.
    #[must_use]
    pub fn into_name(self) -> DestinationName {
        self.0
    }
}
