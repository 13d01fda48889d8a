//! Destinations as clients write them (dialect, Destinations): text becomes types, and whatever has one of these
//! types is well-formed.
//!
//! *Invariants.* A [`DestinationName`] is one place that messages can lie in, never a pattern and never a name that
//! means something only to one connection. A pattern names nothing to send to: [`SendTarget`] cannot hold one.
//! Nothing in here knows which destinations exist.
//!
//! ```text
//! SEND        a,b          SendTarget = 1..=64 Address
//! SUBSCRIBE   a,b.>?x=y    SubscribeTarget = 1..=64 Source (Address or Pattern) + ConsumerOptions
//! Address                  Named(DestinationName) | Temporary(TemporaryName) | RemoteTemporary
//! ```

mod address;
mod brokers_own;
mod error;
mod list;
mod name;
mod option;
mod pattern;
mod percent;
mod prefix;
mod scan;
mod send_target;
mod subscribe_target;
mod topic_set;
mod virtual_topic;

pub use address::{Address, RemoteTemporary, TemporaryName, without_spaces};
pub use brokers_own::{
    StatisticsQuery, is_advisory_topic, is_reserved, is_schedule_topic, may_match_advisories,
    reply_name,
};
pub use error::{NameError, OptionError};
pub use list::COMPOSITE_NAMES_MAX;
pub use name::{DestinationName, NAME_BYTES_MAX};
pub use option::ConsumerOptions;
pub use pattern::Pattern;
pub(super) use pattern::{BROKERS_OWN, Segment, Tail, is_brokers_own};
pub use prefix::has_prefix;
pub use scan::names_matching;
pub use send_target::SendTarget;
pub use stompbox_store::DestinationKind;
pub use subscribe_target::{Source, SubscribeTarget};
pub use topic_set::{TopicPart, is_topic_set, name_of_set, parts_of_set};
pub use virtual_topic::{is_virtual_topic, virtual_topic_of};

#[cfg(test)]
mod tests;
