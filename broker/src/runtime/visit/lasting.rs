//! Deleting a durable subscription, as its own client would: by the name that its identity spells out.

use std::sync::Arc;

use stompbox_console::{AdminError, SubscriptionView};

use super::{Visit, receipt_id};
use crate::core::destination::{DestinationKind, DestinationName};
use crate::core::port::{Deletion, DeliveryCounter, Lasting, Request};

/// A durable subscription by the parts of its identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::runtime) struct Named {
    /// Whose it is, unless it is shared by everybody.
    pub(in crate::runtime) client_id: Option<Box<str>>,
    lasting: Lasting,
    topic: Arc<DestinationName>,
}

impl Named {
    /// Reads the identity of a durable subscription; none if it is no such.
    pub(in crate::runtime) fn of(view: &SubscriptionView) -> Option<Self> {
        let (mut client_id, mut name, mut id) = (None, None, None);
        let mut is_shared = false;
        for part in view.identity.split('&') {
            match part.split_once('=') {
                None => is_shared = part == "shared",
                Some(("client-id", value)) => client_id = Some(decoded(value)?),
                Some(("name", value)) => name = Some(decoded(value)?),
                Some(("id", value)) => id = Some(decoded(value)?),
                Some(_) => {}
            }
        }
        let lasting = match (name, id) {
            (Some(name), None) if is_shared => Lasting::SharedDurable(name),
            (Some(name), None) => Lasting::Durable(name),
            (None, Some(id)) => Lasting::ById(id),
            _ => return None,
        };
        let topic = DestinationName::new(DestinationKind::Topic, &view.topic);
        view.durable.then(|| Self {
            client_id,
            lasting,
            topic: Arc::new(topic),
        })
    }
}

/// Deletes it. The visit has its client's id.
pub(in crate::runtime) async fn forget(visit: &mut Visit, named: Named) -> Result<(), AdminError> {
    let receipt = receipt_id("forget");
    let unsubscribe = Request::Unsubscribe {
        subscription: None,
        deletes: Some(Deletion {
            lasting: named.lasting,
            topic: Some(named.topic),
        }),
        given: DeliveryCounter(0),
        receipt: Some(receipt.clone()),
    };
    visit.request(unsubscribe).await?;
    visit.receipt(&receipt).await
}

/// A part of an identity without its escapes, `%` and two digits each.
fn decoded(text: &str) -> Option<Box<str>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        match (first, behind.split_at_checked(2)) {
            (b'%', Some((digits, behind))) => {
                let digits = std::str::from_utf8(digits).ok()?;
                bytes.push(u8::from_str_radix(digits, 16).ok()?);
                rest = behind;
            }
            (b'%', None) => return None,
            _ => {
                bytes.push(*first);
                rest = behind;
            }
        }
    }
    String::from_utf8(bytes).ok().map(String::into_boxed_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(identity: &str, durable: bool) -> Option<(Option<Box<str>>, Lasting)> {
        let view = SubscriptionView {
            identity: identity.to_owned(),
            topic: "t".to_owned(),
            durable,
            ..SubscriptionView::default()
        };
        Named::of(&view).map(|named| (named.client_id, named.lasting))
    }

    #[test]
    fn an_identity_says_whose_subscription_it_is_and_its_name() {
        let some = |text: &str| Some(text.into());
        for (identity, client_id, lasting) in [
            (
                "client-id=c&name=n",
                some("c"),
                Lasting::Durable("n".into()),
            ),
            (
                "client-id=a%26b%3D%25&name=%C2%85",
                some("a&b=%"),
                Lasting::Durable("\u{85}".into()),
            ),
            ("shared&name=n", None, Lasting::SharedDurable("n".into())),
            (
                "shared&client-id=c&name=n",
                some("c"),
                Lasting::SharedDurable("n".into()),
            ),
            (
                "shared&destination=/topic/t&id=7",
                None,
                Lasting::ById("7".into()),
            ),
        ] {
            assert_eq!(
                named(identity, true),
                Some((client_id, lasting)),
                "{identity}"
            );
        }
        for identity in [
            "",
            "shared",
            "client-id=c",
            "client-id=%&name=n",
            "name=%zz",
            "name=%FF",
        ] {
            assert_eq!(named(identity, true), None, "{identity}");
        }
        assert_eq!(named("volatile&name=n", false), None);
    }
}
