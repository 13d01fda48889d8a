//! The one task of a connection: it owns the socket, serves it, and replaces it when it is lost.
//!
//! *Invariants*
//! - Reading never waits for writing: a broker that has stopped reading is still heard.
//! - Commands are taken only while there is room to write, or not at all while there is no connection: their channel is
//!   what holds senders back.
//! - What was dropped is ended after everything that its owner had asked for before.

mod due;
pub(crate) mod reconnect;
mod wire;

use std::sync::Arc;

use stompbox_protocol::InputRef;
use tokio::sync::mpsc;
use tokio::time::Instant;

use self::due::Due;
use self::wire::{Progress, Wire};
use crate::ClientError;
use crate::command::Command;
use crate::connection::Options;
use crate::event::ConnectionEvent;
use crate::events::Events;
use crate::exchange::{Exchange, Prospect};
use crate::handshake::{Opened, framing};
use crate::shared::{COMMANDS_MAX, CloseReply, Left, Shared};

/// No more commands are taken while this much waits to be written: two buffers of a socket.
const OUTPUT_BYTES_MAX: usize = 128 << 10;

/// Commands taken at once; what they write together is one write, if they are small.
const BATCH_MAX: usize = COMMANDS_MAX;

/// The task of a connection.
pub(crate) struct Driver {
    options: Arc<Options>,
    shared: Arc<Shared>,
    commands: mpsc::Receiver<Command>,
    batch: Vec<Command>,
    /// The last handle is gone, and with it the channel.
    is_abandoned: bool,
    due: Due,
    closers: Vec<CloseReply>,
    /// How many connections in turn ended with an ERROR.
    refusals: u32,
    exchange: Exchange,
    events: Events,
}

/// What has happened.
enum Event {
    Progress(Progress),
    Commands,
    Woken,
    Late,
}

/// How serving a connection ended.
enum Served {
    Closed,
    Lost(ClientError),
}

impl Driver {
    pub(crate) fn new(
        options: Arc<Options>,
        shared: Arc<Shared>,
        commands: mpsc::Receiver<Command>,
    ) -> Self {
        let prospect = match options.reconnect.is_never() {
            true => Prospect::None,
            false => Prospect::Reconnect,
        };
        let events = options.events.clone();
        Self {
            exchange: Exchange::new(Arc::clone(&shared), events.clone(), prospect),
            options,
            shared,
            commands,
            batch: Vec::new(),
            is_abandoned: false,
            due: Due::default(),
            closers: Vec::new(),
            refusals: 0,
            events,
        }
    }

    /// Serves connections until there is none any more.
    pub(crate) async fn run(mut self, first: Opened) {
        let mut next = Ok(first);
        let mut is_reconnect = false;
        let end = loop {
            let opened = match next {
                Ok(opened) => opened,
                Err(error) => break error,
            };
            self.events.emit(&ConnectionEvent::Connected {
                address: opened.address.clone(),
                server: opened.agreement.server.clone(),
                is_reconnect,
            });
            is_reconnect = true;
            let began = Instant::now();
            match self.serve(opened).await {
                Served::Closed => break ClientError::Ended,
                Served::Lost(error) => {
                    self.exchange.lose(&error);
                    self.events.emit(&ConnectionEvent::Lost {
                        error: error.clone(),
                    });
                    if self.wants_end() {
                        break error;
                    }
                    self.refusals = match error {
                        ClientError::Refused { .. } => self.refusals.saturating_add(1),
                        _ => 0,
                    };
                    next = self.reconnect(error, began.elapsed()).await;
                }
            }
        };
        self.conclude(&end);
    }

    /// Tells everybody that it is over. What is left in the channel is dropped, which tells those who wait.
    fn conclude(&mut self, error: &ClientError) {
        self.shared.set_end(error.clone());
        self.commands.close();
        self.exchange.conclude(error);
        self.due.add(self.shared.take_left());
        self.deal_with_left(true);
        for closer in self.closers.drain(..) {
            let outcome = match error {
                ClientError::Ended => Ok(()),
                error => Err(error.clone()),
            };
            // Fails if the caller no longer waits.
            closer.send(outcome).ok();
        }
        while self.commands.try_recv().is_ok() {}
        self.events.emit(&ConnectionEvent::Ended {
            error: error.clone(),
        });
    }

