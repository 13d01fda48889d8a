//! Clients that misbehave, on purpose or not: what they cost is bounded, and the others are served as ever.
//!
//! `cargo test` runs a share of each. All of it, on the machine alone:
//!
//!     STOMPBOX_SCALE=full cargo test --release -p stompbox-tests --test hostile -- --test-threads=1 --nocapture

#[allow(
    dead_code,
    reason = "shared with the conformance tests, which use the rest"
)]
#[path = "../conformance/fixture.rs"]
mod fixture;

mod body;
mod burst;
mod destination;
mod expiry;
mod group;
mod heart_beat;
mod held_back;
mod login;
mod meter;
mod nonsense;
mod reader;
mod selector;
mod settle;
mod subscription;
mod transaction;
mod trial;
mod watching;
