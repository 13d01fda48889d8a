//! Any stream of bytes, TLS above all.

use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use stompbox_protocol::Decoder;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};

use super::output::poll_write_out;
use super::{Output, Transport};

/// A stream of bytes.
pub(super) struct Stream<S> {
    stream: S,
    /// Something is written that may still be in the stream's own buffer.
    unflushed: bool,
}

impl<S> Stream<S> {
    pub(super) fn new(stream: S) -> Self {
        Self {
            stream,
            unflushed: false,
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Transport for Stream<S> {
    fn poll_fill(
        &mut self,
        context: &mut Context<'_>,
        decoder: &mut Decoder,
    ) -> Poll<io::Result<usize>> {
        let mut space = decoder.read_space();
        // It reads nothing before it is ready, so that dropping it loses nothing.
        let poll = pin!(self.stream.read_buf(&mut space)).poll(context);
        if poll.is_pending() {
            decoder.release_idle();
        }
        poll
    }

    fn poll_drain(
        &mut self,
        context: &mut Context<'_>,
        output: &mut Output,
    ) -> Poll<io::Result<()>> {
        self.unflushed |= !output.is_empty();
        ready!(poll_write_out(&mut self.stream, context, output))?;
        if self.unflushed {
            ready!(Pin::new(&mut self.stream).poll_flush(context))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_finish(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
