//! Programs that run to their end, within a time.

use std::io::{Read, Write};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Output, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

/// Runs a command to its end and kills it when that takes too long.
///
/// # Errors
/// When it cannot be started or does not end in time; what it printed is part of the error.
pub fn within(mut command: Command, patience: Duration) -> Result<Output> {
    command.stdin(Stdio::null());
    finish(command, b"", patience)
}

/// As [`within`], with this on its standard input.
///
/// # Errors
/// When it cannot be started or does not end in time; what it printed is part of the error.
pub fn within_reading(mut command: Command, input: &[u8], patience: Duration) -> Result<Output> {
    command.stdin(Stdio::piped());
    finish(command, input, patience)
}

fn finish(mut command: Command, input: &[u8], patience: Duration) -> Result<Output> {
    command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    let mut child = command
        .spawn()
        .with_context(|| format!("cannot run {command:?}"))?;
    let stdout = follow(child.stdout.take());
    let stderr = follow(child.stderr.take());
    if let Some(mut stdin) = child.stdin.take() {
        // A program that ends without reading it closes the pipe.
        let _ = stdin.write_all(input);
    }
    let end = Instant::now() + patience;
    let status = await_end(&mut child, end)?;
    let in_time = status.is_some();
    let status = match status {
        Some(status) => status,
        None => {
            kill_group(&child)?;
            child.wait()?
        }
    };
    let output = Output {
        status,
        stdout: stdout.join().unwrap_or_default(),
        stderr: stderr.join().unwrap_or_default(),
    };
    if !in_time {
        bail!(
            "{command:?} did not end within {patience:?}\n{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
    }
    Ok(output)
}

/// Kills a program and what it has started: any of them would keep the pipes open.
fn kill_group(child: &Child) -> Result<()> {
    let group = format!("-{}", child.id());
    let killed = Command::new("kill").args(["-KILL", "--", &group]).status();
    anyhow::ensure!(
        matches!(&killed, Ok(status) if status.success()),
        "cannot kill {group}: {killed:?}"
    );
    Ok(())
}

fn await_end(child: &mut Child, end: Instant) -> Result<Option<std::process::ExitStatus>> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= end {
            return Ok(None);
        }
        thread::sleep(Duration::from_millis(2));
    }
}

/// Reads beside the program: one that prints more than a pipe holds must not wait for its end.
fn follow(source: Option<impl Read + Send + 'static>) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut source) = source {
            // What was read before an error is still worth showing.
            let _ = source.read_to_end(&mut bytes);
        }
        bytes
    })
}
