//! What a durable or shared subscription is called, as one text: the store keeps it and finds it again.

use std::fmt::Write as _;

use crate::core::destination::DestinationName;
use crate::core::port::{Lasting, Refusal};

/// How many consumers a subscription may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sharing {
    /// One at a time.
    Alone,
    /// They compete.
    Shared,
}

/// Whether a subscription is kept while nobody uses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Life {
    /// Until it is deleted.
    Durable,
    /// As long as it has a consumer.
    WithConsumers,
}

/// The name of a subscription. Two with the same text are the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) text: Box<str>,
    pub(super) sharing: Sharing,
    pub(super) life: Life,
}

/// What the text of a shared one begins with.
const SHARED: &str = "shared";
/// What the text of one begins with that is not stored.
const VOLATILE: &str = "volatile";

impl Identity {
    /// The name that a SUBSCRIBE asks for.
    ///
    /// # Errors
    /// When it needs a `client-id` and the connection has none, or a destination that was not named.
    pub(super) fn of(
        lasting: &Lasting,
        client_id: Option<&str>,
        topic: Option<&DestinationName>,
    ) -> Result<Self, Refusal> {
        let own = client_id.map(|client_id| ("client-id", client_id));
        Ok(match lasting {
            Lasting::Durable(name) => {
                let Some(own) = own else {
                    return Err(Refusal::new(
                        "client-id is missing",
                        "a durable subscription is named by the connection's client-id and its own name: CONNECT \
                         with the header 'client-id', or add 'x-shared:true' to share it by its name alone",
                    ));
                };
                let text = joined(None, &[own, ("name", name)]);
                Self::new(text, Sharing::Alone, Life::Durable)
            }
            Lasting::SharedDurable(name) => {
                let parts: Vec<_> = own.into_iter().chain([("name", &**name)]).collect();
                Self::new(joined(Some(SHARED), &parts), Sharing::Shared, Life::Durable)
            }
            Lasting::ById(id) => {
                let Some(topic) = topic else {
                    return Err(Refusal::new(
                        "destination is missing",
                        "a durable subscription that is named by its destination and id needs the header 'destination'",
                    ));
                };
                let parts = [("destination", topic.wire()), ("id", id)];
                Self::new(joined(Some(SHARED), &parts), Sharing::Shared, Life::Durable)
            }
            Lasting::Shared(name) => {
                let parts: Vec<_> = own.into_iter().chain([("name", &**name)]).collect();
                let text = joined(Some(VOLATILE), &parts);
                Self::new(text, Sharing::Shared, Life::WithConsumers)
            }
        })
    }

    /// A name that the store kept.
    pub(super) fn stored(text: &str) -> Self {
        let is_shared = text.split('&').next() == Some(SHARED);
        let sharing = if is_shared {
            Sharing::Shared
        } else {
            Sharing::Alone
        };
        Self::new(text.to_owned(), sharing, Life::Durable)
    }

    fn new(text: String, sharing: Sharing, life: Life) -> Self {
        Self {
            text: text.into_boxed_str(),
            sharing,
            life,
        }
    }
}

fn joined(first: Option<&str>, parts: &[(&str, &str)]) -> String {
    let mut text = first.unwrap_or_default().to_owned();
    for (key, value) in parts {
        if !text.is_empty() {
            text.push('&');
        }
        text.push_str(key);
        text.push('=');
        for character in value.chars() {
            if character.is_control() || matches!(character, '%' | '&' | '=') {
                let mut bytes = [0; 4];
                for byte in character.encode_utf8(&mut bytes).bytes() {
                    // Writing to a string does not fail.
                    let _ = write!(text, "%{byte:02X}");
                }
            } else {
                text.push(character);
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(lasting: Lasting, client_id: Option<&str>) -> String {
        let topic = DestinationName::parse(b"/topic/t").expect("a name");
        let identity = Identity::of(&lasting, client_id, Some(&topic)).expect("a client-id");
        String::from(identity.text)
    }

    #[test]
    fn names_are_told_apart_whatever_is_in_them() {
        let texts = [
            text(Lasting::Durable("n".into()), Some("c")),
            text(Lasting::Durable("n&name=m".into()), Some("c")),
            text(Lasting::SharedDurable("n".into()), Some("c")),
            text(Lasting::SharedDurable("n".into()), None),
            text(Lasting::ById("n".into()), Some("c")),
            text(Lasting::Shared("n".into()), None),
        ];
        assert_eq!(
            texts,
            [
                "client-id=c&name=n",
                "client-id=c&name=n%26name%3Dm",
                "shared&client-id=c&name=n",
                "shared&name=n",
                "shared&destination=/topic/t&id=n",
                "volatile&name=n",
            ]
        );
    }

    #[test]
    fn a_stored_name_is_what_it_was() {
        let topic = DestinationName::parse(b"/topic/t").expect("a name");
        let all = [
            Lasting::Durable("shared&".into()),
            Lasting::SharedDurable("n".into()),
            Lasting::ById("n".into()),
        ];
        for lasting in all {
            let identity = Identity::of(&lasting, Some("c"), Some(&topic)).expect("a client-id");
            assert_eq!(Identity::stored(&identity.text), identity);
        }
    }
}
