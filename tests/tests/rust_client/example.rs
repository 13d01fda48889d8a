//! The examples of the client, run as a user runs them.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use stompbox_tests::broker::{Console, Launch};
use stompbox_tests::process::within;

use crate::{PATIENCE, PROGRAM};

/// What each example says at its end.
const EXAMPLES: [(&str, &str); 8] = [
    ("blocking_worker", "the sum is 7"),
    ("durable_subscriber", "event 3"),
    ("failover", "tick 9"),
    ("first_message", "Hello from Rust"),
    ("listener", "8 parcels packed"),
    ("producer", "101 orders sent"),
    ("request_reply", "tea is 3.20, coffee 4.10"),
    ("transacted_bridge", "20 orders moved"),
];

#[test]
fn every_example_runs() -> Result<()> {
    let broker = Launch::new(PROGRAM).console(Console::None).start();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for (example, says) in EXAMPLES {
        let mut cargo = Command::new(env!("CARGO"));
        cargo
            .args([
                "run",
                "--quiet",
                "--package",
                "stompbox-client",
                "--example",
                example,
            ])
            .args(["--", &broker.stomp().to_string()])
            .current_dir(&root);
        let output = within(cargo, PATIENCE * 3).with_context(|| example.to_owned())?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        let said = String::from_utf8_lossy(&output.stdout);
        ensure!(
            output.status.success() && said.contains(says),
            "{example} did not say {says:?}: {said}\n{complaint}"
        );
    }
    Ok(())
}
