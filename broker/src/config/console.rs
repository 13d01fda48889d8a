//! Section `[console]`: the web console.

use std::net::{Ipv4Addr, SocketAddr};

use super::form::{AddressOrNone, Flag};
use super::section::section;

section! {
    /// The web console and its JSON API.
    pub struct ConsoleConfig, given ConsoleGiven {
        /// Where the console is served; "none" switches it off. There is no authentication yet: keep it on a
        /// loopback address.
        pub listen: Option<SocketAddr> = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 8161))), AddressOrNone;
        /// Whether it shows messages, moves and deletes them, and takes what is scheduled off. If not it shows names and
        /// counters, and changes nothing.
        pub manage: bool = true, Flag;
    }
}
