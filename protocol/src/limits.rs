//! Limits on what a peer may send, each checked while the frame is still arriving.

use crate::error::Reason;

/// How much of anything one frame may have. Sizes are in bytes on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The command line, without its line end.
    pub command_bytes_max: usize,
    /// One header line, without its LF.
    pub header_line_bytes_max: usize,
    /// Header lines in a frame.
    pub header_count_max: usize,
    /// All header lines of a frame together.
    pub header_block_bytes_max: usize,
    /// The body, kept or skipped.
    pub body_bytes_max: usize,
    /// Everything that a decoder takes before [`Decoder::authenticated`](crate::Decoder).
    pub unauthenticated_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            command_bytes_max: 32,
            header_line_bytes_max: 10 << 10,
            header_count_max: 1_000,
            header_block_bytes_max: 1 << 20,
            body_bytes_max: 100 << 20,
            unauthenticated_bytes_max: 64 << 10,
        }
    }
}

/// Names one of the [`Limits`].
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Limit {
    /// [`Limits::command_bytes_max`]
    CommandBytes,
    /// [`Limits::header_line_bytes_max`]
    HeaderLineBytes,
    /// [`Limits::header_count_max`]
    HeaderCount,
    /// [`Limits::header_block_bytes_max`]
    HeaderBlockBytes,
    /// [`Limits::body_bytes_max`]
    BodyBytes,
    /// [`Limits::unauthenticated_bytes_max`]
    UnauthenticatedBytes,
}

impl Limit {
    /// The key of the limit in the configuration.
    pub const fn config_key(self) -> &'static str {
        match self {
            Self::CommandBytes => "limits.command_bytes",
            Self::HeaderLineBytes => "limits.header_line_bytes",
            Self::HeaderCount => "limits.headers",
            Self::HeaderBlockBytes => "limits.header_block_bytes",
            Self::BodyBytes => "limits.body_bytes",
            Self::UnauthenticatedBytes => "limits.unauthenticated_bytes",
        }
    }

    pub(crate) const fn summary(self) -> &'static str {
        match self {
            Self::CommandBytes => "command too long",
            Self::HeaderLineBytes => "header line too long",
            Self::HeaderCount => "too many headers",
            Self::HeaderBlockBytes => "headers too long",
            Self::BodyBytes => "body too long",
            Self::UnauthenticatedBytes => "too many bytes before login",
        }
    }
}

impl Limits {
    const fn value(&self, limit: Limit) -> usize {
        match limit {
            Limit::CommandBytes => self.command_bytes_max,
            Limit::HeaderLineBytes => self.header_line_bytes_max,
            Limit::HeaderCount => self.header_count_max,
            Limit::HeaderBlockBytes => self.header_block_bytes_max,
            Limit::BodyBytes => self.body_bytes_max,
            Limit::UnauthenticatedBytes => self.unauthenticated_bytes_max,
        }
    }
}

/// The limits as they stand for one frame: how far it may reach, in offsets from its start.
///
/// Where several limits have been passed, the one that ends first is named. Otherwise the answer
/// would depend on how much happened to arrive in one read.
#[derive(Copy, Clone)]
pub(crate) struct Ceilings<'a> {
    pub(crate) limits: &'a Limits,
    /// Bytes left before login; `None` once logged in.
    pub(crate) login_left: Option<usize>,
}

impl Ceilings<'_> {
    pub(crate) fn command_line(self, end: usize) -> Result<(), Reason> {
        self.check(end, [(0, Limit::CommandBytes)])
    }

    pub(crate) fn header_line(
        self,
        block_start: usize,
        line_start: usize,
        end: usize,
    ) -> Result<(), Reason> {
        let limits = [
            (line_start, Limit::HeaderLineBytes),
            (block_start, Limit::HeaderBlockBytes),
        ];
        self.check(end, limits)
    }

    /// Where the last line of a head must have ended, by all limits but that of a line.
    pub(crate) fn head_end(self, block_start: usize) -> usize {
        let block_end = self.ceiling((block_start, Limit::HeaderBlockBytes));
        self.login_left
            .map_or(block_end, |left| left.min(block_end))
    }

    pub(crate) fn header_count(self, count: usize) -> Result<(), Reason> {
        if count <= self.limits.header_count_max {
            return Ok(());
        }
        Err(self.over(Limit::HeaderCount))
    }

    pub(crate) fn body(self, body_start: usize, end: usize) -> Result<(), Reason> {
        self.check(end, [(body_start, Limit::BodyBytes)])
    }

    pub(crate) fn heart_beats(self, end: usize) -> Result<(), Reason> {
        self.check(end, [])
    }

    /// `spans`: where what a limit measures starts, and that limit.
    #[inline]
    fn check<const N: usize>(self, end: usize, spans: [(usize, Limit); N]) -> Result<(), Reason> {
        let is_over = self.login_left.is_some_and(|left| end > left)
            || spans.iter().any(|span| end > self.ceiling(*span));
        if is_over {
            return Err(self.over(self.lowest(spans)));
        }
        Ok(())
    }

    fn ceiling(self, (start, limit): (usize, Limit)) -> usize {
        start.saturating_add(self.limits.value(limit))
    }

    #[cold]
    fn lowest<const N: usize>(self, spans: [(usize, Limit); N]) -> Limit {
        let login = self
            .login_left
            .map(|left| (left, Limit::UnauthenticatedBytes));
        spans
            .into_iter()
            .map(|span| (self.ceiling(span), span.1))
            .chain(login)
            .min_by_key(|&(ceiling, _)| ceiling)
            .map_or(Limit::UnauthenticatedBytes, |(_, limit)| limit)
    }

    fn over(self, limit: Limit) -> Reason {
        Reason::OverLimit {
            limit,
            max: self.limits.value(limit),
        }
    }
}
