//! Unmodified clients of other languages against the broker: `clients/README.md` says which and what they check.
//!
//! A client that is not installed is skipped aloud, or fails the test where `STOMPBOX_REQUIRE_CLIENTS=1`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};
use stompbox_tests::broker::{Broker, Launch};
use stompbox_tests::process::within;
use stompbox_tests::say;

/// A script must be done by then; each takes a few seconds.
const PATIENCE: Duration = Duration::from_secs(90);

struct Client {
    name: &'static str,
    interpreter: PathBuf,
    /// Arguments with which the interpreter succeeds only if the package is there.
    probe: Vec<String>,
    script: PathBuf,
}

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients")
}

/// Where `clients/install.sh` puts what does not come from Debian.
fn installed() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target");
    target.unwrap_or_else(beside).join("clients")
}

fn check(client: &Client) -> Result<()> {
    if let Err(error) = probe(client) {
        ensure!(
            std::env::var_os("STOMPBOX_REQUIRE_CLIENTS").is_none_or(|value| value != "1"),
            "{} is required and missing ({error:#}): run tests/clients/install.sh",
            client.name,
        );
        say(&format!(
            "SKIPPED: {} is missing ({error:#}); run tests/clients/install.sh",
            client.name
        ));
        return Ok(());
    }
    let mut broker = Launch::new(env!("CARGO_BIN_EXE_stompbox-under-test")).start();
    let said = run(client, &broker, "")?;
    ensure!(said.contains("nack redelivers"), "{}: {said}", client.name);
    let status = broker.terminate();
    ensure!(status.success(), "the broker: {status}");
    broker.start_again();
    let after = run(client, &broker, "restarted")?;
    let both = [said, after].concat();
    let steps = both.lines().filter(|line| line.starts_with("ok ")).count();
    say(&format!("proof: {}: {steps} steps", client.name));
    Ok(())
}

/// What a client's script says; the second phase finds what the first one has left.
fn run(client: &Client, broker: &Broker, phase: &str) -> Result<String> {
    let mut command = Command::new(&client.interpreter);
    command
        .arg(&client.script)
        .arg(broker.stomp().ip().to_string())
        .arg(broker.stomp().port().to_string())
        .env("STOMPBOX_DIALECT", "1")
        .env("STOMPBOX_RUN", "once")
        .env("STOMPBOX_PHASE", phase);
    let output = within(command, PATIENCE)?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complained = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "{}: {}\n{said}\n{complained}",
        client.name,
        output.status,
    );
    Ok(said)
}

fn probe(client: &Client) -> Result<()> {
    ensure!(client.script.exists(), "no {}", client.script.display());
    let mut command = Command::new(&client.interpreter);
    command.args(&client.probe);
    let output = within(command, PATIENCE)?;
    let complained = String::from_utf8_lossy(&output.stderr);
    // An interpreter's one line among its stack trace.
    let reason = complained
        .lines()
        .find(|line| line.contains("rror"))
        .unwrap_or(&complained);
    ensure!(output.status.success(), "{}", reason.trim());
    Ok(())
}

fn words(text: &[&str]) -> Vec<String> {
    text.iter().map(|word| (*word).to_owned()).collect()
}

/// Node looks for a package from where the script stands.
fn node_probe(package: &str) -> Vec<String> {
    let from = scripts().join("node/check.mjs");
    let probe = format!("require('node:module').createRequire({from:?}).resolve('{package}')");
    words(&["-e", &probe])
}

#[test]
fn python_stomp_py() -> Result<()> {
    check(&Client {
        name: "Python stomp.py",
        interpreter: installed().join("python/bin/python"),
        probe: words(&["-c", "import stomp"]),
        script: scripts().join("python/check.py"),
    })
}

#[test]
fn node_stompjs() -> Result<()> {
    check(&Client {
        name: "Node @stomp/stompjs",
        interpreter: "node".into(),
        probe: node_probe("@stomp/stompjs"),
        script: scripts().join("node/stompjs.mjs"),
    })
}

#[test]
fn node_stompit() -> Result<()> {
    check(&Client {
        name: "Node stompit",
        interpreter: "node".into(),
        probe: node_probe("stompit"),
        script: scripts().join("node/stompit.mjs"),
    })
}

#[test]
fn ruby_stomp() -> Result<()> {
    check(&Client {
        name: "Ruby stomp",
        interpreter: "ruby".into(),
        probe: words(&["-e", "require 'stomp'"]),
        script: scripts().join("ruby/check.rb"),
    })
}

#[test]
fn perl_net_stomp() -> Result<()> {
    check(&Client {
        name: "Perl Net::Stomp",
        interpreter: "perl".into(),
        probe: words(&["-MNet::Stomp", "-e", "1"]),
        script: scripts().join("perl/check.pl"),
    })
}

#[test]
fn php_stomp() -> Result<()> {
    check(&Client {
        name: "PHP stomp",
        interpreter: "php".into(),
        probe: words(&["-r", "exit(class_exists('Stomp') ? 0 : 1);"]),
        script: scripts().join("php/check.php"),
    })
}