    /// Serves one connection to its end.
    async fn serve(&mut self, opened: Opened) -> Served {
        let framing = framing(&opened.transport);
        self.exchange.restore(opened.agreement.clone(), framing);
        let mut wire = Wire::new(opened);
        loop {
            if let Err(error) = self.take_decoded(&mut wire) {
                return Served::Lost(error);
            }
            self.deal_with_left(self.commands.is_empty());
            if self.exchange.is_over() {
                wire.finish().await;
                return Served::Closed;
            }
            match self.next_event(&mut wire).await {
                Event::Progress(Progress::Moved) => wire.rearm(),
                Event::Progress(Progress::End(error)) => {
                    let error = self.exchange.take_refusal().unwrap_or(error);
                    return Served::Lost(error);
                }
                Event::Commands => self.deal_with_commands(),
                Event::Woken => self.due.add(self.shared.take_left()),
                Event::Late => {
                    let pulse = wire.beat(&mut self.exchange.output);
                    if let Err(error) = pulse {
                        return Served::Lost(self.exchange.take_refusal().unwrap_or(error));
                    }
                    if self.batch.is_empty() {
                        self.batch = Vec::new();
                    }
                }
            }
        }
    }

    /// Waits for the next thing to happen. Every arm is cancel-safe: bytes leave the socket only into the decoder, and
    /// the output only into the socket; commands leave the channel only when the call returns.
    async fn next_event(&mut self, wire: &mut Wire) -> Event {
        let may_read = !self.exchange.is_stalled();
        let may_take = !self.is_abandoned
            && !self.exchange.is_closing()
            && !self.exchange.is_doomed()
            && self.exchange.output.len() < OUTPUT_BYTES_MAX;
        let Wire { io, timer } = wire;
        // Not biased: neither a flood of messages nor one of commands may shut out the other.
        tokio::select! {
            progress = io.progress(&mut self.exchange.output, may_read) => {
                Event::Progress(progress)
            }
            count = self.commands.recv_many(&mut self.batch, BATCH_MAX), if may_take => {
                self.is_abandoned = count == 0;
                Event::Commands
            }
            () = self.shared.wake.notified() => Event::Woken,
            () = timer.as_mut() => Event::Late,
        }
    }

    /// Deals with every frame that is complete.
    fn take_decoded(&mut self, wire: &mut Wire) -> Result<(), ClientError> {
        while !self.exchange.is_over() {
            let input = wire.io.decoder.next_ref();
            match input.map_err(|source| ClientError::Malformed { source })? {
                Some(InputRef::HeartBeat) => {}
                Some(InputRef::Frame(frame)) if self.exchange.is_closing() => {
                    self.exchange.take_last_frame(&frame)?;
                }
                Some(InputRef::Frame(frame)) => self.exchange.take_frame(&frame)?,
                None => break,
            }
        }
        self.exchange.hand_over();
        Ok(())
    }

    /// Deals with the commands that were taken, and with what was left between them.
    fn deal_with_commands(&mut self) {
        // After the commands were taken: what their senders left before them is there.
        self.due.add(self.shared.take_left());
        let mut batch = std::mem::take(&mut self.batch);
        for command in batch.drain(..) {
            self.deal_with_left(false);
            self.exchange.command(command);
            self.due.next_place();
        }
        self.batch = batch;
    }

    /// Deals with what handles have left and whose turn has come.
    fn deal_with_left(&mut self, is_drained: bool) {
        while let Some(left) = self.due.next(is_drained) {
            match left {
                Left::Settlement(settlement) => self.exchange.settle(&settlement, None),
                Left::Consumer(consumer) => self.exchange.unsubscribe(consumer, None),
                Left::Session(session) => self.exchange.end_session(session),
                Left::Close(reply) => {
                    self.closers.push(reply);
                    self.exchange.disconnect();
                }
                Left::Abandoned => self.exchange.disconnect(),
            }
        }
    }
}
