//! The identifiers that JMS defines.

use super::*;

fn complete() -> Sample {
    Sample::of("correlation-id:wrong|JMSPriority:wrong|JMSXAppID:app")
        .with(JmsHeader::MessageId, text("ID:i-1-2"))
        .with(JmsHeader::Priority, HeaderValue::Integer(7))
        .with(
            JmsHeader::Timestamp,
            HeaderValue::Integer(1_700_000_000_000),
        )
        .with(JmsHeader::Expiration, HeaderValue::Integer(0))
        .with(JmsHeader::CorrelationId, text("42"))
        .with(JmsHeader::Type, text("order"))
        .with(JmsHeader::ReplyTo, text("/queue/answers"))
        .with(JmsHeader::Destination, text("/queue/orders"))
        .with(JmsHeader::DeliveryMode, HeaderValue::PERSISTENT)
        .with(JmsHeader::Redelivered, HeaderValue::Boolean(true))
        .with(JmsHeader::DeliveryCount, HeaderValue::Integer(2))
        .with(JmsHeader::GroupId, text("g"))
        .with(JmsHeader::GroupSeq, HeaderValue::Integer(3))
        .with(JmsHeader::UserId, text("ann"))
}

#[test]
fn each_has_its_type() {
    check(
        &complete(),
        &[
            ("JMSMessageID = 'ID:i-1-2'", T),
            ("JMSMessageID LIKE 'ID:%'", T),
            ("JMSPriority = 7", T),
            ("JMSPriority > 6.5", T),
            ("JMSPriority + 1 = 8", T),
            ("-JMSPriority = -7", T),
            ("JMSPriority = TRUE", F),
            ("JMSPriority", F),
            ("JMSTimestamp >= 1700000000000", T),
            ("JMSTimestamp BETWEEN 1699999999999 AND 1700000000001", T),
            ("JMSExpiration = 0", T),
            ("JMSCorrelationID = '42'", T),
            ("JMSCorrelationID = 42", T),
            ("JMSType IN ('order', 'invoice')", T),
            ("JMSReplyTo = '/queue/answers'", T),
            ("JMSDestination LIKE '/queue/%'", T),
            ("JMSDeliveryMode = 'PERSISTENT'", T),
            ("JMSDeliveryMode = TRUE", F),
            ("JMSRedelivered", T),
            ("JMSRedelivered = TRUE", T),
            ("JMSRedelivered <> FALSE", T),
            ("NOT JMSRedelivered", F),
            ("JMSRedelivered = 'true'", F),
            ("JMSRedelivered = 1", F),
            ("JMSRedelivered > 1", F),
            ("JMSRedelivered + 1 = 2", U),
            ("JMSXDeliveryCount > 1", T),
            ("JMSXGroupID = 'g'", T),
            ("JMSXGroupSeq = JMSXDeliveryCount + 1", T),
            ("JMSXUserID = 'ann'", T),
            ("JMSXAppID = 'app'", T),
        ],
    );
}

#[test]
fn each_is_null_where_the_message_has_none() {
    for header in JmsHeader::ALL {
        let name = header.name();
        check(
            &Sample::default(),
            &[
                (&format!("{name} IS NULL"), T),
                (&format!("{name} = 1"), U),
                (name, U),
            ],
        );
    }
}

#[test]
fn they_are_asked_of_the_message_and_not_of_its_properties() {
    for header in JmsHeader::ALL {
        let message = Sample::of(&format!("{}:wrong", header.name()));
        check(&message, &[(&format!("{} IS NULL", header.name()), T)]);
    }
}
