//! The task that writes: frames in the order of the calls, heart-beats where there is nothing else to write.
//!
//! It owns the write half of the socket. It never reads, so that a broker that has stopped reading from us can still
//! be read from.

use std::io;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

/// Headers of a frame to be written.
pub(crate) type Headers<'a> = Vec<(&'a str, &'a str)>;

/// Frames that wait to be written. Enough to fill one write with small ones; large ones belong to callers that wait.
pub(crate) const FRAMES_MAX: usize = 64;

/// Small frames are put together up to this length, the buffer of a socket.
const WRITE_BYTES: usize = 64 << 10;

/// A frame to be written.
pub(crate) struct Outgoing {
    /// As on the wire.
    pub(crate) bytes: Vec<u8>,
    /// The receipt that it asks for.
    pub(crate) receipt: Option<Expectation>,
}

/// Somebody who waits for a receipt.
pub(crate) struct Expectation {
    /// Which one.
    pub(crate) receipt: ReceiptId,
    /// Told when it comes; dropped when it cannot come any more.
    pub(crate) arrived: oneshot::Sender<()>,
}

/// Names a receipt, unique within the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ReceiptId(pub(crate) u64);

/// What the task that reads must know from the one that writes.
pub(crate) enum Note {
    /// A frame is about to be written that asks for a receipt.
    Expect(Expectation),
    /// Nothing can be written any more.
    Failed(io::Error),
}

/// Writes until all senders of `frames` are gone, then ends the stream.
pub(crate) async fn write(
    mut socket: OwnedWriteHalf,
    mut frames: mpsc::Receiver<Outgoing>,
    notes: mpsc::Sender<Note>,
    heart_beat: Option<Duration>,
) {
    let result = write_frames(&mut socket, &mut frames, &notes, heart_beat).await;
    let result = match result {
        Ok(()) => socket.shutdown().await,
        Err(error) => Err(error),
    };
    if let Err(error) = result {
        // Fails only if the reading task has ended: then nobody waits for the reason.
        notes.send(Note::Failed(error)).await.ok();
    }
}

async fn write_frames(
    socket: &mut OwnedWriteHalf,
    frames: &mut mpsc::Receiver<Outgoing>,
    notes: &mpsc::Sender<Note>,
    heart_beat: Option<Duration>,
) -> io::Result<()> {
    loop {
        let next = match heart_beat {
            // `recv` loses nothing when the time-out drops it.
            Some(interval) => timeout(interval, frames.recv()).await,
            None => Ok(frames.recv().await),
        };
        let bytes = match next {
            Ok(Some(first)) => gather(first, frames, notes).await,
            Ok(None) => return Ok(()),
            Err(_elapsed) => b"\n".to_vec(),
        };
        socket.write_all(&bytes).await?;
    }
}

/// Puts what waits into one write, and announces the receipts first: they must be known before they can come.
async fn gather(
    first: Outgoing,
    frames: &mut mpsc::Receiver<Outgoing>,
    notes: &mpsc::Sender<Note>,
) -> Vec<u8> {
    let mut bytes = first.bytes;
    announce(first.receipt, notes).await;
    while bytes.len() < WRITE_BYTES {
        let Ok(next) = frames.try_recv() else { break };
        bytes.extend_from_slice(&next.bytes);
        announce(next.receipt, notes).await;
    }
    bytes
}

async fn announce(receipt: Option<Expectation>, notes: &mpsc::Sender<Note>) {
    if let Some(expectation) = receipt {
        // Fails only if the reading task has ended; the expectation is dropped with it, which wakes who waits.
        notes.send(Note::Expect(expectation)).await.ok();
    }
}
