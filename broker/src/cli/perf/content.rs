//! What the body of a load message says about itself: enough to find it lost, doubled or out of order at the far end.
//!
//! ```text
//! 0      4     8          12         20        28
//! | mark | run | producer | sequence | sent ns | x x x ...
//! ```

/// The first bytes of each body, so that what somebody else sent is recognised.
const MARK: [u8; 4] = *b"perf";

/// Bytes that a stamp takes: the smallest body.
pub(super) const STAMP_BYTES: usize = 28;

/// Sequence numbers stay below: a receiver keeps a bit for each.
pub(super) const SEQUENCE_END: u64 = 1 << 32;

/// One load, told apart from all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct RunId(pub(super) u32);

/// Who counts a sequence: a producer of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct SourceId {
    /// The run it belongs to.
    pub(super) run: RunId,
    /// Its index in the run.
    pub(super) producer: u32,
}

/// What a body says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    /// Who sent it.
    pub(super) source: SourceId,
    /// Its place among those of its source, from 0.
    pub(super) sequence: u64,
    /// When it was sent, or should have been, on the clock of its run.
    pub(super) sent_ns: u64,
}

impl Stamp {
    /// Writes the stamp over the first bytes of a body, which must be long enough.
    pub(super) fn write(&self, body: &mut [u8]) {
        body[..4].copy_from_slice(&MARK);
        body[4..8].copy_from_slice(&self.source.run.0.to_le_bytes());
        body[8..12].copy_from_slice(&self.source.producer.to_le_bytes());
        body[12..20].copy_from_slice(&self.sequence.to_le_bytes());
        body[20..28].copy_from_slice(&self.sent_ns.to_le_bytes());
    }

    /// Reads the stamp of a body; [`None`] when nothing of ours wrote it.
    pub(super) fn read(body: &[u8]) -> Option<Stamp> {
        let (mark, rest) = body.split_first_chunk::<4>()?;
        let (run, rest) = rest.split_first_chunk::<4>()?;
        let (producer, rest) = rest.split_first_chunk::<4>()?;
        let (sequence, rest) = rest.split_first_chunk::<8>()?;
        let (sent_ns, _) = rest.split_first_chunk::<8>()?;
        let sequence = u64::from_le_bytes(*sequence);
        (*mark == MARK && sequence < SEQUENCE_END).then(|| Stamp {
            source: SourceId {
                run: RunId(u32::from_le_bytes(*run)),
                producer: u32::from_le_bytes(*producer),
            },
            sequence,
            sent_ns: u64::from_le_bytes(*sent_ns),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(sequence: u64) -> Stamp {
        let source = SourceId {
            run: RunId(7),
            producer: 3,
        };
        Stamp {
            source,
            sequence,
            sent_ns: 11,
        }
    }

    #[test]
    fn a_stamp_is_read_back_from_a_body_that_holds_it() {
        let mut body = [b'x'; 32];
        stamp(9).write(&mut body);
        assert_eq!(Stamp::read(&body), Some(stamp(9)));
        assert_eq!(Stamp::read(&body[..STAMP_BYTES]), Some(stamp(9)));
        assert_eq!(Stamp::read(&body[..STAMP_BYTES - 1]), None);
    }

    #[test]
    fn what_somebody_else_sent_has_no_stamp() {
        assert_eq!(Stamp::read(b""), None);
        assert_eq!(Stamp::read(&[b'x'; 64]), None);
        let mut body = [b'x'; 32];
        stamp(SEQUENCE_END).write(&mut body);
        assert_eq!(Stamp::read(&body), None);
    }
}
