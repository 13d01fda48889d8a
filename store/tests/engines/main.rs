//! What every engine of the store promises, checked on each of them, and what only one of them can show.

mod contract;
mod harness;
mod message;
mod session;
