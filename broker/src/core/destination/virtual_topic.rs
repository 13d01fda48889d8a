//! Virtual topics: what is sent to the topic `VirtualTopic.X` is copied to every queue `Consumer.ANY.VirtualTopic.X`
//! that exists. Names alone say so; nothing is declared.

use super::DestinationKind;
use super::name::DestinationName;

const TOPIC_SEGMENT: &str = "VirtualTopic";
const QUEUE_SEGMENT: &str = "Consumer";

/// Whether what is sent to this destination is copied to consumer queues.
#[must_use]
pub fn is_virtual_topic(name: &DestinationName) -> bool {
    name.kind() == DestinationKind::Topic
        && !name.is_temporary()
        && name.name().split('.').next() == Some(TOPIC_SEGMENT)
}

/// The virtual topic whose messages a queue gets; [`None`] of an ordinary queue and of a topic.
#[must_use]
pub fn virtual_topic_of(queue: &DestinationName) -> Option<DestinationName> {
    if queue.kind() != DestinationKind::Queue || queue.is_temporary() {
        return None;
    }
    let mut parts = queue.name().splitn(3, '.');
    let (Some(QUEUE_SEGMENT), Some(_application), Some(topic)) =
        (parts.next(), parts.next(), parts.next())
    else {
        return None;
    };
    let topic = DestinationName::new(DestinationKind::Topic, topic);
    is_virtual_topic(&topic).then_some(topic)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> DestinationName {
        DestinationName::parse(text.as_bytes()).expect("a name")
    }

    #[test]
    fn a_consumer_queue_names_its_topic() {
        let topic = |text: &str| virtual_topic_of(&name(text)).map(|topic| topic.wire().to_owned());
        for (queue, expected) in [
            ("Consumer.A.VirtualTopic.X", Some("/topic/VirtualTopic.X")),
            (
                "Consumer.A.VirtualTopic.X.Y",
                Some("/topic/VirtualTopic.X.Y"),
            ),
            ("Consumer.A.VirtualTopic", Some("/topic/VirtualTopic")),
            ("Consumer.A.B.VirtualTopic.X", None),
            ("Consumer.VirtualTopic.X", None),
            ("Consumer.A.VirtualTopics.X", None),
            ("Consumer.A", None),
            ("consumer.A.VirtualTopic.X", None),
            ("/topic/Consumer.A.VirtualTopic.X", None),
        ] {
            assert_eq!(topic(queue).as_deref(), expected, "{queue}");
        }
    }

    #[test]
    fn a_topic_is_virtual_by_its_first_segment() {
        for (text, expected) in [
            ("/topic/VirtualTopic.X", true),
            ("/topic/VirtualTopic", true),
            ("/topic/VirtualTopics.X", false),
            ("/topic/X.VirtualTopic", false),
            ("/queue/VirtualTopic.X", false),
        ] {
            assert_eq!(is_virtual_topic(&name(text)), expected, "{text}");
        }
    }

    #[test]
    fn temporary_destinations_take_no_part() {
        let queue = DestinationName::temporary(DestinationKind::Queue, "Consumer.A.VirtualTopic.X");
        assert_eq!(virtual_topic_of(&queue), None);
        let topic = DestinationName::temporary(DestinationKind::Topic, "VirtualTopic.X");
        assert!(!is_virtual_topic(&topic));
    }
}
