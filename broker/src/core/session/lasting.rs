//! The headers that make a subscription durable or shared (dialect, SUBSCRIBE, UNSUBSCRIBE).

use stompbox_protocol::FrameRef;

use super::field;
use crate::core::destination::DestinationKind;
use crate::core::port::{Lasting, Refusal};

/// A subscription's name at the most, as a destination's.
const NAME_BYTES_MAX: usize = 255;

/// ActiveMQ's, RabbitMQ's and Artemis's names of the header with a durable subscription's name.
const NAME_HEADERS: [&str; 3] = [
    "activemq.subscriptionName",
    "durable-subscription-name",
    "durable-subscriber-name",
];

/// What a SUBSCRIBE or UNSUBSCRIBE says of it. RabbitMQ's flags mean nothing for a queue, which is durable anyway.
pub(super) fn lasting(
    frame: &FrameRef<'_>,
    kind: DestinationKind,
) -> Result<Option<Lasting>, Refusal> {
    let durable = NAME_HEADERS
        .iter()
        .find_map(|header| frame.header(header).map(|value| (*header, value)));
    let shared = frame.header("x-shared-name");
    let is_shared = field::flag(frame, "x-shared")?;
    let is_durable = field::flag(frame, "durable")? || field::flag(frame, "persistent")?;
    match (durable, shared) {
        (Some((header, _)), Some(_)) => Err(Refusal::new(
            "subscription has two names",
            format!(
                "'{header}' names a durable subscription and 'x-shared-name' one that is not: send one of them; a \
                 durable one is shared by 'x-shared:true'"
            ),
        )),
        (Some((header, value)), None) => {
            let name = name(header, &value)?;
            Ok(Some(if is_shared {
                Lasting::SharedDurable(name)
            } else {
                Lasting::Durable(name)
            }))
        }
        (None, Some(value)) => Ok(Some(Lasting::Shared(name("x-shared-name", &value)?))),
        (None, None) if is_shared => Err(Refusal::new(
            "shared subscription has no name",
            "x-shared:true shares the durable subscription that 'durable-subscription-name' names: send that too, or \
             'x-shared-name' for one that is not durable",
        )),
        (None, None) if is_durable && kind == DestinationKind::Topic => {
            let id = field::required(frame, "id")?;
            Ok(Some(Lasting::ById(name("id", &id)?)))
        }
        (None, None) => Ok(None),
    }
}

fn name(header: &str, value: &[u8]) -> Result<Box<str>, Refusal> {
    let invalid = |what: String| {
        Refusal::new(
            "subscription name is invalid",
            format!("the header '{header}' names a subscription: {what}"),
        )
    };
    if value.is_empty() || value.len() > NAME_BYTES_MAX {
        let bytes = value.len();
        return Err(invalid(format!(
            "it has {bytes} bytes, and must have 1 to {NAME_BYTES_MAX}"
        )));
    }
    match std::str::from_utf8(value) {
        Ok(name) => Ok(name.into()),
        Err(_) => Err(invalid("it must be UTF-8".to_owned())),
    }
}
