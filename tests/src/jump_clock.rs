//! A wall clock that is set forwards and back, for one process: `preload/jump_clock.c` and its file.

use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::broker::Launch;
use crate::preload::compile;

/// The library and its file.
#[derive(Debug)]
pub struct JumpClock {
    library: PathBuf,
    offset: PathBuf,
}

impl JumpClock {
    /// Compiles the library into `folder`, where its file will be too. The clock is right at first.
    ///
    /// # Errors
    /// When there is no C compiler, it fails, or the file cannot be made.
    pub fn build(folder: &Path) -> Result<JumpClock> {
        let clock = JumpClock {
            library: compile("jump_clock", folder)?,
            offset: folder.join("clock.offset"),
        };
        fs::write(&clock.offset, 0_i64.to_ne_bytes())?;
        Ok(clock)
    }

    /// A launch whose process has this wall clock.
    #[must_use]
    pub fn applied_to(&self, launch: Launch) -> Launch {
        launch
            .preload(&self.library)
            .env("STOMPBOX_CLOCK_OFFSET", &self.offset)
    }

    /// From now on the clock is so far ahead of the right time, or behind it.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn set_ahead_ms(&self, ms: i64) -> Result<()> {
        // Overwritten in place: the process has mapped it.
        let file = fs::OpenOptions::new().write(true).open(&self.offset)?;
        Ok(file.write_all_at(&ms.to_ne_bytes(), 0)?)
    }
}
