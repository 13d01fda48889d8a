//! The read buffer that small frames share.
//!
//! *Invariant*: the buffer outgrows [`READ_BUFFER_BYTES`] only for a frame that needs it, and is
//! exchanged for a small one as soon as that frame has been taken out.

use bytes::buf::Limit;
use bytes::{Buf, BufMut, Bytes, BytesMut};

const READ_BUFFER_BYTES: usize = 16 << 10;

/// A read with less room than this is not worth its system call.
const ROOM_BYTES_MIN: usize = 2 << 10;

/// Bytes that have arrived and belong to no frame yet.
#[derive(Debug, Default)]
pub(super) struct Inbound {
    buffer: BytesMut,
    /// How much the buffer had to allocate. Its capacity only tells what is left of that.
    block_bytes: usize,
}

impl Inbound {
    pub(super) fn held(&self) -> &[u8] {
        &self.buffer
    }

    /// Where the next read goes: at least [`ROOM_BYTES_MIN`].
    pub(super) fn room(&mut self) -> Limit<&mut BytesMut> {
        self.make_room(ROOM_BYTES_MIN);
        let spare = self.buffer.capacity() - self.buffer.len();
        (&mut self.buffer).limit(spare)
    }

    pub(super) fn append(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        self.make_room(bytes.len());
        self.buffer.extend_from_slice(bytes);
    }

    /// Takes bytes off the front, sharing the buffer's memory. No more than are held.
    pub(super) fn take(&mut self, count: usize) -> Bytes {
        self.buffer.split_to(count).freeze()
    }

    /// Takes bytes off the front into memory of their own.
    pub(super) fn take_copy(&mut self, count: usize) -> Bytes {
        let copy = Bytes::copy_from_slice(self.held().get(..count).unwrap_or_default());
        self.buffer.advance(copy.len());
        copy
    }

    /// Drops bytes off the front. No more than are held.
    pub(super) fn skip(&mut self, count: usize) {
        self.buffer.advance(count);
    }

    /// A frame has been taken out. Leaves an oversized block, unless the copy of what is still
    /// held would cost more than the frame did.
    pub(super) fn settle(&mut self, frame_bytes: usize) {
        if self.block_bytes > READ_BUFFER_BYTES && self.buffer.len() <= frame_bytes {
            if self.buffer.is_empty() {
                self.clear();
            } else {
                self.move_to_block(READ_BUFFER_BYTES.max(self.buffer.len()));
            }
        }
    }

    pub(super) fn release_if_empty(&mut self) {
        if self.buffer.is_empty() {
            self.clear();
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Not `BytesMut::reserve`: that may double a block which holds less than half of it.
    fn make_room(&mut self, additional: usize) {
        let held = self.buffer.len();
        if self.buffer.capacity() - held >= additional || self.buffer.try_reclaim(additional) {
            return;
        }
        // Doubling: what is copied over all moves stays below what has arrived.
        let wanted = held.saturating_add(additional.max(held));
        self.move_to_block(wanted.max(READ_BUFFER_BYTES));
    }

    fn move_to_block(&mut self, block_bytes: usize) {
        let mut block = BytesMut::with_capacity(block_bytes);
        block.extend_from_slice(&self.buffer);
        *self = Self {
            buffer: block,
            block_bytes,
        };
    }
}
