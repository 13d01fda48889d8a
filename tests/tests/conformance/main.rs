//! The wire contract, rule by rule, from outside: the real broker over real sockets.
//!
//! `docs/conformance.md` numbers the rules and names the test of each; the comment above a test names its rules. The
//! module `table` checks that the two agree.

mod acknowledge;
mod advisories;
mod browsing;
mod composites;
mod connect;
mod consuming;
mod dead_letter;
mod destinations;
mod expiry;
mod fixture;
mod flow;
mod frames;
mod grouping;
mod heart_beats;
mod lasting;
mod lasting_pattern;
mod later;
mod limits;
mod message;
mod patterns;
mod policy;
mod preferring;
mod receipts;
mod redelivery;
mod restart;
mod scheduled;
mod selecting;
mod send;
mod statistics;
mod subscribe;
mod table;
mod temporary;
mod transactions;
mod virtual_topics;
mod wishing;
