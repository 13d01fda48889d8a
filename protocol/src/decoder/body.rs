//! A body that is arriving, by the ways in which one may.

use bytes::Bytes;
use memchr::memchr;

use super::SHORT_BODY_BYTES_MAX;
use super::inbound::Inbound;
use super::long_body::LongBody;
use crate::Version;
use crate::command::{BodyRule, Command};
use crate::error::{DecodeError, Reason};
use crate::head::Head;
use crate::limits::Ceilings;

/// How the rest of a frame is read. Until it is all there, a frame stays in the read buffer, its
/// head in front, unless its body is long or is read over.
#[derive(Debug)]
pub(super) enum Body {
    /// There must be none: the NUL comes next.
    Forbidden { head_bytes: usize },
    /// Of declared length, short.
    Short {
        head_bytes: usize,
        body_bytes: usize,
    },
    /// Ends at the first NUL. `scanned` bytes of the frame are known not to be that.
    Open { head_bytes: usize, scanned: usize },
    /// Of declared length, long.
    Long { head: Bytes, long: LongBody },
    /// Of declared length, `left` of it still to be read over.
    SkippedSized {
        head: Bytes,
        body_bytes: usize,
        left: usize,
    },
    /// Read over up to the first NUL.
    SkippedOpen { head: Bytes, skipped: usize },
}

/// A whole frame, which has been taken out of the read buffer.
pub(crate) struct Arrived {
    /// Its head, where that has memory of its own. Otherwise it is what was taken last.
    pub(crate) head: Option<Bytes>,
    pub(crate) body: ArrivedBody,
    /// From the command to the NUL, both included.
    pub(crate) wire_bytes: usize,
}

/// Where a body is.
#[derive(Clone, Debug)]
pub(crate) enum ArrivedBody {
    /// There is none.
    None,
    /// Behind the head, up to the last octet but one.
    Behind { head_bytes: usize },
    /// In memory of its own.
    Apart(Bytes),
}

impl Body {
    /// Decides on the head how the body is to be read.
    pub(super) fn begin(
        head: &Head,
        head_bytes: usize,
        inbound: &mut Inbound,
        ceilings: Ceilings<'_>,
    ) -> Result<Self, Reason> {
        let bytes = inbound.held().get(..head_bytes).unwrap_or_default();
        let declared = head.content_length(bytes)?;
        if let Some(body_bytes) = declared {
            ceilings.body(head_bytes, head_bytes.saturating_add(body_bytes))?;
        }
        match (rule(head.command, head.version), declared) {
            (BodyRule::Refused, None | Some(0)) => Ok(Self::Forbidden { head_bytes }),
            (BodyRule::Refused, Some(_)) => Err(Reason::UnexpectedBody {
                command: head.command,
            }),
            // Nothing to skip, as nearly always.
            (BodyRule::Skipped, None | Some(0)) if inbound.held().get(head_bytes) == Some(&0) => {
                Ok(Self::Forbidden { head_bytes })
            }
            (BodyRule::Skipped, None) => Ok(Self::SkippedOpen {
                head: inbound.take_copy(head_bytes),
                skipped: 0,
            }),
            (BodyRule::Skipped, Some(body_bytes)) => Ok(Self::SkippedSized {
                head: inbound.take_copy(head_bytes),
                body_bytes,
                left: body_bytes,
            }),
            (BodyRule::Kept, None) => Ok(Self::Open {
                head_bytes,
                scanned: head_bytes,
            }),
            (BodyRule::Kept, Some(body_bytes)) if body_bytes <= SHORT_BODY_BYTES_MAX => {
                Ok(Self::Short {
                    head_bytes,
                    body_bytes,
                })
            }
            (BodyRule::Kept, Some(body_bytes)) => {
                let head = inbound.take_copy(head_bytes);
                let mut long = LongBody::new(body_bytes);
                let rest_bytes = long.append(inbound.held()).len();
                inbound.take(inbound.held().len() - rest_bytes);
                Ok(Self::Long { head, long })
            }
        }
    }

    /// Takes what has arrived. The whole frame once its NUL is there.
    pub(super) fn advance(
        &mut self,
        head: &Head,
        inbound: &mut Inbound,
        ceilings: Ceilings<'_>,
    ) -> Result<Option<Arrived>, DecodeError> {
        self.look(head, inbound, ceilings).map_err(|reason| {
            let bytes = match self {
                Self::Forbidden { .. } | Self::Short { .. } | Self::Open { .. } => inbound.held(),
                Self::Long { head, .. }
                | Self::SkippedSized { head, .. }
                | Self::SkippedOpen { head, .. } => head,
            };
            head.error(bytes, reason)
        })
    }

