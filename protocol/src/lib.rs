//! STOMP 1.0, 1.1 and 1.2 on the wire: frames, headers, versions, limits and a resumable decoder.
//!
//! Pure: no sockets, no clock, no runtime. The broker decodes what clients send with
//! [`Role::Server`], a client what servers send with [`Role::Client`]; both write with [`encode`].
//!
//! ```
//! use stompbox_protocol::{Command, Decoder, Input, Limits, Role, Version, encode};
//!
//! let mut wire = Vec::new();
//! let headers: [(&[u8], &[u8]); 1] = [(b"destination", b"/queue/a")];
//! encode::frame(&mut wire, Version::V1_2, Command::Send, &headers, b"hello");
//!
//! let mut decoder = Decoder::new(Role::Server, Limits::default());
//! decoder.set_version(Version::V1_2);
//! decoder.extend(&wire);
//! let Ok(Some(Input::Frame(frame))) = decoder.next_input() else { panic!("one whole frame") };
//! assert_eq!(frame.text("destination").as_deref(), Some("/queue/a"));
//! assert_eq!(frame.body(), b"hello");
//! ```
//!
//! *Invariants*
//! - What is decoded does not depend on how the bytes were cut into reads.
//! - A byte is looked at a bounded number of times, however small the reads are.
//! - Memory follows the bytes that have arrived, never a length that a peer has declared.
//! - No header, whatever its value, becomes two headers when it is written for another version.
//!
//! It never judges what a frame means (required headers, sessions, destinations).

pub mod canonical;
mod command;
mod decoder;
pub mod encode;
mod error;
mod escape;
mod foreign;
mod frame;
mod head;
mod limits;
mod line;
mod version;

pub use command::{Command, Role};
pub use decoder::{Decoder, Input, InputRef};
pub use error::{DecodeError, Reason};
pub use escape::{UndefinedEscape, unescape};
pub use foreign::Foreign;
pub use frame::{Frame, FrameRef};
pub use head::Header;
pub use limits::{Limit, Limits};
pub use version::Version;
