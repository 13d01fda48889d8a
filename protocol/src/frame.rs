//! A decoded frame: slices of the bytes that arrived, text decoded when it is asked for.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;

use crate::head::Head;
use crate::{Command, Header, Version};

/// A frame as a decoder yields it.
///
/// A frame whose body is longer than 8 KiB owns its memory. A smaller one may share the decoder's
/// read buffer and keeps all of it alive: copy it if it is to stay.
#[derive(Clone)]
pub struct Frame {
    head: Head,
    body: Bytes,
    wire_bytes: usize,
}

impl Frame {
    pub(crate) fn new(head: Head, body: Bytes, wire_bytes: usize) -> Self {
        Self {
            head,
            body,
            wire_bytes,
        }
    }

    /// The command.
    pub fn command(&self) -> Command {
        self.head.command
    }

    /// The version by which it was decoded; 1.0 before one was agreed on.
    pub fn version(&self) -> Version {
        self.head.version
    }

    /// Every header in its original order, repeated ones included.
    pub fn headers(&self) -> impl Iterator<Item = Header<'_>> {
        self.head.headers().iter()
    }

    /// The value of the first header of that name, decoded.
    pub fn header(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        self.head.headers().decoded(name.as_bytes())
    }

    /// As [`header`](Self::header), with U+FFFD for what is not UTF-8.
    pub fn text(&self, name: &str) -> Option<Cow<'_, str>> {
        self.header(name).map(|value| match value {
            Cow::Borrowed(value) => String::from_utf8_lossy(value),
            Cow::Owned(value) => Cow::Owned(String::from_utf8_lossy(&value).into_owned()),
        })
    }

    /// The body; empty where the frame has none.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The body, to be shared.
    pub fn body_bytes(&self) -> &Bytes {
        &self.body
    }

    /// The body, without a copy.
    pub fn into_body(self) -> Bytes {
        self.body
    }

    /// How long the frame was on the wire, from its command to its NUL.
    pub fn wire_bytes(&self) -> usize {
        self.wire_bytes
    }
}

/// Shows no header and no body: frames carry passcodes.
impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frame")
            .field("command", &self.head.command)
            .field("version", &self.head.version)
            .field("header_count", &self.head.ranges.len())
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}
