//! A broker's process: how long it takes to start and how much memory it has.

use std::io;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::super::control::Control;
use super::super::link::{Link, LinkError, Target};

/// How long a broker may take to listen, and to stop.
const PATIENCE: Duration = Duration::from_secs(120);

/// How often it is looked at meanwhile: what a start time is exact to.
const LOOK: Duration = Duration::from_millis(1);

/// Why a process could not be measured.
#[derive(Debug, thiserror::Error)]
pub(super) enum ProcessError {
    /// It cannot be started, or looked at.
    #[error("cannot {what}")]
    Io {
        /// What was tried.
        what: String,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// It should have ended well.
    #[error("'{command}' failed: {status}")]
    Failed {
        /// What was run.
        command: String,
        /// How it ended.
        status: ExitStatus,
    },
    /// It ended or does not listen.
    #[error("the broker does not listen on {address}")]
    Silent {
        /// Where it should.
        address: String,
    },
    /// It says something else than CONNECTED.
    #[error("the broker cannot be used")]
    Link(#[from] LinkError),
}

/// A broker that this program has started.
pub(super) struct BrokerProcess {
    child: Child,
}

impl BrokerProcess {
    /// Starts a command, and returns how long it took until a session could begin.
    pub(super) fn start(
        command: &str,
        target: &Target,
    ) -> Result<(BrokerProcess, Duration), ProcessError> {
        let mut words = command.split_whitespace();
        let begun = Instant::now();
        let child = Command::new(words.next().unwrap_or_default())
            .args(words)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|source| ProcessError::Io {
                what: format!("start '{command}'"),
                source,
            })?;
        let mut process = BrokerProcess { child };
        let control = Control::new();
        while begun.elapsed() < PATIENCE {
            match Link::connect(target, &control) {
                Ok(mut link) => {
                    let took = begun.elapsed();
                    link.disconnect()?;
                    return Ok((process, took));
                }
                Err(LinkError::Unreachable { .. }) if process.runs() => thread::sleep(LOOK),
                Err(LinkError::Unreachable { .. }) => break,
                Err(error) => return Err(error.into()),
            }
        }
        Err(ProcessError::Silent {
            address: target.address.clone(),
        })
    }

    /// Its number.
    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to stop and waits until it has.
    pub(super) fn stop(mut self) -> Result<(), ProcessError> {
        let failed = |source| ProcessError::Io {
            what: "stop the broker".to_owned(),
            source,
        };
        // The standard library can only kill.
        let mut term = Command::new("kill");
        term.arg(self.id().to_string()).status().map_err(failed)?;
        let asked = Instant::now();
        while self.runs() {
            if asked.elapsed() > PATIENCE {
                return Err(failed(io::ErrorKind::TimedOut.into()));
            }
            thread::sleep(LOOK);
        }
        Ok(())
    }

    fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for BrokerProcess {
    fn drop(&mut self) {
        // It has ended already, unless something failed before.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Runs a command to its end, and returns what it printed.
pub(super) fn output(command: &str) -> Result<String, ProcessError> {
    let mut words = command.split_whitespace();
    let output = Command::new(words.next().unwrap_or_default())
        .args(words)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output();
    let output = output.map_err(|source| ProcessError::Io {
        what: format!("run '{command}'"),
        source,
    })?;
    if !output.status.success() {
        return Err(ProcessError::Failed {
            command: command.to_owned(),
            status: output.status,
        });
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Resident memory of a process, in bytes.
pub(super) fn resident_bytes(process: u32) -> Result<u64, ProcessError> {
    let path = format!("/proc/{process}/status");
    let status = std::fs::read_to_string(&path);
    let status = status.and_then(|status| {
        parse_resident(&status).ok_or_else(|| io::Error::other("it does not state VmRSS"))
    });
    status.map_err(|source| ProcessError::Io {
        what: format!("read {path}"),
        source,
    })
}

fn parse_resident(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_memory_is_read_from_the_status() {
        let status = "Name:\tstompbox\nVmHWM:\t  9000 kB\nVmRSS:\t  8192 kB\nThreads:\t4\n";
        assert_eq!(parse_resident(status), Some(8 * 1024 * 1024));
        assert_eq!(parse_resident("Name:\tkthreadd\n"), None);
    }
}
