//! Everything that decides: sessions and the dispatcher as synchronous state machines.
//!
//! A machine takes an input and the time, changes itself, and leaves its effects in buffers that `runtime`
//! carries out. *Invariant*: no tokio, no clock, no randomness, no I/O in here.

pub mod clock;
pub mod destination;
pub mod dispatcher;
pub mod duplicate_id;
pub mod excerpt;
pub mod memory;
pub mod message;
pub mod message_group;
pub mod pattern_index;
pub mod port;
pub mod schedule;
pub mod selector;
pub mod session;
