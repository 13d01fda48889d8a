//! Runs a decoder over bytes cut in every way and says in text what came out.

use stompbox_protocol::{DecodeError, Decoder, Frame, Input, Limits, Role, Version};

/// How a decoder is set up before the first byte.
#[derive(Clone)]
pub(crate) struct Setup {
    pub(crate) role: Role,
    pub(crate) version: Option<Version>,
    pub(crate) limits: Limits,
    pub(crate) logged_in: bool,
}

pub(crate) fn server(version: Option<Version>) -> Setup {
    Setup {
        role: Role::Server,
        version,
        limits: Limits::default(),
        logged_in: true,
    }
}

pub(crate) fn client(version: Option<Version>) -> Setup {
    Setup {
        role: Role::Client,
        ..server(version)
    }
}

impl Setup {
    pub(crate) fn decoder(&self) -> Decoder {
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

/// `COMMAND{name=value;...}[body]`, decoded, octets outside of ASCII as escapes of Rust.
pub(crate) fn show_frame(frame: &Frame) -> String {
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
pub(crate) fn run<'a>(setup: &Setup, chunks: impl IntoIterator<Item = &'a [u8]>) -> Vec<String> {
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

/// Decodes `wire` whole, byte by byte and cut in two at every place.
pub(crate) fn check(setup: &Setup, wire: &[u8], expected: &[&str]) {
    let shown = || wire.escape_ascii().to_string();
    assert_eq!(run(setup, [wire]), expected, "whole: {}", shown());
    assert_eq!(
        run(setup, wire.chunks(1)),
        expected,
        "byte by byte: {}",
        shown()
    );
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
