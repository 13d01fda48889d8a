//! The console: JSON API, health, metrics and one live page, over a port that the broker implements.

mod port;

pub use port::*;
