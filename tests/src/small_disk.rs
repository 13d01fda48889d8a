//! A disk as small as a test wants it, for one process: `preload/full_disk.c` and the file that tells it the limits, or a
//! file system of its own, which is really full when it is full.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::broker::Launch;
use crate::preload::compile;
use crate::say;

/// Its file in a folder that is limited.
const CAPACITY: &str = ".capacity";

/// The library.
#[derive(Debug)]
pub struct SmallDisk {
    library: PathBuf,
}

impl SmallDisk {
    /// Compiles the library into `folder`.
    ///
    /// # Errors
    /// When there is no C compiler or it fails.
    pub fn build(folder: &Path) -> Result<SmallDisk> {
        let library = compile("full_disk", folder)?;
        Ok(SmallDisk { library })
    }

    /// A launch whose process sees the limits.
    #[must_use]
    pub fn applied_to(&self, launch: Launch) -> Launch {
        launch.preload(&self.library)
    }

    /// From now on the files of `data` may grow by so many bytes together.
    ///
    /// # Errors
    /// When the folder cannot be read or the limit not be written.
    pub fn leave(&self, data: &Path, bytes: u64) -> Result<()> {
        let mut used = 0;
        for file in std::fs::read_dir(data)? {
            let file = file?;
            // One that has gone meanwhile counts for nothing.
            let length = file.metadata().map_or(0, |metadata| metadata.len());
            used += if file.file_name() == CAPACITY {
                0
            } else {
                length
            };
        }
        // Renamed into place: a growth meets the old limit or the new one.
        let draft = data.with_extension("capacity");
        std::fs::write(&draft, format!("* {}\n", used + bytes))?;
        std::fs::rename(&draft, data.join(CAPACITY)).context("cannot set the limit")
    }

    /// The disk is as large as it is.
    ///
    /// # Errors
    /// When there was no limit.
    pub fn lift(&self, data: &Path) -> Result<()> {
        std::fs::remove_file(data.join(CAPACITY)).context("there is no limit")
    }
}

/// Whether this machine lets a process mount a file system for itself. Says aloud when it does not.
///
/// # Errors
/// When it does not and nothing may be skipped.
pub fn tmpfs_is_allowed() -> Result<bool> {
    let mount = Command::new("unshare")
        .args(["-rm", "mount", "-t", "tmpfs", "none", "/mnt"])
        .output();
    if mount.is_ok_and(|output| output.status.success()) {
        return Ok(true);
    }
    ensure!(
        std::env::var_os("STOMPBOX_REQUIRE_CLIENTS").is_none_or(|value| value != "1"),
        "nothing may be skipped, and `unshare -rm mount -t tmpfs none /mnt` fails: allow user namespaces"
    );
    say("SKIPPED: no mount of a tmpfs in a namespace of its own here");
    Ok(false)
}
