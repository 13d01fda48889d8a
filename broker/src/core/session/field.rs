//! Reading single headers of a frame, with errors that name them.

use stompbox_protocol::FrameRef;

use crate::core::port::{ReceiptId, Refusal};

/// The `receipt` header.
pub(super) fn receipt(frame: &FrameRef<'_>) -> Option<ReceiptId> {
    frame
        .receipt()
        .map(|value| ReceiptId(value.as_ref().into()))
}

/// A header that must be there.
pub(super) fn required(frame: &FrameRef<'_>, name: &str) -> Result<Box<[u8]>, Refusal> {
    match frame.header(name) {
        Some(value) => Ok(value.as_ref().into()),
        None => Err(missing(frame, name)),
    }
}

/// What a frame meets that lacks a header.
pub(super) fn missing(frame: &FrameRef<'_>, name: &str) -> Refusal {
    Refusal::new(
        format!("{name} is missing"),
        format!("{} needs the header '{name}'", frame.command().as_str()),
    )
}

/// An integer header, where it is there.
pub(super) fn integer(frame: &FrameRef<'_>, name: &str) -> Result<Option<i64>, Refusal> {
    frame
        .header(name)
        .map(|value| parse_integer(name, &value))
        .transpose()
}

/// An integer header's value.
pub(super) fn parse_integer(name: &str, value: &[u8]) -> Result<i64, Refusal> {
    std::str::from_utf8(value)
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .ok_or_else(|| {
            Refusal::new(
                format!("{name} is not an integer"),
                format!(
                    "the header '{name}' must be an integer, not '{}'",
                    excerpt(value)
                ),
            )
        })
}

/// An integer of which only its nearness to some range counts: too long a one is the greatest or least there is.
pub(super) fn parse_clamped(name: &str, value: &[u8]) -> Result<i64, Refusal> {
    parse_integer(name, value).or_else(|refusal| {
        let text = value.trim_ascii();
        let (bound, digits) = match text {
            [b'-', digits @ ..] => (i64::MIN, digits),
            [b'+', digits @ ..] | digits => (i64::MAX, digits),
        };
        let is_integer = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
        if is_integer { Ok(bound) } else { Err(refusal) }
    })
}

/// A count or a time that cannot be negative.
pub(super) fn parse_natural(name: &str, value: &[u8]) -> Result<i64, Refusal> {
    let number = parse_integer(name, value)?;
    if number >= 0 {
        return Ok(number);
    }
    Err(Refusal::new(
        format!("{name} is negative"),
        format!("the header '{name}' must be 0 or more, not {number}"),
    ))
}

/// `true` or `false`, also capitalised as Python writes them.
pub(super) fn parse_flag(name: &str, value: &[u8]) -> Result<bool, Refusal> {
    // As nearly all write them.
    if value == b"false" {
        Ok(false)
    } else if value == b"true" || value.eq_ignore_ascii_case(b"true") {
        Ok(true)
    } else if value.eq_ignore_ascii_case(b"false") {
        Ok(false)
    } else {
        Err(Refusal::new(
            format!("{name} is neither true nor false"),
            format!(
                "the header '{name}' must be true or false, not '{}'",
                excerpt(value)
            ),
        ))
    }
}

/// A flag header; absent is false.
pub(super) fn flag(frame: &FrameRef<'_>, name: &str) -> Result<bool, Refusal> {
    frame
        .header(name)
        .map_or(Ok(false), |value| parse_flag(name, &value))
}

/// The beginning of a peer's value, for an error text.
pub(super) fn excerpt(value: &[u8]) -> String {
    const CHARACTERS_MAX: usize = 60;
    String::from_utf8_lossy(value)
        .chars()
        .map(|character| {
            if character.is_control() {
                ' '
            } else {
                character
            }
        })
        .take(CHARACTERS_MAX)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_integer_that_is_too_long_lies_at_the_end_of_the_range() {
        let clamped = |text: &str| parse_clamped("priority", text.as_bytes()).ok();
        for (text, expected) in [
            ("7", Some(7)),
            (" -3 ", Some(-3)),
            ("99999999999999999999", Some(i64::MAX)),
            (" +99999999999999999999 ", Some(i64::MAX)),
            ("-99999999999999999999", Some(i64::MIN)),
            ("99999999999999999999x", None),
            ("9999999999999999999 9", None),
            ("-", None),
            ("", None),
            ("x", None),
        ] {
            assert_eq!(clamped(text), expected, "{text}");
        }
    }
}
