//! Recognises peers that speak something else than STOMP, and quotes what they said.

/// Another protocol that reached a STOMP port.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub enum Foreign {
    /// An HTTP request line.
    Http,
    /// A TLS record with a handshake, most likely a ClientHello.
    Tls,
}

const HTTP_METHODS: [&[u8]; 9] = [
    b"GET ",
    b"POST ",
    b"PUT ",
    b"HEAD ",
    b"OPTIONS ",
    b"DELETE ",
    b"PATCH ",
    b"TRACE ",
    b"PRI ",
];

/// How much of what a peer sent is repeated back to it.
const QUOTE_BYTES_MAX: usize = 32;

impl Foreign {
    /// Judges by the first bytes of what should have been a command line.
    pub(crate) fn recognise(line: &[u8]) -> Option<Self> {
        // The version in a record header is 3.1 or 3.3, whatever the version of TLS.
        if line.starts_with(&[0x16, 0x03]) {
            return Some(Self::Tls);
        }
        let is_http = HTTP_METHODS.iter().any(|method| line.starts_with(method))
            || (line.starts_with(b"CONNECT ") && memchr::memmem::find(line, b" HTTP/").is_some());
        is_http.then_some(Self::Http)
    }

    pub(crate) const fn advice(self) -> &'static str {
        match self {
            Self::Http => {
                "This looks like an HTTP request: this port speaks STOMP. Web pages have a port of \
                 their own."
            }
            Self::Tls => {
                "This looks like a TLS handshake: this port speaks STOMP without TLS. Switch TLS \
                 off in the client."
            }
        }
    }
}

/// Printable ASCII, at most 32 bytes, anything else as `.`: safe in a frame, a log or a terminal.
pub(crate) fn quote(bytes: &[u8]) -> String {
    let printable = |&byte: &u8| match byte {
        b' '..=b'~' => char::from(byte),
        _ => '.',
    };
    bytes.iter().take(QUOTE_BYTES_MAX).map(printable).collect()
}
