//! How a connection ends: the dispatcher is told, and a client that was refused gets its ERROR.

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Connection, Outcome, Phase};
use crate::core::port::{Ending, Request};
use crate::runtime::dispatcher::Message;

/// What still comes is read and thrown away in pieces of this size.
const IGNORED_BYTES: usize = 4096;

impl Connection {
    pub(super) async fn end(&mut self, outcome: Outcome) {
        self.close(outcome).await;
        match outcome {
            Outcome::Gone => {}
            Outcome::Closed => {
                // The peer may have gone first.
                let _ = self.stream.shutdown().await;
            }
            Outcome::Refused => self.part().await,
        }
    }

    /// Tells the dispatcher that the connection is over.
    async fn close(&mut self, outcome: Outcome) {
        let mut requests = std::mem::take(&mut self.buffer.output.requests);
        let ending = match (outcome, self.phase) {
            (Outcome::Closed, _) => Ending::Disconnect,
            (_, Phase::Finishing { .. }) => Ending::Stop,
            _ => Ending::Lost,
        };
        // What is written together with an ERROR may be seen.
        let written = match outcome {
            Outcome::Refused | Outcome::Closed => self.session.given(),
            Outcome::Gone => self.buffer.delivered,
        };
        let dispatcher = &self.context.dispatcher;
        if self.was_opened || !requests.is_empty() {
            requests.push(Request::Closed { ending, written });
            // Fails only when the dispatcher is gone, and with it everything that would be told.
            let _ = dispatcher
                .send(Message::Requests(self.id, requests, None))
                .await;
        }
        let _ = dispatcher.send(Message::Detach(self.id)).await;
    }

    /// Writes the ERROR, shuts the write side, and reads on for a while, so that a reset does not swallow it.
    async fn part(&mut self) {
        let linger = self.context.stomp.linger;
        let (stream, buffer) = (&mut self.stream, &self.buffer);
        let parting = async {
            for piece in buffer.unwritten() {
                if stream.write_all(piece).await.is_err() {
                    return;
                }
            }
            if stream.shutdown().await.is_err() {
                return;
            }
            let mut ignored = vec![0; IGNORED_BYTES];
            while matches!(stream.read(&mut ignored).await, Ok(1..)) {}
        };
        // Either way the connection is over.
        let _ = tokio::time::timeout(linger, parting).await;
    }
}
