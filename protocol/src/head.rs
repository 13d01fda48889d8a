//! A complete head: the command and where its headers stand in the bytes that arrived.

use std::borrow::Cow;

use bytes::Bytes;
use smallvec::SmallVec;

use crate::error::Reason;
use crate::foreign::quote;
use crate::{Command, Version, unescape};

/// One header as on the wire: escapes still in, line end removed, trimmed where the version trims.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// The raw name.
    pub name: &'a [u8],
    /// The raw value.
    pub value: &'a [u8],
}

/// Where a header stands, in offsets from the start of its frame.
///
/// 32 bits: the decoder clamps the limit of a header block below that.
#[derive(Copy, Clone, Debug)]
pub(crate) struct HeaderRange {
    start: u32,
    colon: u32,
    end: u32,
}

impl HeaderRange {
    pub(crate) fn new(start: usize, colon: usize, end: usize) -> Self {
        let offset = |at| {
            u32::try_from(at).expect("invariant: the decoder clamps the size of a head to 32 bits")
        };
        Self {
            start: offset(start),
            colon: offset(colon),
            end: offset(end),
        }
    }
}

/// The headers of most frames fit in without an allocation.
pub(crate) type HeaderRanges = SmallVec<[HeaderRange; 16]>;

/// How the text of a frame's headers is to be read.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// 1.0: no escapes, blanks around names and values do not count.
    Trimmed,
    /// CONNECT, STOMP and CONNECTED between peers later than 1.0: no escapes, byte-exact.
    Verbatim,
    /// Byte-exact, with the escapes of 1.1 or 1.2.
    Escaped(Version),
}

impl Encoding {
    /// Decodes raw text; `None` where it holds an undefined escape.
    fn decode(self, raw: &[u8]) -> Option<Cow<'_, [u8]>> {
        match self {
            Self::Trimmed | Self::Verbatim => Some(Cow::Borrowed(raw)),
            Self::Escaped(version) => unescape(version, raw).ok(),
        }
    }

    fn trim(self, raw: &[u8]) -> &[u8] {
        match self {
            Self::Trimmed => raw.trim_ascii(),
            Self::Verbatim | Self::Escaped(_) => raw,
        }
    }
}

/// Headers laid over the bytes of a head, complete or not.
#[derive(Copy, Clone)]
pub(crate) struct Headers<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) ranges: &'a [HeaderRange],
    pub(crate) encoding: Encoding,
}

impl<'a> Headers<'a> {
    pub(crate) fn iter(self) -> impl Iterator<Item = Header<'a>> {
        let text = move |start: usize, end: usize| {
            self.encoding
                .trim(self.bytes.get(start..end).unwrap_or_default())
        };
        self.ranges.iter().map(move |range| {
            let [start, colon, end] = [range.start, range.colon, range.end].map(|at| at as usize);
            Header {
                name: text(start, colon),
                value: text(colon + 1, end),
            }
        })
    }

    /// The first value of a header, still raw.
    pub(crate) fn raw(self, name: &[u8]) -> Option<&'a [u8]> {
        self.iter()
            .find(|header| self.is_named(header, name))
            .map(|header| header.value)
    }

    /// The first value of a header.
    pub(crate) fn decoded(self, name: &[u8]) -> Option<Cow<'a, [u8]>> {
        self.raw(name).and_then(|value| self.encoding.decode(value))
    }

    fn is_named(self, header: &Header<'a>, name: &[u8]) -> bool {
        // An escape makes a name longer, never shorter.
        let may_be =
            header.name == name || (header.name.len() > name.len() && header.name.contains(&b'\\'));
        may_be && self.encoding.decode(header.name).as_deref() == Some(name)
    }
}

/// A head whose every line is legal.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) command: Command,
    pub(crate) version: Version,
    pub(crate) encoding: Encoding,
    pub(crate) ranges: HeaderRanges,
    pub(crate) bytes: Bytes,
}

impl Head {
    pub(crate) fn headers(&self) -> Headers<'_> {
        Headers {
            bytes: &self.bytes,
            ranges: &self.ranges,
            encoding: self.encoding,
        }
    }

    /// Refuses undefined escapes, and what is left of a 1.0 name when its blanks are gone.
    pub(crate) fn check(&self) -> Result<(), Reason> {
        match self.encoding {
            Encoding::Verbatim => Ok(()),
            Encoding::Trimmed if self.headers().iter().any(|header| header.name.is_empty()) => {
                Err(Reason::EmptyHeaderName)
            }
            Encoding::Trimmed => Ok(()),
            Encoding::Escaped(version) => self.check_escapes(version),
        }
    }

    fn check_escapes(&self, version: Version) -> Result<(), Reason> {
        if memchr::memchr(b'\\', &self.bytes).is_none() {
            return Ok(());
        }
        for header in self.headers().iter() {
            for text in [header.name, header.value] {
                if let Err(undefined) = unescape(version, text) {
                    let header = quote(header.name);
                    return Err(Reason::UndefinedEscape {
                        header,
                        octet: undefined.octet,
                        version,
                    });
                }
            }
        }
        Ok(())
    }

    /// The first `content-length`. A number too large for the machine is as good as the largest.
    pub(crate) fn content_length(&self) -> Result<Option<usize>, Reason> {
        let Some(value) = self.headers().raw(b"content-length") else {
            return Ok(None);
        };
        if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
            return Err(Reason::BadContentLength {
                value: quote(value),
            });
        }
        let append = |length: usize, digit: &u8| {
            length
                .saturating_mul(10)
                .saturating_add(usize::from(digit - b'0'))
        };
        Ok(Some(value.iter().fold(0, append)))
    }

    /// Moves the head into its frame.
    pub(crate) fn take(&mut self) -> Self {
        Self {
            ranges: std::mem::take(&mut self.ranges),
            bytes: std::mem::take(&mut self.bytes),
            ..*self
        }
    }

    /// Moves the head out of the read buffer, which it would otherwise keep alive.
    pub(crate) fn detach(&mut self) {
        self.bytes = Bytes::copy_from_slice(&self.bytes);
    }
}
