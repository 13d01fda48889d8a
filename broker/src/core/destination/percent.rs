//! Percent-encoding, as in the query of a URL: `%27` is a byte, `+` is a space.

use super::error::OptionError;
use crate::core::excerpt::excerpt;

/// The text that was encoded.
pub(super) fn decode(encoded: &str) -> Result<String, OptionError> {
    let refused = || OptionError::Encoding {
        value: excerpt(encoded),
    };
    let mut decoded = Vec::with_capacity(encoded.len());
    let mut bytes = encoded.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [bytes.next(), bytes.next()].map(|digit| digit.and_then(hex));
                let [Some(high), Some(low)] = digits else {
                    return Err(refused());
                };
                high << 4 | low
            }
            plain => plain,
        });
    }
    String::from_utf8(decoded).map_err(|_| refused())
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_encoded_comes_back() {
        assert_eq!(decode("a%20%3d+'%C3%b6'=%2B"), Ok("a = 'ö'=+".to_owned()));
    }

    #[test]
    fn what_is_not_encoded_is_refused() {
        for text in ["a LIKE 'x%'", "%", "%4", "%ff"] {
            let value = text.to_owned();
            assert_eq!(decode(text), Err(OptionError::Encoding { value }));
        }
    }
}
