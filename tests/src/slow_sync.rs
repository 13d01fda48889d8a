//! A disk whose syncs are slow or fail, for one process: `preload/slow_sync.c` and its control and log files.
//!
//! The log decides what happened before what without comparing clocks: a line "end" that stands in it when a receipt
//! arrives was written before the broker learnt that the sync was done.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use crate::broker::Launch;
use crate::preload::compile;

/// The library and its two files.
#[derive(Debug)]
pub struct SlowSync {
    library: PathBuf,
    control: PathBuf,
    log: PathBuf,
}

/// One sync of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sync {
    /// Its number in the process.
    pub number: u64,
    /// Line of the log on which it began.
    pub begin_line: usize,
    /// How it ended; `None` while it goes on.
    pub end: Option<SyncEnd>,
    /// What was synced.
    pub file: String,
}

/// How a sync ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncEnd {
    /// The data is on disk.
    Done,
    /// The caller got an error.
    Failed,
}

/// A moment in the log: how many lines it had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(usize);

impl SlowSync {
    /// Compiles the library into `folder`, where its files will be too.
    ///
    /// # Errors
    /// When there is no C compiler or it fails.
    pub fn build(folder: &Path) -> Result<SlowSync> {
        let library = compile("slow_sync", folder)?;
        Ok(SlowSync {
            library,
            control: folder.join("sync.control"),
            log: folder.join("sync.log"),
        })
    }

    /// A launch whose process syncs through the library.
    #[must_use]
    pub fn applied_to(&self, launch: Launch) -> Launch {
        launch
            .preload(&self.library)
            .env("STOMPBOX_SYNC_CONTROL", &self.control)
            .env("STOMPBOX_SYNC_LOG", &self.log)
    }

    /// Every sync that begins from now on takes this much longer.
    ///
    /// # Errors
    /// When the control file cannot be written.
    pub fn delay(&self, delay: Duration) -> Result<()> {
        self.control(&format!("delay {}\n", delay.as_millis()))
    }

    /// Every sync that begins from now on fails with EIO.
    ///
    /// # Errors
    /// When the control file cannot be written.
    pub fn fail(&self) -> Result<()> {
        self.control("fail\n")
    }

    /// Syncs are what they are again.
    ///
    /// # Errors
    /// When the control file cannot be written.
    pub fn pass(&self) -> Result<()> {
        self.control("")
    }

    /// Now, in the log.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn now(&self) -> Result<Moment> {
        Ok(Moment(self.text()?.lines().count()))
    }

    /// All syncs so far.
    ///
    /// # Errors
    /// When the log cannot be read or is not understood.
    pub fn syncs(&self) -> Result<Vec<Sync>> {
        let mut syncs: Vec<Sync> = Vec::new();
        for (line_index, line) in self.text()?.lines().enumerate() {
            let mut words = line.splitn(5, ' ');
            let mut word = || words.next().with_context(|| format!("short line {line:?}"));
            let (edge, number) = (word()?, word()?.parse()?);
            let (_microseconds, result, file) = (word()?, word()?, word()?);
            if edge == "begin" {
                let file = file.to_owned();
                syncs.push(Sync {
                    number,
                    begin_line: line_index,
                    end: None,
                    file,
                });
            } else if let Some(sync) = syncs.iter_mut().rfind(|sync| sync.number == number) {
                let done = result == "0";
                sync.end = Some(if done { SyncEnd::Done } else { SyncEnd::Failed });
            }
        }
        Ok(syncs)
    }

    /// Whether a sync that began after that moment has ended well by now.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn ended_since(&self, moment: Moment) -> Result<bool> {
        Ok(self
            .syncs()?
            .iter()
            .any(|sync| sync.begin_line >= moment.0 && sync.end == Some(SyncEnd::Done)))
    }

    /// Waits until a sync that began after that moment is under way.
    ///
    /// # Errors
    /// When none is within `patience`.
    pub fn await_begin(&self, moment: Moment, patience: Duration) -> Result<()> {
        let began = |syncs: &[Sync]| {
            syncs
                .iter()
                .any(|sync| sync.begin_line >= moment.0 && sync.end.is_none())
        };
        self.await_log(patience, "a sync to begin", began)
    }

    /// Waits until no sync is under way.
    ///
    /// # Errors
    /// When one still is after `patience`.
    pub fn await_rest(&self, patience: Duration) -> Result<()> {
        let at_rest = |syncs: &[Sync]| syncs.iter().all(|sync| sync.end.is_some());
        self.await_log(patience, "the disk to rest", at_rest)
    }

    fn await_log(
        &self,
        patience: Duration,
        what: &str,
        reached: impl Fn(&[Sync]) -> bool,
    ) -> Result<()> {
        let end = Instant::now() + patience;
        loop {
            let syncs = self.syncs()?;
            if reached(&syncs) {
                return Ok(());
            }
            ensure!(
                Instant::now() < end,
                "waited {patience:?} for {what}: {syncs:?}"
            );
            thread::sleep(Duration::from_millis(1));
        }
    }

    fn control(&self, text: &str) -> Result<()> {
        // Renamed into place: a sync reads the old mode or the new one, never half of it.
        let draft = self.control.with_extension("draft");
        std::fs::write(&draft, text)?;
        std::fs::rename(&draft, &self.control).context("cannot set the control file")
    }

    fn text(&self) -> Result<String> {
        match std::fs::read_to_string(&self.log) {
            Ok(text) => Ok(text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
            Err(error) => Err(error).context("cannot read the log of syncs"),
        }
    }
}
