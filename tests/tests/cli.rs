//! The program as a newcomer types it: what it prints, and how it ends.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::fs::symlink;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use stompbox_tests::broker::{Broker, Launch};
use stompbox_tests::process::{within, within_reading};
use stompbox_tests::wire::{PATIENCE, Version, Wire};
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_stompbox-under-test");

/// A broker and a folder in which `stompbox` is the program.
struct Bench {
    broker: Broker,
    address: String,
    folder: TempDir,
}

impl Bench {
    fn start() -> Result<Bench> {
        let broker = Launch::new(PROGRAM).start();
        let folder = TempDir::new()?;
        symlink(PROGRAM, folder.path().join("stompbox"))?;
        Ok(Bench {
            address: broker.stomp().to_string(),
            broker,
            folder,
        })
    }

    /// `stompbox send` with these arguments, to this broker.
    fn send(&self, arguments: &[&str], input: &[u8]) -> Result<Output> {
        let mut command = Command::new(PROGRAM);
        command
            .arg("send")
            .args(arguments)
            .args(["--to", &self.address]);
        within_reading(command, input, PATIENCE)
    }

    /// `stompbox receive` with these arguments, from this broker.
    fn receive(&self, arguments: &[&str]) -> Result<Output> {
        let mut command = Command::new(PROGRAM);
        command
            .arg("receive")
            .args(arguments)
            .args(["--from", &self.address]);
        within(command, PATIENCE)
    }

    /// A line typed at a shell.
    fn shell(&self, line: &str) -> Result<Output> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut with_program = self.folder.path().as_os_str().to_owned();
        with_program.push(OsStr::new(":"));
        with_program.push(path);
        let mut command = Command::new("sh");
        command
            .args(["-c", line])
            .env("PATH", with_program)
            .current_dir(self.folder.path());
        within(command, PATIENCE)
    }
}

fn check(output: &Output, code: i32, stdout: impl AsRef<[u8]>, stderr: &str) -> Result<()> {
    let stdout = stdout.as_ref();
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.code() == Some(code)
            && output.stdout == stdout
            && complaint.contains(stderr)
            && complaint.is_empty() == stderr.is_empty(),
        "expected exit code {code}, {:?} and {stderr:?}, got {output:?}",
        stdout.escape_ascii().to_string(),
    );
    Ok(())
}

/// What the broker prints at its start works when it is copied.
#[test]
fn announced_commands_send_and_receive_a_first_message() -> Result<()> {
    let bench = Bench::start()?;
    let output = bench.broker.output();
    let announced = |after: &str| -> Result<String> {
        let line = output
            .lines()
            .find_map(|line| line.split_once(after))
            .with_context(|| format!("no {after:?} in {output}"))?;
        Ok(line.1.trim().to_owned())
    };
    let sent = bench.shell(&announced("send a first message:")?)?;
    check(&sent, 0, "1 message sent to /queue/hello\n", "")?;
    let received = bench.shell(&announced("and receive it:")?)?;
    check(&received, 0, "Hello\n", "")?;
    let again = bench.shell(&announced("and receive it:")?)?;
    check(&again, 0, "", "")
}

#[test]
fn bodies_arrive_as_they_were_given() -> Result<()> {
    let bench = Bench::start()?;
    let bytes: Vec<u8> = (0..=255).cycle().take(300_000).collect();
    let sent = bench.send(&["q", "-"], &bytes)?;
    check(&sent, 0, "1 message sent to /queue/q\n", "")?;
    let file = bench.folder.path().join("body");
    std::fs::write(&file, &bytes[..1000])?;
    let sent = bench.send(&["/queue/q", "-f", &file.to_string_lossy()], b"")?;
    check(&sent, 0, "1 message sent to /queue/q\n", "")?;
    let sent = bench.send(&["q", ""], b"")?;
    check(&sent, 0, "1 message sent to /queue/q\n", "")?;
    let expected = [&bytes[..], b"\n", &bytes[..1000], b"\n", b"\n"].concat();
    check(&bench.receive(&["q"])?, 0, expected, "")
}

#[test]
fn counted_receive_leaves_the_rest() -> Result<()> {
    let bench = Bench::start()?;
    let sent = bench.send(&["q", "x", "-n", "5"], b"")?;
    check(&sent, 0, "5 messages sent to /queue/q\n", "")?;
    check(&bench.receive(&["q", "-n", "2"])?, 0, "x\nx\n", "")?;
    check(&bench.receive(&["q"])?, 0, "x\nx\nx\n", "")?;
    let short = bench.receive(&["q", "-n", "1", "--timeout", "100ms"])?;
    check(&short, 1, "", "only 0 of 1 messages came")
}

#[test]
fn headers_are_sent_and_shown() -> Result<()> {
    let bench = Bench::start()?;
    let sent = bench.send(&["q", "x", "-H", "colour:red: and\\blue"], b"")?;
    check(&sent, 0, "1 message sent to /queue/q\n", "")?;
    let received = bench.receive(&["q", "--headers"])?;
    let text = String::from_utf8_lossy(&received.stdout);
    for line in [
        "colour: red: and\\blue\n",
        "redelivered: false\n",
        "persistent: true\n",
        "\n\nx\n",
    ] {
        ensure!(text.contains(line), "no {line:?} in {text}");
    }
    Ok(())
}

