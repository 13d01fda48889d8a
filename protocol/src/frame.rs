//! A decoded frame: text decoded when it is asked for.

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;

use crate::decoder::ArrivedBody;
use crate::head::Head;
use crate::{Command, Header, Version};

/// A frame in the memory of the decoder that found it.
pub struct FrameRef<'a> {
    head: &'a Head,
    bytes: &'a [u8],
    body: ArrivedBody,
    wire_bytes: usize,
}

impl<'a> FrameRef<'a> {
    pub(crate) fn new(
        head: &'a Head,
        bytes: &'a [u8],
        body: ArrivedBody,
        wire_bytes: usize,
    ) -> Self {
        Self {
            head,
            bytes,
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
    pub fn headers(&self) -> impl Iterator<Item = Header<'a>> + use<'a> {
        self.head.headers(self.bytes).iter()
    }

    /// Whether any header may hold an escape: where none does, raw text is decoded text.
    pub fn has_escapes(&self) -> bool {
        self.head.has_escapes
    }

    /// The value of the first header of that name, decoded.
    pub fn header(&self, name: &str) -> Option<Cow<'a, [u8]>> {
        self.head.headers(self.bytes).decoded(name.as_bytes())
    }

    /// The value of the first `receipt`, decoded; found without a search.
    pub fn receipt(&self) -> Option<Cow<'a, [u8]>> {
        self.head.headers(self.bytes).receipt()
    }

    /// As [`header`](Self::header), with U+FFFD for what is not UTF-8.
    pub fn text(&self, name: &str) -> Option<Cow<'a, str>> {
        self.header(name).map(|value| match value {
            Cow::Borrowed(value) => String::from_utf8_lossy(value),
            Cow::Owned(value) => Cow::Owned(String::from_utf8_lossy(&value).into_owned()),
        })
    }

    /// The body; empty where the frame has none.
    pub fn body(&self) -> &[u8] {
        match &self.body {
            ArrivedBody::None => &[],
            ArrivedBody::Behind { head_bytes } => behind(self.bytes, *head_bytes),
            ArrivedBody::Apart(body) => body,
        }
    }

    /// The body, where it has memory of its own: to be shared. Longer than 8 KiB, it has.
    pub fn own_body(&self) -> Option<&Bytes> {
        match &self.body {
            ArrivedBody::None | ArrivedBody::Behind { .. } => None,
            ArrivedBody::Apart(body) => Some(body),
        }
    }

    /// How long the frame was on the wire, from its command to its NUL.
    pub fn wire_bytes(&self) -> usize {
        self.wire_bytes
    }

    /// A copy that stays. A body that has memory of its own is shared.
    pub fn to_frame(&self) -> Frame {
        Frame {
            head: self.head.clone(),
            bytes: Bytes::copy_from_slice(self.bytes),
            body: self.body.clone(),
            wire_bytes: self.wire_bytes,
        }
    }
}

/// The body and the NUL are what stands behind the head.
fn behind(bytes: &[u8], head_bytes: usize) -> &[u8] {
    let body = bytes.get(head_bytes..).and_then(<[u8]>::split_last);
    body.map_or(&[], |(_, body)| body)
}

/// A frame that owns its memory.
#[derive(Clone)]
pub struct Frame {
    head: Head,
    bytes: Bytes,
    body: ArrivedBody,
    wire_bytes: usize,
}

impl Frame {
    /// The same frame, to be read.
    pub fn as_ref(&self) -> FrameRef<'_> {
        FrameRef {
            head: &self.head,
            bytes: &self.bytes,
            body: self.body.clone(),
            wire_bytes: self.wire_bytes,
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
        self.head.headers(&self.bytes).iter()
    }

    /// The value of the first header of that name, decoded.
    pub fn header(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        self.as_ref().header(name)
    }

    /// As [`header`](Self::header), with U+FFFD for what is not UTF-8.
    pub fn text(&self, name: &str) -> Option<Cow<'_, str>> {
        self.as_ref().text(name)
    }

    /// The body; empty where the frame has none.
    pub fn body(&self) -> &[u8] {
        match &self.body {
            ArrivedBody::None => &[],
            ArrivedBody::Behind { head_bytes } => behind(&self.bytes, *head_bytes),
            ArrivedBody::Apart(body) => body,
        }
    }

    /// The body, without a copy.
    pub fn into_body(self) -> Bytes {
        match self.body {
            ArrivedBody::None => Bytes::new(),
            ArrivedBody::Behind { .. } => self.bytes.slice_ref(self.body()),
            ArrivedBody::Apart(body) => body,
        }
    }

    /// How long the frame was on the wire, from its command to its NUL.
    pub fn wire_bytes(&self) -> usize {
        self.wire_bytes
    }
}

/// Shows no header and no body: frames carry passcodes.
impl fmt::Debug for FrameRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frame")
            .field("command", &self.head.command)
            .field("version", &self.head.version)
            .field("header_count", &self.head.ranges.len())
            .field("body_bytes", &self.body().len())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_ref().fmt(f)
    }
}
