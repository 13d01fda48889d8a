//! A complete head: the command and where its headers stand in the bytes that arrived.

use std::borrow::Cow;
use std::num::NonZeroU32;

use smallvec::SmallVec;

use crate::error::{DecodeError, Reason};
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

/// Where a header stands, in offsets from the start of its frame. It begins where the line before
/// it ends.
///
/// 32 bits: the decoder clamps the limit of a header block below that.
#[derive(Copy, Clone, Debug)]
pub(crate) struct HeaderRange {
    colon: u32,
    end: u32,
}

impl HeaderRange {
    pub(crate) fn new(colon: usize, end: usize) -> Self {
        Self {
            colon: offset(colon),
            end: offset(end),
        }
    }
}

fn offset(at: usize) -> u32 {
    u32::try_from(at).expect("invariant: the decoder clamps the size of a head to 32 bits")
}

/// Room for more headers than this is not kept for the next frame.
const KEPT_RANGES_MAX: usize = 64;

/// The headers of a head. Those of most frames fit in without an allocation.
#[derive(Clone, Debug)]
pub(crate) struct HeaderRanges {
    /// Where the first header begins: behind the command line.
    block_start: u32,
    ranges: SmallVec<[HeaderRange; 11]>,
    marked: Marked,
}

/// The headers that every frame is asked for, the first of each name as it stands on the wire: their places, from 1.
#[derive(Copy, Clone, Debug, Default)]
struct Marked {
    content_length: Option<NonZeroU32>,
    receipt: Option<NonZeroU32>,
}

impl HeaderRanges {
    /// `name`: as it stands on the wire.
    pub(crate) fn push(&mut self, name: &[u8], range: HeaderRange) {
        self.ranges.push(range);
        let mark = match name {
            b"content-length" => &mut self.marked.content_length,
            b"receipt" => &mut self.marked.receipt,
            _ => return,
        };
        if mark.is_none() {
            // There are fewer than a head has bytes.
            *mark = u32::try_from(self.ranges.len())
                .ok()
                .and_then(NonZeroU32::new);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.ranges.len()
    }
}

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
    pub(crate) ranges: &'a HeaderRanges,
    pub(crate) encoding: Encoding,
    /// Whether any of them may hold an escape.
    pub(crate) has_escapes: bool,
}

impl<'a> Headers<'a> {
    pub(crate) fn iter(self) -> impl Iterator<Item = Header<'a>> {
        let text = move |start: usize, end: usize| {
            self.encoding
                .trim(self.bytes.get(start..end).unwrap_or_default())
        };
        let mut start = self.ranges.block_start as usize;
        self.ranges.ranges.iter().map(move |range| {
            let [colon, end] = [range.colon, range.end].map(|at| at as usize);
            let header = Header {
                name: text(start, colon),
                value: text(colon + 1, end),
            };
            // A CR at the end of a value was cut off with its LF.
            let cr_bytes = usize::from(self.bytes.get(end) == Some(&b'\r'));
            start = end + cr_bytes + 1;
            header
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

    /// The first `receipt`, decoded.
    pub(crate) fn receipt(self) -> Option<Cow<'a, [u8]>> {
        let value = self.marked(self.ranges.marked.receipt, b"receipt");
        value.and_then(|value| self.encoding.decode(value))
    }

    /// The first `content-length`, still raw.
    fn content_length(self) -> Option<&'a [u8]> {
        self.marked(self.ranges.marked.content_length, b"content-length")
    }

    /// A value that was marked. A name without what is ever escaped is the same in all encodings but the one that trims.
    fn marked(self, mark: Option<NonZeroU32>, name: &[u8]) -> Option<&'a [u8]> {
        if self.encoding == Encoding::Trimmed {
            return self.raw(name);
        }
        let range = self.ranges.ranges.get(mark?.get() as usize - 1)?;
        self.bytes.get(range.colon as usize + 1..range.end as usize)
    }

    fn is_named(self, header: &Header<'a>, name: &[u8]) -> bool {
        if self.has_escapes {
            self.encoding.decode(header.name).as_deref() == Some(name)
        } else {
            header.name == name
        }
    }
}

/// A head whose every line is legal.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) command: Command,
    pub(crate) version: Version,
    pub(crate) encoding: Encoding,
    pub(crate) has_escapes: bool,
    pub(crate) ranges: HeaderRanges,
}

impl Head {
    /// A head without headers.
    pub(crate) fn new(command: Command) -> Self {
        Self {
            command,
            version: Version::V1_0,
            encoding: Encoding::Verbatim,
            has_escapes: false,
            ranges: HeaderRanges {
                block_start: 0,
                ranges: SmallVec::new(),
                marked: Marked::default(),
            },
        }
    }

    /// Becomes the head of another frame, whose first header begins at `block_start`.
    pub(crate) fn begin(&mut self, command: Command, block_start: usize) {
        self.command = command;
        self.has_escapes = false;
        self.ranges.block_start = offset(block_start);
        self.ranges.marked = Marked::default();
        self.ranges.ranges.clear();
        if self.ranges.ranges.capacity() > KEPT_RANGES_MAX {
            self.ranges.ranges = SmallVec::new();
        }
    }

    /// `bytes`: from the command on, at least to the blank line.
    pub(crate) fn headers<'a>(&'a self, bytes: &'a [u8]) -> Headers<'a> {
        Headers {
            bytes,
            ranges: &self.ranges,
            encoding: self.encoding,
            has_escapes: self.has_escapes,
        }
    }

    /// An error in the frame, with the receipt that it asks for.
    pub(crate) fn error(&self, bytes: &[u8], reason: Reason) -> DecodeError {
        let receipt = self.headers(bytes).receipt();
        DecodeError::new(reason, receipt.map(Into::into))
    }

    /// Refuses undefined escapes, and what is left of a 1.0 name when its blanks are gone.
    pub(crate) fn check(&mut self, bytes: &[u8]) -> Result<(), Reason> {
        match self.encoding {
            Encoding::Verbatim => Ok(()),
            Encoding::Trimmed
                if self
                    .headers(bytes)
                    .iter()
                    .any(|header| header.name.is_empty()) =>
            {
                Err(Reason::EmptyHeaderName)
            }
            Encoding::Trimmed => Ok(()),
            Encoding::Escaped(version) => {
                self.has_escapes = memchr::memchr(b'\\', bytes).is_some();
                if self.has_escapes {
                    self.check_escapes(bytes, version)?;
                }
                Ok(())
            }
        }
    }

    fn check_escapes(&self, bytes: &[u8], version: Version) -> Result<(), Reason> {
        for header in self.headers(bytes).iter() {
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
    pub(crate) fn content_length(&self, bytes: &[u8]) -> Result<Option<usize>, Reason> {
        let Some(value) = self.headers(bytes).content_length() else {
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
}
