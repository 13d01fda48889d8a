//! Rules that are not built yet: what the broker answers today. What would change which messages come is refused, not
//! ignored.

use super::fixture::{connect, expect_refusal, header, start};

/// D3.14
#[test]
fn destinations_of_later_kinds_are_refused() {
    let broker = start();
    let check = |destination: &str, about: &str| {
        for command in ["SEND", "SUBSCRIBE\nid:s"] {
            let mut wire = connect(&broker);
            let frame = format!("{command}\nreceipt:r\ndestination:{destination}\n\n^@");
            let error = expect_refusal(&mut wire, &frame, about);
            assert_eq!(header(&error, "receipt-id"), "r");
        }
    };
    for kind in ["exchange", "amq/queue", "reply-queue", "stream"] {
        check(&format!("/{kind}/a"), "prefix");
    }
}

/// D5.13
#[test]
fn asking_for_none_of_it_is_no_reason_to_refuse() {
    let broker = start();
    let mut wire = connect(&broker);
    for (number, flag) in [
        "durable",
        "persistent",
        "browser",
        "x-shared",
        "activemq.exclusive",
        "activemq.noLocal",
        "no-local",
        "activemq.retroactive",
    ]
    .iter()
    .enumerate()
    {
        let id = number.to_string();
        wire.subscribe_with(&id, "/topic/a", "auto", &[(flag, "false")]);
    }
    let mut wire = connect(&broker);
    let frame = "SUBSCRIBE\nid:s\ndestination:/queue/a\nbrowser:maybe\n\n^@";
    expect_refusal(&mut wire, frame, "browser");
}
