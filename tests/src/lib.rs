//! The whole system from outside: what the tests in `tests/` stand on.
//!
//! Nothing here uses the product's own codec or client: a test that shares code with what it tests shares its bugs.
//! A failed expectation panics and shows the connection's transcript and the broker's output.

pub mod broker;
pub mod crash;
pub mod slow_sync;
pub mod wire;
