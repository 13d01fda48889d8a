//! WebSocket: each STOMP frame is one message, as stompjs has it and ActiveMQ needs it.
//!
//! Text where a frame is UTF-8, binary where it is not. What comes may be cut in any way.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::{Sink, Stream as _};
use stompbox_protocol::Decoder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::http::header::SEC_WEBSOCKET_PROTOCOL;
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

use super::{BoxedTransport, Output, Transport};
use crate::ClientError;
use crate::url::{Address, Scheme};

/// What is offered, the latest first.
const PROTOCOLS: HeaderValue = HeaderValue::from_static("v12.stomp, v11.stomp, v10.stomp");

/// Opens a WebSocket over a stream.
pub(super) async fn connect<S>(stream: S, address: &Address) -> Result<BoxedTransport, ClientError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let scheme = match address.scheme {
        Scheme::WebSocketTls => "wss",
        Scheme::WebSocket | Scheme::Tcp | Scheme::Tls => "ws",
    };
    let url = format!("{scheme}://{}{}", address.authority(), address.path);
    let mut request = url
        .into_client_request()
        .map_err(|error| ClientError::invalid("address of a WebSocket", error))?;
    request
        .headers_mut()
        .insert(SEC_WEBSOCKET_PROTOCOL, PROTOCOLS);
    let handshake = tokio_tungstenite::client_async(request, stream);
    let (socket, _response) =
        Box::pin(handshake)
            .await
            .map_err(|error| ClientError::Unreachable {
                address: address.to_string(),
                source: Arc::new(io_error(error)),
            })?;
    Ok(Box::new(WebSocket {
        socket,
        unflushed: false,
    }))
}

struct WebSocket<S> {
    socket: WebSocketStream<S>,
    unflushed: bool,
}

impl<S> Transport for WebSocket<S>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    fn wants_frames(&self) -> bool {
        true
    }

    fn poll_fill(
        &mut self,
        context: &mut Context<'_>,
        decoder: &mut Decoder,
    ) -> Poll<io::Result<usize>> {
        loop {
            let payload: Bytes = match ready!(Pin::new(&mut self.socket).poll_next(context)) {
                None | Some(Ok(Message::Close(_)) | Err(Error::ConnectionClosed)) => {
                    return Poll::Ready(Ok(0));
                }
                Some(Err(error)) => return Poll::Ready(Err(io_error(error))),
                Some(Ok(Message::Text(text))) => text.into(),
                Some(Ok(Message::Binary(bytes))) => bytes,
                // Answered by the library.
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => continue,
            };
            if !payload.is_empty() {
                decoder.extend(&payload);
                return Poll::Ready(Ok(payload.len()));
            }
        }
    }

    fn poll_drain(
        &mut self,
        context: &mut Context<'_>,
        output: &mut Output,
    ) -> Poll<io::Result<()>> {
        loop {
            if output.is_empty() {
                break;
            }
            ready!(Pin::new(&mut self.socket).poll_ready(context)).map_err(io_error)?;
            let Some(frame) = output.take_frame() else {
                break;
            };
            let message = match Utf8Bytes::try_from(frame.clone()) {
                Ok(text) => Message::Text(text),
                Err(_) => Message::Binary(frame),
            };
            Pin::new(&mut self.socket)
                .start_send(message)
                .map_err(io_error)?;
            self.unflushed = true;
        }
        if self.unflushed {
            ready!(Pin::new(&mut self.socket).poll_flush(context)).map_err(io_error)?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_finish(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match ready!(Pin::new(&mut self.socket).poll_close(context)) {
            Ok(()) | Err(Error::ConnectionClosed) => Poll::Ready(Ok(())),
            Err(error) => Poll::Ready(Err(io_error(error))),
        }
    }
}

fn io_error(error: Error) -> io::Error {
    match error {
        Error::Io(error) => error,
        other => io::Error::other(other),
    }
}