#[test]
fn failures_are_explained() -> Result<()> {
    let bench = Bench::start()?;
    let refused = bench.send(&["/nonsense/q", "x"], b"")?;
    check(&refused, 1, "", "the broker refused")?;
    let gone = bench.send(&["q,/temp-queue/a", "x"], b"")?;
    check(&gone, 1, "", "/temp-queue/a is a temporary destination")?;
    let missing = bench.send(&["q", "-f", "/nonexistent"], b"")?;
    check(&missing, 1, "", "cannot read /nonexistent")?;
    let usage = bench.send(&["q"], b"")?;
    check(&usage, 2, "", "Usage: stompbox send")?;
    let Bench {
        mut broker,
        address,
        ..
    } = bench;
    broker.kill();
    let mut command = Command::new(PROGRAM);
    command.args(["send", "q", "x", "--to", &address]);
    let nobody = within(command, PATIENCE)?;
    let expected = format!("nothing is listening on {address}");
    check(&nobody, 1, "", &expected)
}

#[test]
fn follow_ends_with_an_interrupt_and_with_its_reader() -> Result<()> {
    let bench = Bench::start()?;
    let mut follow = Command::new(PROGRAM)
        .args(["receive", "q", "--follow", "--from", &bench.address])
        .stdout(Stdio::piped())
        .spawn()?;
    bench.send(&["q", "first"], b"")?;
    let mut stdout = BufReader::new(follow.stdout.take().context("a pipe")?);
    let mut line = String::new();
    stdout.read_line(&mut line)?;
    ensure!(line == "first\n", "{line:?}");
    let interrupted = Command::new("kill")
        .args(["-INT", &follow.id().to_string()])
        .status()?;
    ensure!(interrupted.success(), "{interrupted}");
    let status = follow.wait()?;
    ensure!(status.code() == Some(0), "{status}");
    stdout.read_to_string(&mut line)?;
    ensure!(line == "first\n", "{line:?}");

    // More than the pipe holds: the program must notice that nobody reads on.
    let body = "x".repeat(1_000);
    bench.send(&["q", &body, "-n", "300"], b"")?;
    let line = format!(
        "stompbox receive q --follow --from {} | head -n 1",
        bench.address
    );
    check(&bench.shell(&line)?, 0, format!("{body}\n"), "")
}

#[test]
fn what_could_not_be_printed_returns() -> Result<()> {
    let bench = Bench::start()?;
    bench.send(&["q", "precious"], b"")?;
    let line = format!("stompbox receive q --from {} >/dev/full", bench.address);
    check(
        &bench.shell(&line)?,
        1,
        "",
        "cannot write to standard output",
    )?;
    let mut wire = Wire::connect(bench.broker.stomp(), Version::V12);
    wire.subscribe("s", "/queue/q", "client-individual");
    let message = wire.expect_message();
    ensure!(message.text() == "precious", "{message}");
    ensure!(message.header("redelivered") == Some("true"), "{message}");
    Ok(())
}

#[test]
fn sent_message_survives_a_kill() -> Result<()> {
    let mut bench = Bench::start()?;
    bench.send(&["q", "durable"], b"")?;
    bench.send(&["q", "fleeting", "--non-persistent"], b"")?;
    bench.broker.kill();
    bench.broker.start_again();
    bench.address = bench.broker.stomp().to_string();
    check(&bench.receive(&["q"])?, 0, "durable\n", "")
}

#[test]
fn sample_configuration_is_valid_and_shown_configuration_says_the_same() -> Result<()> {
    let bench = Bench::start()?;
    let checked = bench.shell(
        "stompbox config show --sample >sample && stompbox config check --config sample && \
         stompbox config show --config sample >once && stompbox config show --config once | cmp once",
    )?;
    check(&checked, 0, "the configuration is valid\n", "")
}

#[test]
fn the_policy_of_a_destination_is_shown_with_what_says_so() -> Result<()> {
    let bench = Bench::start()?;
    let shown = bench.shell(
        "printf '[policy]\\nttl_max = \"1h\"\\n[[destination]]\\nmatch = \"a.>\"\\nmax_messages = 5\\n' >c && \
         stompbox config policy /topic/a.b --config c | grep -e ttl_max -e max_messages -e when_full",
    )?;
    let expected = "ttl_max = \"1h\" # [policy]\nmax_messages = 5 # [[destination]] a.>\n\
                    when_full = \"block\" # default\n";
    check(&shown, 0, expected, "")?;
    let refused = bench.shell("stompbox config policy /nonsense/a")?;
    ensure!(refused.status.code() == Some(2), "{refused:?}");
    Ok(())
}

#[test]
fn version_and_help_are_printed() -> Result<()> {
    for (argument, says) in [("--version", "stompbox "), ("--help", "Exit codes:")] {
        let mut command = Command::new(PROGRAM);
        command.arg(argument);
        let output = within(command, Duration::from_secs(5))?;
        let text = String::from_utf8_lossy(&output.stdout);
        ensure!(output.status.success() && text.contains(says), "{output:?}");
    }
    Ok(())
}
