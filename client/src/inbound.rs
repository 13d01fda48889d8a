//! The task that reads: messages into the inbox, receipts to those who wait for them, and the reason of the end.
//!
//! It owns the read half of the socket and the decoder.
//!
//! *Invariants.* It holds at most one message besides the inbox, and reads nothing while it does: a caller who takes no
//! messages stops the broker, not the program. It never writes, and never waits for the task that does.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use stompbox_protocol::{Command, Decoder, Frame, Input};
use tokio::io::AsyncReadExt;
use tokio::net::tcp::OwnedReadHalf;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};

use crate::outbound::{Note, ReceiptId};
use crate::{ClientError, Message};

/// How long an ERROR is waited for when writing has failed: it may say why.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// What the task that reads owns.
pub(crate) struct Inbound {
    socket: OwnedReadHalf,
    decoder: Decoder,
    notes: mpsc::Receiver<Note>,
    inbox: mpsc::Sender<Message>,
    /// The message that the inbox had no room for.
    held: Option<Message>,
    receipts: HashMap<ReceiptId, oneshot::Sender<()>>,
    writing: Writing,
    /// After how much silence the broker is given up; [`None`] if it promised no heart-beats.
    silence: Option<Duration>,
    heard: Instant,
}

/// The state of the task that writes.
enum Writing {
    Open,
    /// It has ended as it should.
    Done,
    /// It could not write.
    Failed {
        source: Arc<io::Error>,
        until: Instant,
    },
}

/// What the task that reads has waited for.
enum Event {
    Note(Option<Note>),
    Delivered,
    Read(io::Result<usize>),
    OwnerGone,
    Late,
}

impl Inbound {
    pub(crate) fn new(
        socket: OwnedReadHalf,
        decoder: Decoder,
        notes: mpsc::Receiver<Note>,
        inbox: mpsc::Sender<Message>,
        silence: Option<Duration>,
    ) -> Self {
        Self {
            socket,
            decoder,
            notes,
            inbox,
            held: None,
            receipts: HashMap::new(),
            writing: Writing::Open,
            silence,
            heard: Instant::now(),
        }
    }

    /// Reads until the connection ends or its owner has gone, and tells why.
    pub(crate) async fn run(mut self, ended: watch::Sender<Option<ClientError>>) {
        let error = loop {
            if let Err(error) = self.take_decoded() {
                break error;
            }
            if let Err(error) = self.wait().await {
                break error;
            }
        };
        tracing::debug!(%error, "connection ended");
        // Before the inbox and the receipts are dropped: who wakes from that asks for the reason.
        ended.send_replace(Some(error));
    }

    /// Deals with every frame that is complete, until a message finds the inbox full.
    fn take_decoded(&mut self) -> Result<(), ClientError> {
        while self.held.is_none() {
            match self
                .decoder
                .next_input()
                .map_err(|source| ClientError::Malformed { source })?
            {
                Some(Input::HeartBeat) => {}
                Some(Input::Frame(frame)) => self.take_frame(frame)?,
                None => return Ok(()),
            }
        }
        Ok(())
    }

    fn take_frame(&mut self, frame: Frame) -> Result<(), ClientError> {
        match frame.command() {
            Command::Message => match self.inbox.try_send(Message::new(frame)) {
                Ok(()) => Ok(()),
                Err(TrySendError::Full(message)) => {
                    self.held = Some(message);
                    Ok(())
                }
                Err(TrySendError::Closed(_)) => Err(ClientError::Closed),
            },
            Command::Receipt => {
                self.take_receipt(&frame);
                Ok(())
            }
            Command::Error => Err(refusal(&frame)),
            command => Err(ClientError::Unexpected { command }),
        }
    }

    fn take_receipt(&mut self, frame: &Frame) {
        // The note was sent before the frame was written, so it is here when the receipt is.
        while let Ok(note) = self.notes.try_recv() {
            self.take_note(Some(note));
        }
        let id = frame
            .text("receipt-id")
            .and_then(|id| id.parse().ok())
            .map(ReceiptId);
        if let Some(arrived) = id.and_then(|id| self.receipts.remove(&id)) {
            // Fails if the call was dropped: then nobody wants to know.
            arrived.send(()).ok();
        }
    }

    fn take_note(&mut self, note: Option<Note>) {
        match note {
            Some(Note::Expect(expectation)) => {
                self.receipts
                    .insert(expectation.receipt, expectation.arrived);
            }
            Some(Note::Failed(error)) => {
                let until = Instant::now() + LAST_WORDS;
                self.writing = Writing::Failed {
                    source: Arc::new(error),
                    until,
                };
            }
            None if matches!(self.writing, Writing::Open) => self.writing = Writing::Done,
            None => {}
        }
    }

    /// Waits for the next thing to happen. Every arm is cancel-safe: a receive, a reservation, a read that takes
    /// bytes only when it completes, a sleep.
    async fn wait(&mut self) -> Result<(), ClientError> {
        let deadline = self.deadline();
        let mut space = self.decoder.read_space();
        let event = tokio::select! {
            note = self.notes.recv(), if matches!(self.writing, Writing::Open) => Event::Note(note),
            () = self.inbox.closed() => Event::OwnerGone,
            room = self.inbox.reserve(), if self.held.is_some() => {
                if let (Ok(room), Some(message)) = (room, self.held.take()) {
                    room.send(message);
                }
                Event::Delivered
            }
            read = self.socket.read_buf(&mut space), if self.held.is_none() => Event::Read(read),
            () = sleep_until(deadline.unwrap_or(self.heard)),
                if deadline.is_some() && self.held.is_none() => Event::Late,
        };
        match event {
            Event::Note(note) => self.take_note(note),
            // After a delivery too: while nothing was read, nothing could be heard.
            Event::Delivered | Event::Read(Ok(1..)) => self.heard = Instant::now(),
            Event::Read(Ok(0)) => return Err(self.end(None)),
            Event::Read(Err(error)) => return Err(self.end(Some(error))),
            Event::OwnerGone => return Err(ClientError::Closed),
            Event::Late => return Err(self.late()),
        }
        Ok(())
    }

    /// When waiting for the broker ends.
    fn deadline(&self) -> Option<Instant> {
        match &self.writing {
            Writing::Failed { until, .. } => Some(*until),
            Writing::Open | Writing::Done => self.silence.map(|silence| self.heard + silence),
        }
    }

    /// Why the deadline has passed.
    fn late(&self) -> ClientError {
        match (&self.writing, self.silence) {
            (Writing::Open | Writing::Done, Some(silence)) => ClientError::Silent { silence },
            (Writing::Open | Writing::Done, None) | (Writing::Failed { .. }, _) => self.end(None),
        }
    }

    /// Why the stream has ended: a failure to write comes first, reading only followed it.
    fn end(&self, read: Option<io::Error>) -> ClientError {
        match (&self.writing, read) {
            (Writing::Failed { source, .. }, _) => ClientError::Broken {
                source: Arc::clone(source),
            },
            (Writing::Open | Writing::Done, Some(error)) => ClientError::Broken {
                source: Arc::new(error),
            },
            (Writing::Open | Writing::Done, None) => ClientError::Closed,
        }
    }
}

/// What an ERROR frame says.
pub(crate) fn refusal(frame: &Frame) -> ClientError {
    let text = |name| frame.text(name).map(|text| text.into_owned());
    ClientError::Refused {
        message: text("message").unwrap_or_else(|| "no reason given".to_owned()),
        detail: String::from_utf8_lossy(frame.body()).into_owned(),
        receipt: text("receipt-id"),
    }
}
