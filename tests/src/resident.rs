//! Resident memory of another process, as the kernel counts it (`/proc/PID/status`).

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result};

/// A process by its id.
#[derive(Debug, Clone, Copy)]
pub struct Resident(pub u32);

impl Resident {
    /// Bytes that are resident now.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn now_bytes(self) -> Result<u64> {
        self.field("VmRSS:")
    }

    /// The most that was resident since the start or the last [`Self::forget_peak`].
    ///
    /// # Errors
    /// When the process is gone.
    pub fn peak_bytes(self) -> Result<u64> {
        self.field("VmHWM:")
    }

    /// From now on the peak is that of what follows.
    ///
    /// # Errors
    /// When the process is gone or another user's.
    pub fn forget_peak(self) -> Result<()> {
        fs::write(format!("/proc/{}/clear_refs", self.0), "5").context("clear_refs")
    }

    /// Processor time that was used since the start, in steps of 10 ms.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn cpu(self) -> Result<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0))?;
        // The name, in parentheses, may hold anything.
        let (_, fields) = stat.rsplit_once(')').context("no name")?;
        let mut fields = fields.split_whitespace().skip(11);
        let mut ticks = || {
            fields
                .next()
                .context("too short")?
                .parse::<u64>()
                .context(stat.clone())
        };
        Ok(Duration::from_millis(10 * (ticks()? + ticks()?)))
    }

    /// File handles that are open.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn handle_count(self) -> Result<usize> {
        Ok(fs::read_dir(format!("/proc/{}/fd", self.0))?.count())
    }

    /// The handle that would be given out next: with this as its limit the process gets none.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn free_handle(self) -> Result<usize> {
        let folder = format!("/proc/{}/fd", self.0);
        let taken = |number: &usize| !fs::exists(format!("{folder}/{number}")).unwrap_or(false);
        (0..).find(taken).context("no end of handles")
    }

    fn field(self, name: &str) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0))?;
        let line = status.lines().find(|line| line.starts_with(name));
        let kib: u64 = line
            .and_then(|line| line.split_whitespace().nth(1))
            .with_context(|| format!("no {name} in {status}"))?
            .parse()?;
        Ok(kib * 1024)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_and_handles() -> Result<()> {
        let own = Resident(std::process::id());
        own.forget_peak()?;
        let before = own.now_bytes()?;
        assert!(before > 0 && own.peak_bytes()? > 0 && own.handle_count()? > 2);
        let block = vec![1_u8; 64 << 20];
        let block = std::hint::black_box(block);
        assert!(own.peak_bytes()? >= before + (60 << 20), "{before}");
        drop(block);
        Ok(())
    }
}