    fn look(
        &mut self,
        head: &Head,
        inbound: &mut Inbound,
        ceilings: Ceilings<'_>,
    ) -> Result<Option<Arrived>, Reason> {
        match self {
            Self::Forbidden { head_bytes } => {
                let command = head.command;
                let not_nul = || Reason::UnexpectedBody { command };
                behind(inbound, *head_bytes, 0, not_nul)
            }
            Self::Short {
                head_bytes,
                body_bytes,
            } => {
                let body_bytes = *body_bytes;
                let not_nul = || Reason::BodyNotTerminated { body_bytes };
                behind(inbound, *head_bytes, body_bytes, not_nul)
            }
            Self::Open {
                head_bytes,
                scanned,
            } => open(*head_bytes, scanned, inbound, ceilings),
            Self::Long { long, .. } if long.missing_bytes() > 0 => Ok(None),
            Self::Long { head, long } => {
                let body = long.finish()?;
                let wire_bytes = head.len() + body.len() + 1;
                Ok(Some(Arrived {
                    head: Some(std::mem::take(head)),
                    body: ArrivedBody::Apart(body),
                    wire_bytes,
                }))
            }
            Self::SkippedSized {
                head,
                body_bytes,
                left,
            } => {
                let skipped = inbound.held().len().min(*left);
                inbound.take(skipped);
                *left -= skipped;
                if *left > 0 {
                    return Ok(None);
                }
                let body_bytes = *body_bytes;
                match inbound.held().first() {
                    None => Ok(None),
                    Some(0) => Ok(Some(skipped_to_nul(head, body_bytes, inbound))),
                    Some(_) => Err(Reason::BodyNotTerminated { body_bytes }),
                }
            }
            Self::SkippedOpen { head, skipped } => skip_open(head, skipped, inbound, ceilings),
        }
    }

    /// Memory that the frame occupies outside of the read buffer.
    pub(super) fn own_bytes(&self) -> usize {
        match self {
            Self::Long { head, long } => head.len() + long.own_bytes(),
            Self::SkippedSized { head, .. } | Self::SkippedOpen { head, .. } => head.len(),
            Self::Forbidden { .. } | Self::Short { .. } | Self::Open { .. } => 0,
        }
    }
}

/// Only SEND, MESSAGE and ERROR have bodies (STOMP 1.1 §Body). STOMP 1.0 lets any frame have one,
/// and CONNECT is sent before anyone knows the version.
fn rule(command: Command, version: Version) -> BodyRule {
    if command.carries_body() {
        BodyRule::Kept
    } else if command.is_handshake() || command == Command::Receipt || version == Version::V1_0 {
        BodyRule::Skipped
    } else {
        BodyRule::Refused
    }
}

/// A frame in the read buffer whose NUL stands behind `body_bytes`.
fn behind(
    inbound: &mut Inbound,
    head_bytes: usize,
    body_bytes: usize,
    not_nul: impl FnOnce() -> Reason,
) -> Result<Option<Arrived>, Reason> {
    let end = head_bytes + body_bytes;
    match inbound.held().get(end) {
        None => Ok(None),
        Some(0) => Ok(Some(within(inbound, head_bytes, end))),
        Some(_) => Err(not_nul()),
    }
}

/// Takes a frame that ends in the read buffer.
fn within(inbound: &mut Inbound, head_bytes: usize, end: usize) -> Arrived {
    inbound.take(end + 1);
    Arrived {
        head: None,
        body: ArrivedBody::Behind { head_bytes },
        wire_bytes: end + 1,
    }
}

fn open(
    head_bytes: usize,
    scanned: &mut usize,
    inbound: &mut Inbound,
    ceilings: Ceilings<'_>,
) -> Result<Option<Arrived>, Reason> {
    let held = inbound.held();
    let unseen = held.get(*scanned..).unwrap_or_default();
    let nul = memchr(0, unseen).map(|at| *scanned + at);
    let end = nul.unwrap_or(held.len());
    ceilings.body(head_bytes, end)?;
    if nul.is_none() {
        *scanned = end;
        return Ok(None);
    }
    if end - head_bytes <= SHORT_BODY_BYTES_MAX {
        return Ok(Some(within(inbound, head_bytes, end)));
    }
    let head = inbound.take_copy(head_bytes);
    let body = inbound.take_copy(end - head_bytes);
    inbound.take(1);
    Ok(Some(Arrived {
        head: Some(head),
        body: ArrivedBody::Apart(body),
        wire_bytes: end + 1,
    }))
}

fn skip_open(
    head: &mut Bytes,
    skipped: &mut usize,
    inbound: &mut Inbound,
    ceilings: Ceilings<'_>,
) -> Result<Option<Arrived>, Reason> {
    let held = inbound.held();
    let nul = memchr(0, held);
    let more = nul.unwrap_or(held.len());
    *skipped += more;
    ceilings.body(head.len(), head.len() + *skipped)?;
    inbound.take(more);
    Ok(nul.map(|_| skipped_to_nul(head, *skipped, inbound)))
}

/// A frame whose body has been read over; its NUL comes next.
fn skipped_to_nul(head: &mut Bytes, body_bytes: usize, inbound: &mut Inbound) -> Arrived {
    inbound.take(1);
    Arrived {
        wire_bytes: head.len() + body_bytes + 1,
        head: Some(std::mem::take(head)),
        body: ArrivedBody::None,
    }
}
