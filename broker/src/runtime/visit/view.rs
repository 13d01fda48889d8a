//! A delivery as the console shows it.

use std::fmt::Write as _;

use stompbox_console::{BodyEncoding, BodyView, HeaderView, MessageView};
use stompbox_protocol::canonical;
use stompbox_store::Sequence;

use crate::core::message::DeliveryMode;
use crate::core::port::Delivery;

/// The `message-id` of a delivery.
pub(super) fn message_id(instance: &str, delivery: &Delivery) -> String {
    let number = Sequence(delivery.number.0);
    format!("ID:{instance}-{}-{}", number.epoch().0, number.counter())
}

/// Where a dead letter comes from, with prefix.
pub(super) fn original_destination(delivery: &Delivery) -> Option<String> {
    let annotations = delivery.annotations.as_deref()?;
    let original = canonical::find(annotations, b"original-destination")?;
    Some(text(&original))
}

/// A delivery with so much of its body at the most.
pub(super) fn view(instance: &str, delivery: &Delivery, body_bytes_max: usize) -> MessageView {
    let message = &delivery.message;
    let annotations = delivery.annotations.as_deref().map_or(&[][..], |own| own);
    let headers = canonical::headers(annotations).chain(canonical::headers(message.head()));
    MessageView {
        id: message_id(instance, delivery),
        priority: message.priority.get(),
        timestamp_ms: message.timestamp_ms,
        expires_ms: delivery.expires_ms,
        persistent: delivery.mode == DeliveryMode::Persistent,
        deliveries: delivery.deliveries.saturating_sub(1),
        bytes: message.bytes() as u64,
        original_destination: original_destination(delivery),
        headers: headers
            .map(|(name, value)| HeaderView {
                name: text(&name),
                value: text(&value),
            })
            .collect(),
        body: body(message.body(), body_bytes_max),
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn body(whole: &[u8], bytes_max: usize) -> BodyView {
    let shown = &whole[..whole.len().min(bytes_max)];
    let (encoding, content, shown_bytes) = match std::str::from_utf8(shown) {
        Ok(text) => (BodyEncoding::Text, text.to_owned(), text.len()),
        // Cut within a character.
        Err(error) if error.error_len().is_none() && shown.len() < whole.len() => {
            let text = text(&shown[..error.valid_up_to()]);
            (BodyEncoding::Text, text, error.valid_up_to())
        }
        Err(_) => (BodyEncoding::Hex, hex(shown), shown.len()),
    };
    BodyView {
        encoding,
        content,
        shown_bytes: shown_bytes as u64,
        bytes: whole.len() as u64,
    }
}

fn hex(bytes: &[u8]) -> String {
    let mut digits = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // A String takes all that is written to it.
        let _ = write!(digits, "{byte:02x}");
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_text_as_far_as_it_is_shown_or_else_bytes() {
        for (whole, bytes_max, encoding, content, shown_bytes) in [
            (&b""[..], 4, BodyEncoding::Text, "", 0),
            (b"tea", 4, BodyEncoding::Text, "tea", 3),
            (b"a pot of tea", 4, BodyEncoding::Text, "a po", 4),
            ("aé".as_bytes(), 2, BodyEncoding::Text, "a", 1),
            (b"a\xc3", 4, BodyEncoding::Hex, "61c3", 2),
            (b"\xff\x00\x01\x02\x03", 4, BodyEncoding::Hex, "ff000102", 4),
        ] {
            let expected = BodyView {
                encoding,
                content: content.to_owned(),
                shown_bytes,
                bytes: whole.len() as u64,
            };
            assert_eq!(body(whole, bytes_max), expected, "{whole:?}");
        }
    }
}
