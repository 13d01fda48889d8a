//! A body that is arriving, by the five ways in which one may.

use bytes::Bytes;
use memchr::memchr;

use super::SHORT_BODY_BYTES_MAX;
use super::inbound::Inbound;
use super::long_body::LongBody;
use crate::Version;
use crate::command::{BodyRule, Command};
use crate::error::Reason;
use crate::head::Head;
use crate::limits::Ceilings;

/// How the rest of a frame is read.
#[derive(Debug)]
pub(super) enum Body {
    /// There must be none: the NUL comes next.
    Forbidden,
    /// Of declared length, short: waits in the read buffer until it is complete.
    Short { body_bytes: usize },
    /// Of declared length, long.
    Long(LongBody),
    /// Ends at the first NUL. `scanned` bytes of it hold none.
    Open { scanned: usize },
    /// Of declared length, `left` of it still to be read over.
    SkippedSized { body_bytes: usize, left: usize },
    /// Read over up to the first NUL.
    SkippedOpen { skipped: usize },
}

/// The end of a frame.
pub(super) struct Arrived {
    pub(super) bytes: Bytes,
    /// What stood behind the head, the NUL included.
    pub(super) wire_bytes: usize,
}

impl Body {
    /// Decides on the head how the body is to be read.
    pub(super) fn begin(
        head: &mut Head,
        inbound: &mut Inbound,
        ceilings: Ceilings<'_>,
    ) -> Result<Self, Reason> {
        head.check()?;
        let declared = head.content_length()?;
        if let Some(body_bytes) = declared {
            let head_bytes = head.bytes.len();
            ceilings.body(head_bytes, head_bytes.saturating_add(body_bytes))?;
        }
        match (rule(head.command, head.version), declared) {
            (BodyRule::Refused, None | Some(0)) => Ok(Self::Forbidden),
            (BodyRule::Refused, Some(_)) => Err(Reason::UnexpectedBody {
                command: head.command,
            }),
            (BodyRule::Skipped, None) => Ok(Self::SkippedOpen { skipped: 0 }),
            (BodyRule::Skipped, Some(body_bytes)) => Ok(Self::SkippedSized {
                body_bytes,
                left: body_bytes,
            }),
            (BodyRule::Kept, None) => Ok(Self::Open { scanned: 0 }),
            (BodyRule::Kept, Some(body_bytes)) if body_bytes <= SHORT_BODY_BYTES_MAX => {
                Ok(Self::Short { body_bytes })
            }
            (BodyRule::Kept, Some(body_bytes)) => {
                head.detach();
                let mut long = LongBody::new(body_bytes);
                let rest_bytes = long.append(inbound.held()).len();
                inbound.skip(inbound.held().len() - rest_bytes);
                Ok(Self::Long(long))
            }
        }
    }

    /// Takes what has arrived. The end of the frame once its NUL is there.
    pub(super) fn advance(
        &mut self,
        head: &Head,
        inbound: &mut Inbound,
        ceilings: Ceilings<'_>,
    ) -> Result<Option<Arrived>, Reason> {
        match self {
            Self::Forbidden => {
                let not_nul = Reason::UnexpectedBody {
                    command: head.command,
                };
                end_at_nul(inbound, 0, not_nul, |_| Bytes::new())
            }
            Self::Short { body_bytes } => {
                let body_bytes = *body_bytes;
                let not_nul = Reason::BodyNotTerminated { body_bytes };
                end_at_nul(inbound, body_bytes, not_nul, |inbound| {
                    inbound.take(body_bytes)
                })
            }
            Self::Long(long) if long.missing_bytes() > 0 => Ok(None),
            Self::Long(long) => {
                let bytes = long.finish()?;
                let wire_bytes = bytes.len() + 1;
                Ok(Some(Arrived { bytes, wire_bytes }))
            }
            Self::Open { scanned } => open(scanned, head, inbound, ceilings),
            Self::SkippedSized { body_bytes, left } => {
                let skipped = inbound.held().len().min(*left);
                inbound.skip(skipped);
                *left -= skipped;
                if *left > 0 {
                    return Ok(None);
                }
                let body_bytes = *body_bytes;
                let not_nul = Reason::BodyNotTerminated { body_bytes };
                let end = end_at_nul(inbound, 0, not_nul, |_| Bytes::new())?;
                Ok(end.map(|end| Arrived {
                    wire_bytes: body_bytes + 1,
                    ..end
                }))
            }
            Self::SkippedOpen { skipped } => skip_open(skipped, head, inbound, ceilings),
        }
    }

    /// Memory that the body occupies outside of the read buffer.
    pub(super) fn own_bytes(&self) -> usize {
        match self {
            Self::Long(long) => long.own_bytes(),
            Self::Forbidden
            | Self::Short { .. }
            | Self::Open { .. }
            | Self::SkippedSized { .. }
            | Self::SkippedOpen { .. } => 0,
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

/// Ends a frame whose NUL stands behind `body_bytes`, all of them still in the read buffer.
fn end_at_nul(
    inbound: &mut Inbound,
    body_bytes: usize,
    not_nul: Reason,
    take: impl FnOnce(&mut Inbound) -> Bytes,
) -> Result<Option<Arrived>, Reason> {
    match inbound.held().get(body_bytes) {
        None => Ok(None),
        Some(0) => {
            let bytes = take(inbound);
            inbound.skip(1);
            Ok(Some(Arrived {
                bytes,
                wire_bytes: body_bytes + 1,
            }))
        }
        Some(_) => Err(not_nul),
    }
}

fn open(
    scanned: &mut usize,
    head: &Head,
    inbound: &mut Inbound,
    ceilings: Ceilings<'_>,
) -> Result<Option<Arrived>, Reason> {
    let held = inbound.held();
    let unseen = held.get(*scanned..).unwrap_or_default();
    let nul = memchr(0, unseen).map(|at| *scanned + at);
    let body_bytes = nul.unwrap_or(held.len());
    let head_bytes = head.bytes.len();
    ceilings.body(head_bytes, head_bytes + body_bytes)?;
    if nul.is_none() {
        *scanned = body_bytes;
        return Ok(None);
    }
    // A long one would keep a block alive that is up to twice its size and shared with others.
    let bytes = match body_bytes {
        0 => Bytes::new(),
        1..=SHORT_BODY_BYTES_MAX => inbound.take(body_bytes),
        _ => inbound.take_copy(body_bytes),
    };
    inbound.skip(1);
    Ok(Some(Arrived {
        bytes,
        wire_bytes: body_bytes + 1,
    }))
}

fn skip_open(
    skipped: &mut usize,
    head: &Head,
    inbound: &mut Inbound,
    ceilings: Ceilings<'_>,
) -> Result<Option<Arrived>, Reason> {
    let held = inbound.held();
    let nul = memchr(0, held);
    let more = nul.unwrap_or(held.len());
    *skipped += more;
    let head_bytes = head.bytes.len();
    ceilings.body(head_bytes, head_bytes + *skipped)?;
    inbound.skip(more);
    if nul.is_none() {
        return Ok(None);
    }
    inbound.skip(1);
    Ok(Some(Arrived {
        bytes: Bytes::new(),
        wire_bytes: *skipped + 1,
    }))
}
