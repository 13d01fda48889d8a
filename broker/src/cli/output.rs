//! Standard output and standard error, either of which may be closed at any time.

use std::error::Error;
use std::fmt::Display;
use std::io::{self, Write};

use super::exit;

/// Prints to standard output and returns the exit code: a closed pipe is fine.
pub(super) fn print(text: &str) -> u8 {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => exit::OK,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => exit::OK,
        Err(error) => {
            complain(&format!("cannot write to standard output: {error}"));
            exit::FAILED
        }
    }
}

/// Prints to standard error.
pub(super) fn complain(text: &dyn Display) {
    // If standard error is closed there is nobody left to tell.
    writeln!(io::stderr(), "stompbox: {text}").ok();
}

/// An error with its causes, in one line.
pub(super) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
