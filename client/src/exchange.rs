//! The owner's end of the two tasks: a call becomes a frame, a receipt its return, and messages wait their turn.

use std::collections::VecDeque;

use stompbox_protocol::{Command, Decoder};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot, watch};

use crate::handshake::{Session, encode_frame};
use crate::inbound::Inbound;
use crate::outbound::{self, Expectation, FRAMES_MAX, Headers, Outgoing, ReceiptId};
use crate::{ClientError, ConnectOptions, Message};

/// What becomes of messages that come while a receipt is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meanwhile {
    /// They are kept for [`Exchange::next_message`].
    Keep,
    /// They are thrown away: nobody will ask for them.
    Discard,
}

/// The frames of one session.
///
/// *Invariant.* Messages leave in the order in which they came: those in the stash are older than those in the inbox.
#[derive(Debug)]
pub(crate) struct Exchange {
    session: Session,
    frames: mpsc::Sender<Outgoing>,
    inbox: mpsc::Receiver<Message>,
    stash: VecDeque<Message>,
    stash_bytes: usize,
    stash_bytes_max: usize,
    ended: watch::Receiver<Option<ClientError>>,
    number: u64,
}

impl Exchange {
    /// Starts the two tasks for a session that is open.
    pub(crate) fn start(
        socket: TcpStream,
        decoder: Decoder,
        session: Session,
        options: &ConnectOptions,
    ) -> Self {
        let (read_half, write_half) = socket.into_split();
        let (frames, frames_to_write) = mpsc::channel(FRAMES_MAX);
        // As many as frames can be under way; the writing task waits for room, and there always will be.
        let (notes, notes_to_take) = mpsc::channel(FRAMES_MAX);
        let (to_inbox, inbox) = mpsc::channel(options.inbox_messages.max(1));
        let (end, ended) = watch::channel(None);
        let inbound = Inbound::new(read_half, decoder, notes_to_take, to_inbox, session.silence);
        tokio::spawn(outbound::write(
            write_half,
            frames_to_write,
            notes,
            session.send_every,
        ));
        tokio::spawn(inbound.run(end));
        Self {
            session,
            frames,
            inbox,
            stash: VecDeque::new(),
            stash_bytes: 0,
            stash_bytes_max: options.inbox_bytes,
            ended,
            number: 0,
        }
    }

    /// What was agreed on with the broker.
    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    /// A number that this session has not used yet.
    pub(crate) fn next_number(&mut self) -> u64 {
        self.number += 1;
        self.number
    }

    /// Has a frame written.
    pub(crate) async fn post(
        &mut self,
        command: Command,
        headers: &Headers<'_>,
        body: &[u8],
    ) -> Result<(), ClientError> {
        let bytes = encode_frame(self.session.version, command, headers, body);
        self.enqueue(Outgoing {
            bytes,
            receipt: None,
        })
        .await
    }

    /// Has a frame written and waits for its receipt.
    pub(crate) async fn call(
        &mut self,
        command: Command,
        mut headers: Headers<'_>,
        body: &[u8],
        meanwhile: Meanwhile,
    ) -> Result<(), ClientError> {
        let number = self.next_number();
        let receipt = number.to_string();
        // First, since of repeated headers the first one counts.
        headers.insert(0, ("receipt", &receipt));
        let bytes = encode_frame(self.session.version, command, &headers, body);
        let (arrived, mut arrival) = oneshot::channel();
        let expectation = Expectation {
            receipt: ReceiptId(number),
            arrived,
        };
        self.enqueue(Outgoing {
            bytes,
            receipt: Some(expectation),
        })
        .await?;
        loop {
            tokio::select! {
                // The receipt first: with it there, the inbox may be as full as it likes.
                biased;
                receipt = &mut arrival => return match receipt {
                    Ok(()) => Ok(()),
                    Err(_dropped) => Err(self.end().await),
                },
                Some(message) = self.inbox.recv() => match meanwhile {
                    Meanwhile::Keep => self.keep(message)?,
                    Meanwhile::Discard => {}
                },
            }
        }
    }

    /// The next message. Cancel-safe: a message leaves the inbox only when it is returned.
    pub(crate) async fn next_message(&mut self) -> Result<Message, ClientError> {
        if let Some(message) = self.stash.pop_front() {
            self.stash_bytes -= message.wire_bytes();
            return Ok(message);
        }
        match self.inbox.recv().await {
            Some(message) => Ok(message),
            None => Err(self.end().await),
        }
    }

    async fn enqueue(&mut self, frame: Outgoing) -> Result<(), ClientError> {
        if let Some(error) = self.ended.borrow().clone() {
            return Err(error);
        }
        match self.frames.send(frame).await {
            Ok(()) => Ok(()),
            Err(_closed) => Err(self.end().await),
        }
    }

    fn keep(&mut self, message: Message) -> Result<(), ClientError> {
        self.stash_bytes += message.wire_bytes();
        self.stash.push_back(message);
        if self.stash_bytes > self.stash_bytes_max {
            return Err(ClientError::InboxFull {
                inbox_bytes: self.stash_bytes_max,
            });
        }
        Ok(())
    }

    /// Why the connection ended: known to the reading task soon after one of the two has stopped.
    async fn end(&mut self) -> ClientError {
        match self.ended.wait_for(Option::is_some).await {
            Ok(error) => error.clone().unwrap_or(ClientError::Closed),
            Err(_dropped) => ClientError::Closed,
        }
    }
}
