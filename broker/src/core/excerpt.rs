//! The beginning of what a peer wrote, as it stands in an error text: short, and on one line.

const CHARACTERS_MAX: usize = 60;

/// The first characters of a text; control characters become spaces.
#[must_use]
pub fn excerpt(text: &str) -> String {
    text.chars()
        .take(CHARACTERS_MAX)
        .map(|character| {
            if character.is_control() {
                ' '
            } else {
                character
            }
        })
        .collect()
}

/// The same of bytes that may be no text.
#[must_use]
pub fn excerpt_of_bytes(bytes: &[u8]) -> String {
    const BYTES_MAX: usize = CHARACTERS_MAX * 4;
    excerpt(&String::from_utf8_lossy(
        bytes.get(..BYTES_MAX).unwrap_or(bytes),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_short_and_on_one_line() {
        assert_eq!(excerpt("a\nb"), "a b");
        assert_eq!(excerpt(&"ö".repeat(100)), "ö".repeat(60));
        assert_eq!(excerpt_of_bytes(b"a\xffb"), "a\u{fffd}b");
        assert_eq!(excerpt_of_bytes(&[b'x'; 10_000]), "x".repeat(60));
    }
}
