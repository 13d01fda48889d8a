//! The codec from outside: bytes into a decoder, frames into text and back.

mod decode;
mod limits;
mod memory;
mod round_trip;
mod support;
