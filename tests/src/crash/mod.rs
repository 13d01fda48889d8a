//! Kill the broker in the middle of everything, start it again, and check what it had promised.
//!
//! [`run`] drives connections against a broker that is killed and restarted, and returns a [`history::History`];
//! [`check::check`] is a pure function over it. Neither knows how the broker works inside: only the promises of the
//! wire contract count.

pub mod check;
pub mod history;
mod random;
mod run;
mod workload;

pub use run::{Lives, Plan, Summary, run};
