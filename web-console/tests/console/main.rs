//! The console from outside, over a broker that gives fixed answers.

mod api;
mod event;
mod fake;
mod guard;
mod health;
mod http;
mod message;
mod metric;
mod page;
mod server;
