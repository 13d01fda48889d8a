//! Where faults take place: a folder that a broker has left properly, a program that is expected to end by itself, and
//! a user who may not do everything.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Result, ensure};
use stompbox_tests::broker::Launch;
use stompbox_tests::process::within;
use stompbox_tests::wire::{PATIENCE, Version, Wire};
use tempfile::TempDir;

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_stompbox-under-test");

/// What stands in the queue `/queue/kept` of every scene.
pub(crate) const KEPT: [&str; 3] = ["one", "two", "three"];

/// `nobody` of every Unix.
const NOBODY: u32 = 65_534;

/// A data folder that holds messages and belongs to no running broker.
pub(crate) struct Scene {
    folder: TempDir,
}

impl Scene {
    /// Fills a folder and stops cleanly.
    pub(crate) fn new() -> Result<Scene> {
        let mut broker = Launch::new(PROGRAM).start();
        let mut wire = Wire::connect(broker.stomp(), Version::V12);
        for body in KEPT {
            wire.send_receipted("/queue/kept", &[], body);
        }
        wire.disconnect();
        let status = broker.terminate();
        ensure!(status.success(), "{status}");
        let folder = TempDir::with_prefix("stompbox-fault-")?;
        fs::create_dir(folder.path().join("data"))?;
        for entry in fs::read_dir(broker.data())? {
            let entry = entry?;
            fs::copy(
                entry.path(),
                folder.path().join("data").join(entry.file_name()),
            )?;
        }
        Ok(Scene { folder })
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.data().join("stompbox.db")
    }
}

/// Starts a broker that is expected to end by itself.
pub(crate) fn serve(data: &Path) -> Result<Output> {
    within(command(Path::new(PROGRAM), data), PATIENCE)
}

pub(crate) fn command(program: &Path, data: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .args(["serve", "--stomp", "127.0.0.1:0", "--console", "none"])
        .arg("--data")
        .arg(data);
    command
}

/// Checks a start that was refused: its exit code, what it says, and that it announced nothing.
pub(crate) fn check_refused(name: &str, output: &Output, code: i32, says: &[&str]) -> Result<()> {
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.code() == Some(code),
        "{name}: expected exit code {code}, got {}: {complaint}",
        output.status
    );
    for text in says {
        ensure!(
            complaint.contains(text),
            "{name}: no {text:?} in: {complaint}"
        );
        let count = complaint.matches(text).count();
        ensure!(count == 1, "{name}: {text:?} {count} times in: {complaint}");
    }
    ensure!(!complaint.contains("panicked"), "{name}: {complaint}");
    // Who waits for a listener must not find one announced.
    ensure!(output.stdout.is_empty(), "{name}: {output:?}");
    Ok(())
}

/// A program that is run by somebody who is not root, whoever runs the tests.
pub(crate) struct Unprivileged {
    folder: TempDir,
    is_root: bool,
}

impl Unprivileged {
    pub(crate) fn new() -> Result<Unprivileged> {
        let folder = TempDir::with_prefix("stompbox-nobody-")?;
        let is_root = fs::metadata(folder.path())?.uid() == 0;
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
        // The folder of the build may be closed to others.
        let program = folder.path().join("stompbox");
        fs::copy(PROGRAM, &program)?;
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
        Ok(Unprivileged { folder, is_root })
    }

    /// A place that this user can reach.
    pub(crate) fn place(&self) -> &Path {
        self.folder.path()
    }

    /// Gives a file or folder to this user.
    pub(crate) fn give(&self, path: &Path, mode: u32) -> Result<()> {
        if self.is_root {
            chown(path, Some(NOBODY), Some(NOBODY))?;
        }
        fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
        Ok(())
    }

    /// Starts a broker that is expected to end by itself.
    pub(crate) fn serve(&self, data: &Path) -> Result<Output> {
        let mut command = command(&self.folder.path().join("stompbox"), data);
        command.current_dir(self.folder.path());
        if self.is_root {
            command.uid(NOBODY).gid(NOBODY);
        }
        within(command, PATIENCE)
    }
}
