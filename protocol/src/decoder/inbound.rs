//! The read buffer: bytes that have arrived and belong to no frame yet, behind those that do.
//!
//! *Invariant*: the buffer outgrows [`BUSY_BYTES`] only for a frame that needs it, and is exchanged
//! for a small one when that frame has been taken.

use bytes::buf::Limit;
use bytes::{BufMut, Bytes, BytesMut};

/// The first buffer, and that of a peer that sends little at a time: thousands may say CONNECT and SUBSCRIBE within
/// the second that it takes until idle buffers are given back.
const CALM_BYTES: usize = 1 << 10;

/// The buffer of a peer that has filled its first one.
const BRISK_BYTES: usize = 16 << 10;

/// The buffer of a peer that has filled that, too: fewer, longer reads.
const BUSY_BYTES: usize = 32 << 10;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Inbound {
    /// Taken bytes up to `start`, held ones behind.
    buffer: BytesMut,
    start: usize,
}

impl Inbound {
    /// What belongs to no frame yet.
    pub(super) fn held(&self) -> &[u8] {
        self.buffer.get(self.start..).unwrap_or_default()
    }

    /// Takes bytes off the front. No more than are held. They stay readable as
    /// [`taken`](Self::taken) until something is changed.
    pub(super) fn take(&mut self, count: usize) {
        self.start = (self.start + count).min(self.buffer.len());
    }

    /// The last bytes taken.
    pub(super) fn taken(&self, count: usize) -> &[u8] {
        let from = self.start.saturating_sub(count);
        self.buffer.get(from..self.start).unwrap_or_default()
    }

    /// Takes bytes off the front into memory of their own.
    pub(super) fn take_copy(&mut self, count: usize) -> Bytes {
        let copy = Bytes::copy_from_slice(self.held().get(..count).unwrap_or_default());
        self.take(copy.len());
        copy
    }

    /// Where the next read goes: a half of the buffer or more. With less room it is not worth its
    /// system call.
    pub(super) fn room(&mut self) -> Limit<&mut BytesMut> {
        let capacity = self.buffer.capacity();
        let is_filled = capacity > 0 && capacity == self.buffer.len();
        if is_filled && capacity < BUSY_BYTES {
            let next = if capacity < BRISK_BYTES {
                BRISK_BYTES
            } else {
                BUSY_BYTES
            };
            self.move_to_block(next.max(2 * self.held().len()));
        }
        self.make_room(self.buffer.capacity().clamp(CALM_BYTES, BUSY_BYTES) / 2);
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

    /// No further frame is there. Leaves an oversized block, unless what is held needs it.
    pub(super) fn settle(&mut self) {
        let held = self.held().len();
        if self.buffer.capacity() > BUSY_BYTES && held <= BUSY_BYTES / 2 {
            if held == 0 {
                self.clear();
            } else {
                self.move_to_block(BUSY_BYTES);
            }
        }
    }

    pub(super) fn release_if_empty(&mut self) {
        if self.held().is_empty() {
            self.clear();
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    fn make_room(&mut self, additional: usize) {
        if self.buffer.capacity() - self.buffer.len() >= additional {
            return;
        }
        let held = self.held().len();
        // What is copied over all moves stays below what has arrived: to the front only behind as
        // much that was taken, and doubling otherwise.
        if self.buffer.capacity() - held >= additional && self.start >= held {
            self.buffer.copy_within(self.start.., 0);
            self.buffer.truncate(held);
            self.start = 0;
            return;
        }
        let wanted = held.saturating_add(additional.max(held));
        self.move_to_block(wanted.max(CALM_BYTES));
    }

    fn move_to_block(&mut self, block_bytes: usize) {
        let mut block = BytesMut::with_capacity(block_bytes);
        block.extend_from_slice(self.held());
        *self = Self {
            buffer: block,
            start: 0,
        };
    }
}

#[cfg(test)]
mod tests {
    use bytes::BufMut;

    use super::{BRISK_BYTES, BUSY_BYTES, CALM_BYTES, Inbound};

    #[test]
    fn nothing_is_allocated_before_the_first_read_and_after_a_release() {
        let mut inbound = Inbound::default();
        assert_eq!(inbound.buffer.capacity(), 0);
        assert_eq!(inbound.room().remaining_mut(), CALM_BYTES);
        inbound.append(b"held");
        inbound.release_if_empty();
        assert_eq!(inbound.held(), b"held");
        inbound.take(4);
        assert_eq!(inbound.taken(3), b"eld");
        inbound.release_if_empty();
        assert_eq!(inbound.buffer.capacity(), 0);
    }

    #[test]
    fn an_oversized_block_is_left_when_its_frame_has_been_taken() {
        let mut inbound = Inbound::default();
        inbound.append(&[b'x'; 100_000]);
        inbound.append(b"next");
        inbound.settle();
        assert!(inbound.buffer.capacity() > BUSY_BYTES);
        drop(inbound.take_copy(100_000));
        inbound.settle();
        assert_eq!(inbound.held(), b"next");
        assert_eq!(inbound.buffer.capacity(), BUSY_BYTES);
    }

    #[test]
    fn a_small_frame_does_not_pay_for_the_move_of_a_long_rest() {
        let mut inbound = Inbound::default();
        inbound.append(&[b'x'; 100_000]);
        let before = inbound.held().as_ptr();
        inbound.take(10);
        inbound.settle();
        assert_eq!(inbound.held().as_ptr().addr(), before.addr() + 10);
    }

    #[test]
    fn there_is_room_to_read_however_full_the_buffer_is() {
        let mut inbound = Inbound::default();
        for _ in 0..100 {
            let mut room = inbound.room();
            assert!(room.remaining_mut() >= CALM_BYTES / 2);
            room.put_bytes(b'x', 500);
            inbound.take(400);
        }
        assert_eq!(inbound.held().len(), 10_000);
    }

    #[test]
    fn a_peer_that_fills_its_buffer_gets_a_larger_one_until_it_falls_silent() {
        let mut inbound = Inbound::default();
        inbound.room().put_bytes(b'x', CALM_BYTES - 1);
        inbound.take(CALM_BYTES - 1);
        for (filled, next) in [(CALM_BYTES, BRISK_BYTES), (BRISK_BYTES, BUSY_BYTES)] {
            assert_eq!(inbound.room().remaining_mut(), filled);
            inbound.room().put_bytes(b'x', filled);
            inbound.take(filled);
            assert_eq!(inbound.room().remaining_mut(), next);
        }
        inbound.release_if_empty();
        assert_eq!(inbound.room().remaining_mut(), CALM_BYTES);
    }
}
