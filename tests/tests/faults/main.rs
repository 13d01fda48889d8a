//! What fails around the broker: disk, files, handles, clock, other programs. Each fault ends as documented, with a
//! message that tells what to do; what was receipted is there afterwards.
//!
//! A failing and a slow disk are in `sync.rs`; a single damaged row and a stranger's snapshot also in the store's own
//! tests.

#[allow(
    dead_code,
    reason = "shared with the conformance tests, which use the rest"
)]
#[path = "../conformance/fixture.rs"]
mod fixture;

mod clock;
mod damage;
mod disk;
mod folder;
mod handle;
mod lock;
mod open;
mod scene;
