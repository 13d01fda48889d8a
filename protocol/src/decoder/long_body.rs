//! A long body of declared length, in memory of its own.
//!
//! *Invariants*
//! - The allocation is at most 64 KiB or twice what has arrived, whatever length was declared.
//! - No byte behind the body's NUL lands in it.
//! - In its last step it is exactly as large as the body and its NUL, and becomes the frame's body
//!   as it is. A byte is moved at most once on average while it grows.

use bytes::buf::Limit;
use bytes::{BufMut, Bytes, BytesMut};

use crate::error::Reason;

/// The first allocation, unless the body is shorter.
const FIRST_STEP_BYTES: usize = 64 << 10;

#[derive(Debug)]
pub(crate) struct LongBody {
    bytes: BytesMut,
    /// The declared length; one more octet, the NUL, is read with the body.
    body_bytes: usize,
}

impl LongBody {
    pub(super) fn new(body_bytes: usize) -> Self {
        Self {
            bytes: BytesMut::new(),
            body_bytes,
        }
    }

    /// What is still to come, the NUL included.
    pub(super) fn missing_bytes(&self) -> usize {
        self.body_bytes.saturating_add(1) - self.bytes.len()
    }

    pub(super) fn own_bytes(&self) -> usize {
        self.bytes.capacity()
    }

    /// Where the next read goes. Not empty while anything is missing.
    pub(super) fn room(&mut self) -> Limit<&mut BytesMut> {
        if self.bytes.capacity() == self.bytes.len() {
            self.grow(1);
        }
        let spare = self.bytes.capacity() - self.bytes.len();
        let missing = self.missing_bytes();
        (&mut self.bytes).limit(spare.min(missing))
    }

    /// Takes what belongs to the body; returns the rest.
    pub(super) fn append<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let (ours, rest) = bytes.split_at(bytes.len().min(self.missing_bytes()));
        if self.bytes.capacity() - self.bytes.len() < ours.len() {
            self.grow(ours.len());
        }
        self.bytes.extend_from_slice(ours);
        rest
    }

    /// The body, once nothing is missing.
    pub(super) fn finish(&mut self) -> Result<Bytes, Reason> {
        let mut bytes = std::mem::take(&mut self.bytes);
        if bytes.last() != Some(&0) {
            return Err(Reason::BodyNotTerminated {
                body_bytes: self.body_bytes,
            });
        }
        bytes.truncate(self.body_bytes);
        Ok(bytes.freeze())
    }

    /// A new allocation rather than a longer one: `reserve` may overshoot the end by half.
    fn grow(&mut self, additional: usize) {
        let arrived = self.bytes.len();
        let wanted = FIRST_STEP_BYTES.max(arrived.saturating_add(additional.max(arrived)));
        let block_bytes = wanted.min(self.body_bytes.saturating_add(1));
        let mut block = BytesMut::with_capacity(block_bytes);
        block.extend_from_slice(&self.bytes);
        self.bytes = block;
    }
}
