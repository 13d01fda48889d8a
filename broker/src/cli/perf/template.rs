//! The SEND frames of a producer: built once, copied and patched for each message.

use stompbox_protocol::{Command, Version, encode};

use super::content::Stamp;

/// Digits of the number in each frame: always so many, so that it can be written over.
const DIGITS: usize = 10;

/// What the number in each frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Numbered {
    /// There is none.
    Not,
    /// The receipt that is asked for.
    Receipt,
    /// The transaction that the message belongs to.
    Transaction,
}

/// What all messages of a producer have in common.
pub(super) struct Shape<'a> {
    /// Where they go.
    pub(super) destination: &'a str,
    /// Whether the broker stores them; not said if that is what it takes for granted and cannot be told.
    pub(super) persistent: Option<bool>,
    /// Length of the body.
    pub(super) body_bytes: usize,
    /// Further headers.
    pub(super) headers: &'a [(String, String)],
}

/// A SEND frame to copy.
pub(super) struct Template {
    frame: Vec<u8>,
    number_at: Option<usize>,
    body_at: usize,
}

impl Template {
    pub(super) fn new(shape: &Shape<'_>, numbered: Numbered) -> Template {
        let zeros = [b'0'; DIGITS];
        let name: &[u8] = match numbered {
            Numbered::Not => b"",
            Numbered::Receipt => b"receipt",
            Numbered::Transaction => b"transaction",
        };
        let mut headers: Vec<(&[u8], &[u8])> = Vec::new();
        // First, so that its place is known.
        let number_at = (!name.is_empty()).then(|| {
            headers.push((name, &zeros));
            "SEND\n".len() + name.len() + ":".len()
        });
        headers.push((b"destination", shape.destination.as_bytes()));
        // Brokers differ in what they take for granted.
        match shape.persistent {
            Some(true) => headers.push((b"persistent", b"true")),
            Some(false) => headers.push((b"persistent", b"false")),
            None => {}
        }
        for (name, value) in shape.headers {
            headers.push((name.as_bytes(), value.as_bytes()));
        }
        let body = vec![b'x'; shape.body_bytes];
        let mut frame = Vec::new();
        encode::frame(&mut frame, Version::V1_2, Command::Send, &headers, &body);
        let body_at = frame.len() - 1 - body.len();
        Template {
            frame,
            number_at,
            body_at,
        }
    }

    /// Length of each frame.
    pub(super) fn frame_bytes(&self) -> usize {
        self.frame.len()
    }

    /// Appends the frame of a message.
    pub(super) fn append(&self, out: &mut Vec<u8>, number: u64, stamp: &Stamp) {
        let start = out.len();
        out.extend_from_slice(&self.frame);
        let frame = &mut out[start..];
        if let Some(at) = self.number_at {
            write_number(&mut frame[at..at + DIGITS], number);
        }
        stamp.write(&mut frame[self.body_at..]);
    }
}

/// Appends a frame that opens or closes a transaction; a receipt has the number of the transaction.
pub(super) fn append_transaction(
    out: &mut Vec<u8>,
    command: Command,
    number: u64,
    with_receipt: bool,
) {
    let mut digits = [b'0'; DIGITS];
    write_number(&mut digits, number);
    let headers: [(&[u8], &[u8]); 2] = [(b"transaction", &digits), (b"receipt", &digits)];
    let count = if with_receipt { 2 } else { 1 };
    encode::frame(out, Version::V1_2, command, &headers[..count], b"");
}

fn write_number(digits: &mut [u8], mut number: u64) {
    for digit in digits.iter_mut().rev() {
        // Below 10, so that nothing is cut off.
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::super::content::{RunId, SourceId};
    use super::*;

    fn stamp() -> Stamp {
        let source = SourceId {
            run: RunId(1),
            producer: 2,
        };
        Stamp {
            source,
            sequence: 3,
            sent_ns: 4,
        }
    }

    fn text(numbered: Numbered) -> String {
        let headers = [("a".to_owned(), "b:c".to_owned())];
        let shape = Shape {
            destination: "/queue/q",
            persistent: Some(true),
            body_bytes: 32,
            headers: &headers,
        };
        let template = Template::new(&shape, numbered);
        let mut out = Vec::new();
        template.append(&mut out, 42, &stamp());
        template.append(&mut out, 43, &stamp());
        assert_eq!(out.len(), 2 * template.frame_bytes());
        let frame = &out[template.frame_bytes()..];
        let body = &frame[template.body_at..frame.len() - 1];
        assert_eq!(Stamp::read(body), Some(stamp()));
        String::from_utf8_lossy(&frame[..template.body_at]).into_owned()
    }

    #[test]
    fn a_frame_has_its_number_and_its_stamp() {
        let common = "destination:/queue/q\npersistent:true\na:b\\cc\ncontent-length:32\n\n";
        assert_eq!(text(Numbered::Not), format!("SEND\n{common}"));
        assert_eq!(
            text(Numbered::Receipt),
            format!("SEND\nreceipt:0000000043\n{common}")
        );
        assert_eq!(
            text(Numbered::Transaction),
            format!("SEND\ntransaction:0000000043\n{common}")
        );
    }

    #[test]
    fn only_a_commit_asks_for_a_receipt() {
        let mut out = Vec::new();
        append_transaction(&mut out, Command::Begin, 7, false);
        append_transaction(&mut out, Command::Commit, 7, true);
        let expected = "BEGIN\ntransaction:0000000007\n\n\0\
            COMMIT\ntransaction:0000000007\nreceipt:0000000007\n\n\0";
        assert_eq!(String::from_utf8_lossy(&out), expected);
    }
}
