//! TCP. While it is idle it holds no buffer: memory to read into is taken only when there is something to read.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use stompbox_protocol::Decoder;
use tokio::io::AsyncWrite;
use tokio::net::TcpStream;

use super::output::poll_write_out;
use super::{Output, Transport};
use crate::url::Address;

/// Connects, to each address of the host in turn.
pub(super) async fn connect(address: &Address) -> io::Result<TcpStream> {
    let socket = TcpStream::connect((address.host.as_str(), address.port)).await?;
    // An acknowledgement must not wait for the broker's TCP acknowledgement of the one before.
    socket.set_nodelay(true)?;
    Ok(socket)
}

/// A TCP connection.
pub(super) struct Socket {
    stream: TcpStream,
}

impl Socket {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self { stream }
    }
}

impl Transport for Socket {
    fn poll_fill(
        &mut self,
        context: &mut Context<'_>,
        decoder: &mut Decoder,
    ) -> Poll<io::Result<usize>> {
        loop {
            if self.stream.poll_read_ready(context)?.is_pending() {
                decoder.release_idle();
                return Poll::Pending;
            }
            match self.stream.try_read_buf(&mut decoder.read_space()) {
                // The readiness was of before; asking again registers.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return Poll::Ready(result),
            }
        }
    }

    fn poll_drain(
        &mut self,
        context: &mut Context<'_>,
        output: &mut Output,
    ) -> Poll<io::Result<()>> {
        poll_write_out(&mut self.stream, context, output)
    }

    fn poll_finish(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
