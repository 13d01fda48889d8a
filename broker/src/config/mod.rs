//! The configuration: what a user may set, its defaults, and how it is read.
//!
//! Every key is declared once, with the macro `section`: that declaration yields the public field, its default, its
//! parser, its line in the sample file and its row in `docs/configuration.md`. A value comes from the command line,
//! else from the environment, else from the file, else from the default.
//!
//! *Invariants.* A [`Config`] that [`load`] returned is within all ranges; nobody checks them again. Nothing here
//! opens a socket or touches the data folder.

mod choice;
mod console;
mod dead_letter;
mod environment;
mod error;
mod explain;
mod file;
mod form;
mod given;
mod limit;
mod load;
mod log;
mod pattern;
mod policies;
mod policy;
mod route;
mod section;
mod show;
mod stomp;
mod store;
mod suggestion;

pub use choice::{
    ClientIdPolicy, Delivery, Dispatch, Durability, LogFormat, RedeliveryOrder, SlowConsumer,
    WhenFull,
};
pub use console::ConsoleConfig;
pub use error::{ConfigError, Origin, Problem};
pub use explain::{Setting, Source};
pub(crate) use form::parse_duration;
pub use limit::Limits;
pub use load::{CommandLine, load};
pub use log::LogConfig;
pub use policies::Policies;
pub use policy::Policy;
pub use route::Route;
pub use stomp::StompConfig;
pub use store::StoreConfig;

/// Everything that can be configured, validated.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Config {
    /// Section `[stomp]`.
    pub stomp: StompConfig,
    /// Section `[console]`.
    pub console: ConsoleConfig,
    /// Section `[store]`.
    pub store: StoreConfig,
    /// Section `[limits]`.
    pub limits: Limits,
    /// Section `[policy]` and the tables `[[destination]]` and `[[route]]`.
    pub policies: Policies,
    /// Section `[log]`.
    pub log: LogConfig,
}

#[cfg(test)]
mod document;
#[cfg(test)]
mod tests;
