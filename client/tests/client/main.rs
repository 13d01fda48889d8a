//! The client from outside: against a scripted broker, frame by frame; against a model of a broker, with faults; and
//! against ActiveMQ and RabbitMQ, where they are installed.
#![allow(
    clippy::unwrap_used,
    clippy::large_futures,
    clippy::result_large_err,
    reason = "tests, and what the libraries that they use prescribe"
)]

mod acknowledge;
mod api;
mod blocking;
mod connect;
mod deadline;
mod dialect;
mod example;
mod fault;
mod listener;
mod model;
mod peer;
mod producer;
mod reconnect;
mod request;
mod secure;
mod subscribe;
mod transaction;
mod web;
