//! What a selector asks of a message.

use std::borrow::Cow;

use super::JmsHeader;

/// A message as a selector sees it.
pub trait Properties {
    /// The sender's header of exactly that name, decoded; of a repeated one the first. `None` where there is none: an
    /// empty header is not absent. Borrowed unless its text had to be decoded.
    fn property(&self, name: &str) -> Option<Cow<'_, [u8]>>;

    /// What the JMS identifier stands for in this message; [`JmsHeader`] says what each is.
    fn header(&self, header: JmsHeader) -> HeaderValue<'_>;
}

/// What a JMS identifier stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeaderValue<'m> {
    /// The message has none: NULL.
    Absent,
    /// TRUE or FALSE.
    Boolean(bool),
    /// A number.
    Integer(i64),
    /// Text. As a property's it counts as a number or a boolean where it is compared with one.
    Text(Cow<'m, [u8]>),
}

impl HeaderValue<'static> {
    /// `JMSDeliveryMode` of a persistent message.
    pub const PERSISTENT: Self = Self::Text(Cow::Borrowed(b"PERSISTENT"));
    /// `JMSDeliveryMode` of any other.
    pub const NON_PERSISTENT: Self = Self::Text(Cow::Borrowed(b"NON_PERSISTENT"));
}

impl<'m> From<Option<Cow<'m, [u8]>>> for HeaderValue<'m> {
    fn from(text: Option<Cow<'m, [u8]>>) -> Self {
        text.map_or(Self::Absent, Self::Text)
    }
}
