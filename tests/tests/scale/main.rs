//! JMS semantics in masses: many topics and patterns, durable subscriptions that nobody uses, a schedule of a million
//! messages, a deep backlog, ids of repeated messages. Each says what it measured, and checks that everything came.
//!
//! `cargo test` runs a share of each, whose ratios are generous. All of it, on the machine alone:
//!
//!     STOMPBOX_SCALE=full cargo test --release -p stompbox-tests --test scale -- --test-threads=1 --nocapture

mod backlog;
mod client;
mod load;
mod offline;
mod repeat;
mod schedule;
mod wildcard;
