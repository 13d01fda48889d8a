//! W3C trace context: where a message belongs in a distributed trace, in the headers `traceparent` and `tracestate`.
//!
//! While a listener runs, the context of its message is the current one: what it sends continues that trace. Elsewhere a
//! function given to [`ConnectionBuilder::trace_source`](crate::ConnectionBuilder::trace_source) may say which it is.

use std::fmt;

use crate::random;

tokio::task_local! {
    static CURRENT: TraceContext;
}

/// A longer `tracestate` is left out, as the W3C allows.
const STATE_BYTES_MAX: usize = 512;

/// A place in a trace.
///
/// ```
/// use stompbox_client::TraceContext;
///
/// let root = TraceContext::new_root();
/// let child = root.child();
/// assert_eq!(root.trace_id(), child.trace_id());
/// assert_ne!(root.span_id(), child.span_id());
/// let parsed = TraceContext::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", None);
/// assert_eq!(parsed.map(|context| context.is_sampled()), Some(true));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TraceContext {
    trace: [u8; 16],
    span: [u8; 8],
    flags: u8,
    state: Option<Box<str>>,
}

impl TraceContext {
    /// The beginning of a new trace, sampled.
    ///
    /// ```
    /// # use stompbox_client::TraceContext;
    /// assert!(TraceContext::new_root().is_sampled());
    /// ```
    #[must_use]
    pub fn new_root() -> Self {
        Self {
            trace: random::bytes(),
            span: random::bytes(),
            flags: 1,
            state: None,
        }
    }

    /// From the values of `traceparent` and `tracestate`; [`None`] where the former is not valid.
    ///
    /// ```
    /// # use stompbox_client::TraceContext;
    /// assert_eq!(TraceContext::parse("no trace", None), None);
    /// ```
    #[must_use]
    pub fn parse(parent: &str, state: Option<&str>) -> Option<Self> {
        let mut parts = parent.split('-');
        let version: [u8; 1] = unhex(parts.next()?)?;
        let (trace, span) = (unhex(parts.next()?)?, unhex(parts.next()?)?);
        let [flags] = unhex(parts.next()?)?;
        // Later versions may append parts, version 0 may not (W3C Trace Context, 3.2.4 and 4).
        let is_valid = version != [0xff]
            && (version != [0] || parts.next().is_none())
            && trace != [0; 16]
            && span != [0; 8];
        is_valid.then(|| Self {
            trace,
            span,
            flags,
            state: state
                .filter(|state| !state.is_empty() && state.len() <= STATE_BYTES_MAX)
                .map(Into::into),
        })
    }

    /// A new span of the same trace.
    ///
    /// ```
    /// # use stompbox_client::TraceContext;
    /// let root = TraceContext::new_root();
    /// assert_eq!(root.child().trace_id(), root.trace_id());
    /// ```
    #[must_use]
    pub fn child(&self) -> Self {
        Self {
            span: random::bytes(),
            ..self.clone()
        }
    }

    /// The context of the message that is being listened to; [`None`] elsewhere.
    ///
    /// ```
    /// # use stompbox_client::TraceContext;
    /// assert_eq!(TraceContext::current(), None);
    /// ```
    #[must_use]
    pub fn current() -> Option<Self> {
        CURRENT.try_with(Clone::clone).ok()
    }

    /// The trace, as 32 hexadecimal digits.
    ///
    /// ```
    /// # use stompbox_client::TraceContext;
    /// assert_eq!(TraceContext::new_root().trace_id().len(), 32);
    /// ```
    #[must_use]
    pub fn trace_id(&self) -> String {
        Hex(&self.trace).to_string()
    }

    /// The span, as 16 hexadecimal digits.
    ///
    /// ```
    /// # use stompbox_client::TraceContext;
    /// assert_eq!(TraceContext::new_root().span_id().len(), 16);
    /// ```
    #[must_use]
    pub fn span_id(&self) -> String {
        Hex(&self.span).to_string()
    }

    /// Whether somebody records the trace.
    ///
    /// ```
    /// # use stompbox_client::TraceContext;
    /// assert!(TraceContext::new_root().child().is_sampled());
    /// ```
    #[must_use]
    pub fn is_sampled(&self) -> bool {
        self.flags & 1 == 1
    }

    /// What `tracestate` says.
    ///
    /// ```
    /// # use stompbox_client::TraceContext;
    /// assert_eq!(TraceContext::new_root().state(), None);
    /// ```
    #[must_use]
    pub fn state(&self) -> Option<&str> {
        self.state.as_deref()
    }

    /// Runs a future with this as the current context.
    pub(crate) async fn scope<F: Future>(self, future: F) -> F::Output {
        CURRENT.scope(self, future).await
    }
}

/// As the value of `traceparent`.
impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (trace, span) = (Hex(&self.trace), Hex(&self.span));
        write!(f, "00-{trace}-{span}-{:02x}", self.flags)
    }
}

struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Exactly `N` bytes in lower case, as the W3C has it.
fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let is_lower = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if text.len() != N * 2 || !text.as_bytes().iter().all(is_lower) {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::TraceContext;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN: &str = "00f067aa0ba902b7";

    #[test]
    fn a_context_survives_being_written_and_read() {
        let text = format!("00-{TRACE}-{SPAN}-01");
        let context = TraceContext::parse(&text, Some("vendor=1")).expect("valid");
        assert_eq!(context.to_string(), text);
        assert_eq!(
            (context.trace_id(), context.span_id()),
            (TRACE.into(), SPAN.into())
        );
        assert_eq!(context.state(), Some("vendor=1"));
        assert_eq!(context.child().state(), Some("vendor=1"));
    }

    #[test]
    fn what_the_w3c_forbids_is_no_context() {
        let zeros = "0".repeat(32);
        for text in [
            String::new(),
            format!("00-{TRACE}-{SPAN}"),
            format!("00-{TRACE}-{SPAN}-01-more"),
            format!("ff-{TRACE}-{SPAN}-01"),
            format!("00-{zeros}-{SPAN}-01"),
            format!("00-{TRACE}-0000000000000000-01"),
            format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
            format!("00-{TRACE}00-{SPAN}-01"),
        ] {
            assert_eq!(TraceContext::parse(&text, None), None, "{text}");
        }
        let later = format!("01-{TRACE}-{SPAN}-01-more");
        assert!(TraceContext::parse(&later, None).is_some());
        let long = "x".repeat(600);
        let context = TraceContext::parse(&later, Some(&long)).expect("valid");
        assert_eq!(context.state(), None);
    }
}
