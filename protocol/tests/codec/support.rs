//! Runs a decoder over bytes cut in every way and says in text what came out.

use bytes::BufMut;
use stompbox_protocol::{DecodeError, Decoder, Frame, Input, Limits, Role, Version};

/// How a decoder is set up before the first byte.
#[derive(Clone, Debug)]
pub(super) struct Setup {
    pub(super) role: Role,
    pub(super) version: Option<Version>,
    pub(super) limits: Limits,
    pub(super) logged_in: bool,
}

pub(super) fn server(version: Option<Version>) -> Setup {
    Setup {
        role: Role::Server,
        version,
        limits: Limits::default(),
        logged_in: true,
    }
}

pub(super) fn client(version: Option<Version>) -> Setup {
    Setup {
        role: Role::Client,
        ..server(version)
    }
}

impl Setup {
    pub(super) fn decoder(&self) -> Decoder {
        let mut decoder = Decoder::new(self.role, self.limits.clone());
        if let Some(version) = self.version {
            decoder.set_version(version);
        }
        if self.logged_in {
            decoder.authenticated();
        }
        decoder
    }
}

/// `COMMAND{name=value;...}[body]`, headers as on the wire, octets that do not print as in Rust.
pub(super) fn show_frame(frame: &Frame) -> String {
    // Found without a search, and yet the same.
    assert_eq!(frame.as_ref().receipt(), frame.header("receipt"));
    let headers: Vec<String> = frame
        .headers()
        .map(|header| {
            format!(
                "{}={}",
                header.name.escape_ascii(),
                header.value.escape_ascii()
            )
        })
        .collect();
    let body = frame.body().escape_ascii();
    format!("{}{{{}}}[{body}]", frame.command(), headers.join(";"))
}

fn show_error(error: &DecodeError) -> String {
    let receipt = error
        .receipt()
        .map(|id| format!(" (receipt {})", id.escape_ascii()));
    format!("error: {}{}", error.summary(), receipt.unwrap_or_default())
}

/// Everything that is ready. `false` once the decoder has failed.
fn drain(decoder: &mut Decoder, seen: &mut Vec<String>) -> bool {
    loop {
        match decoder.next_input() {
            Ok(None) => return true,
            // How many line ends one heart-beat stands for depends on the reads.
            Ok(Some(Input::HeartBeat)) if seen.last().is_some_and(|last| last == "beat") => {}
            Ok(Some(Input::HeartBeat)) => seen.push("beat".to_owned()),
            Ok(Some(Input::Frame(frame))) => seen.push(show_frame(&frame)),
            Err(error) => {
                seen.push(show_error(&error));
                return false;
            }
        }
    }
}

/// Decodes `chunks` in turn; ends in `...` where a frame is unfinished.
pub(super) fn run<'a>(setup: &Setup, chunks: impl IntoIterator<Item = &'a [u8]>) -> Vec<String> {
    let mut decoder = setup.decoder();
    let mut seen = Vec::new();
    for chunk in chunks {
        decoder.extend(chunk);
        if !drain(&mut decoder, &mut seen) {
            return seen;
        }
    }
    if decoder.is_mid_frame() {
        seen.push("...".to_owned());
    }
    seen
}

/// Decodes `wire` as a socket would bring it, in reads of up to `read_bytes`.
pub(super) fn run_reads(setup: &Setup, wire: &[u8], read_bytes: usize) -> Vec<String> {
    let mut decoder = setup.decoder();
    let mut seen = Vec::new();
    let mut rest = wire;
    while !rest.is_empty() {
        rest = read(&mut decoder, rest, read_bytes);
        if !drain(&mut decoder, &mut seen) {
            return seen;
        }
    }
    if decoder.is_mid_frame() {
        seen.push("...".to_owned());
    }
    seen
}

/// One read: as much of `wire` as the decoder offers room for. Returns the rest.
pub(super) fn read<'a>(decoder: &mut Decoder, wire: &'a [u8], read_bytes: usize) -> &'a [u8] {
    let mut space = decoder.read_space();
    let room = space.remaining_mut();
    assert!(
        room > 0,
        "a read without room looks like the end of the stream"
    );
    let (now, rest) = wire.split_at(wire.len().min(read_bytes).min(room));
    space.put_slice(now);
    rest
}

/// Decodes `wire` whole, byte by byte and cut in two at every place.
pub(super) fn check(setup: &Setup, wire: &[u8], expected: &[&str]) {
    let shown = || wire.escape_ascii().to_string();
    assert_eq!(run(setup, [wire]), expected, "whole: {}", shown());
    assert_eq!(
        run(setup, wire.chunks(1)),
        expected,
        "byte by byte: {}",
        shown()
    );
    for read_bytes in [1, 3, 7, usize::MAX] {
        assert_eq!(
            run_reads(setup, wire, read_bytes),
            expected,
            "read: {}",
            shown()
        );
    }
    for cut in 0..=wire.len() {
        let (left, right) = wire.split_at(cut);
        assert_eq!(
            run(setup, [left, right]),
            expected,
            "cut at {cut}: {}",
            shown()
        );
    }
}
