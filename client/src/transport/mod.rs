//! How bytes get to a broker and back: TCP, TLS and WebSocket behind one trait.
//!
//! *Invariant.* A transport holds no frame of its own: what is to be read is in the decoder, what is to be written in the
//! [`Output`].

mod output;
mod socket;
#[cfg(feature = "tls")]
mod stream;
#[cfg(feature = "tls")]
mod tls;
#[cfg(feature = "websocket")]
mod websocket;

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};

use stompbox_protocol::Decoder;

pub(crate) use self::output::{Framing, Output};
#[cfg(feature = "tls")]
pub use self::tls::Tls;
use crate::ClientError;
use crate::url::{Address, Scheme};

/// A way to a broker. All of it is poll-based, since reading and writing go on at once in one task.
pub(crate) trait Transport: Send {
    /// Whether it must know where frames end.
    fn wants_frames(&self) -> bool {
        false
    }

    /// Reads something into the decoder; 0 is the end.
    fn poll_fill(
        &mut self,
        context: &mut Context<'_>,
        decoder: &mut Decoder,
    ) -> Poll<io::Result<usize>>;

    /// Writes all of the output. What it has taken when it must wait is gone from it.
    fn poll_drain(
        &mut self,
        context: &mut Context<'_>,
        output: &mut Output,
    ) -> Poll<io::Result<()>>;

    /// Ends the direction that writes.
    fn poll_finish(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>>;
}

pub(crate) type BoxedTransport = Box<dyn Transport>;

/// What a secure transport is opened with.
#[derive(Debug, Clone, Default)]
pub(crate) struct Security {
    #[cfg(feature = "tls")]
    pub(crate) tls: Tls,
}

/// Opens the way to a broker, up to where STOMP begins.
pub(crate) async fn open(
    address: &Address,
    security: &Security,
) -> Result<BoxedTransport, ClientError> {
    let tcp = socket::connect(address)
        .await
        .map_err(|error| unreachable(address, error))?;
    match address.scheme {
        Scheme::Tcp => Ok(Box::new(socket::Socket::new(tcp))),
        #[cfg(feature = "tls")]
        Scheme::Tls => {
            let stream = tls::connect(tcp, address, &security.tls).await?;
            Ok(Box::new(stream::Stream::new(stream)))
        }
        #[cfg(feature = "websocket")]
        Scheme::WebSocket => websocket::connect(tcp, address).await,
        #[cfg(all(feature = "tls", feature = "websocket"))]
        Scheme::WebSocketTls => {
            let stream = tls::connect(tcp, address, &security.tls).await?;
            websocket::connect(stream, address).await
        }
        #[allow(
            unreachable_patterns,
            reason = "with every feature there is no other scheme"
        )]
        _ => {
            // Named by features only.
            let _ = security;
            Err(ClientError::InvalidUrl {
                url: address.to_string(),
                reason: "stompbox-client was built without the feature that it needs: `tls` for \
                         stomps and wss, `websocket` for ws and wss"
                    .to_owned(),
            })
        }
    }
}

fn unreachable(address: &Address, error: io::Error) -> ClientError {
    ClientError::Unreachable {
        address: address.to_string(),
        source: Arc::new(error),
    }
}

/// [`Transport::poll_fill`] to wait for.
pub(crate) async fn fill(
    transport: &mut dyn Transport,
    decoder: &mut Decoder,
) -> io::Result<usize> {
    poll_fn(|context| transport.poll_fill(context, decoder)).await
}

/// [`Transport::poll_drain`] to wait for.
pub(crate) async fn drain(transport: &mut dyn Transport, output: &mut Output) -> io::Result<()> {
    poll_fn(|context| transport.poll_drain(context, output)).await
}
