//! A broker process: started on free ports with a folder of its own, stopped, killed, started again.
//!
//! A [`Broker`] owns its process and its folder; both go when it is dropped. Its output is kept, and shown when the
//! test fails.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// The beginning of the last line that a broker prints when it has started.
const LAST_LINE: &str = "and receive it:";

/// A start must have announced its listeners by then. Generous: it is spent only by failing tests.
const START_PATIENCE: Duration = Duration::from_secs(20);

/// Output lines that a failing test shows.
const OUTPUT_LINES_SHOWN: usize = 120;

/// Output lines that tell how a life of the broker ended.
const STORY_LINES_SHOWN: usize = 20;

/// Whether the console listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Console {
    /// On a free port.
    Open,
    /// Not at all.
    None,
}

/// How to start a broker.
#[derive(Debug, Clone)]
pub struct Launch {
    program: PathBuf,
    console: Console,
    environment: Vec<(OsString, OsString)>,
    configuration: Option<String>,
    handles: Option<u32>,
    disk_mib: Option<u32>,
}

impl Launch {
    /// The program to start: a test passes `env!("CARGO_BIN_EXE_stompbox-under-test")`.
    #[must_use]
    pub fn new(program: impl Into<PathBuf>) -> Launch {
        Launch {
            program: program.into(),
            console: Console::Open,
            environment: Vec::new(),
            configuration: None,
            handles: None,
            disk_mib: None,
        }
    }

    /// With or without console.
    #[must_use]
    pub fn console(mut self, console: Console) -> Launch {
        self.console = console;
        self
    }

    /// With an environment variable.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Launch {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// With a library loaded before all others.
    #[must_use]
    pub fn preload(self, library: &Path) -> Launch {
        self.env("LD_PRELOAD", library)
    }

    /// With so many file handles and no more.
    #[must_use]
    pub fn handles(mut self, count: u32) -> Launch {
        self.handles = Some(count);
        self
    }

    /// With a data folder that is a file system of so many MiB and goes with the process; see
    /// [`tmpfs_is_allowed`](crate::small_disk::tmpfs_is_allowed).
    #[must_use]
    pub fn tmpfs(mut self, mib: u32) -> Launch {
        self.disk_mib = Some(mib);
        self
    }

    /// With a configuration file of this text.
    #[must_use]
    pub fn configuration(mut self, toml: impl Into<String>) -> Launch {
        self.configuration = Some(toml.into());
        self
    }

    /// Each program on the way is replaced by the next, so that the process is still the one that was started.
    fn command(&self, data: &Path) -> Command {
        let mut words: Vec<OsString> = Vec::new();
        if let Some(mib) = self.disk_mib {
            let mount = format!(
                "mkdir -p \"$0\" && mount -t tmpfs -o size={mib}m none \"$0\" && exec \"$@\""
            );
            words.extend(["unshare", "-rm", "sh", "-c", &mount].map(OsString::from));
            words.push(data.into());
        }
        if let Some(handles) = self.handles {
            words.extend(["sh", "-c", "ulimit -n \"$0\" && exec \"$@\""].map(OsString::from));
            words.push(handles.to_string().into());
        }
        words.push(self.program.clone().into());
        let mut words = words.into_iter();
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words);
        command
    }

    /// Starts in a new folder and waits until the listeners are announced.
    ///
    /// # Panics
    /// When they are not; the broker's output is shown.
    #[must_use]
    pub fn start(self) -> Broker {
        let folder = match TempDir::with_prefix("stompbox-test-") {
            Ok(folder) => folder,
            Err(error) => panic!("cannot make a temporary folder: {error}"),
        };
        let mut broker = Broker {
            launch: self,
            folder,
            process: None,
            stomp: SocketAddr::from(([127, 0, 0, 1], 0)),
            console: None,
            output: Output::default(),
        };
        broker.start_again();
        broker
    }
}

/// A broker process and its folder.
pub struct Broker {
    launch: Launch,
    folder: TempDir,
    process: Option<Process>,
    stomp: SocketAddr,
    console: Option<String>,
    output: Output,
}

struct Process {
    child: Child,
    readers: Vec<JoinHandle<()>>,
}

impl Broker {
    /// Where STOMP listens; another port after every start.
    #[must_use]
    pub fn stomp(&self) -> SocketAddr {
        self.stomp
    }

    /// The console's address, `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn console(&self) -> Option<&str> {
        self.console.as_deref()
    }

    /// The data folder.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A path beside the data folder, for what a test needs to keep with this broker.
    #[must_use]
    pub fn beside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The process id, while it runs.
    #[must_use]
    pub fn process_id(&self) -> Option<u32> {
        self.process.as_ref().map(|process| process.child.id())
    }

    /// All that was printed so far, over all starts.
    #[must_use]
    pub fn output(&self) -> String {
        self.output.text()
    }

    /// The end of what was printed.
    #[must_use]
    pub fn last_output(&self) -> String {
        self.output.tail(STORY_LINES_SHOWN)
    }

    /// Starts on the same folder and waits until the listeners are announced.
    ///
    /// # Panics
    /// When they are not, or when it still runs.
    pub fn start_again(&mut self) {
        assert!(self.process.is_none(), "the broker still runs");
        self.output.push("--- start ---");
        let mut child = match self.command().spawn() {
            Ok(child) => child,
            Err(error) => panic!("cannot start {}: {error}", self.launch.program.display()),
        };
        let (lines_tx, lines_rx) = mpsc::channel();
        let mut readers = Vec::new();
        if let Some(stdout) = child.stdout.take() {
            readers.push(self.output.follow("out", stdout, Some(lines_tx)));
        }
        if let Some(stderr) = child.stderr.take() {
            readers.push(self.output.follow("err", stderr, None));
        }
        self.process = Some(Process { child, readers });
        self.await_listeners(&lines_rx);
    }

    /// Ends the process as a crash would (SIGKILL) and waits until it is gone.
    ///
    /// # Panics
    /// When it does not run.
    pub fn kill(&mut self) {
        let Some(mut process) = self.process.take() else {
            panic!("the broker does not run");
        };
        if let Err(error) = process.child.kill() {
            self.fail(&format!("cannot kill the broker: {error}"));
        }
        self.reap(process);
    }

    /// Asks the process to stop (SIGTERM) and waits for its end.
    ///
    /// # Panics
    /// When it does not run or does not end in time.
    pub fn terminate(&mut self) -> ExitStatus {
        self.signal("TERM");
        match self.wait(Duration::from_secs(15)) {
            Some(status) => status,
            None => self.fail("the broker did not stop within 15 s of SIGTERM"),
        }
    }

    /// Sends a signal by its name.
    ///
    /// # Panics
    /// When the process does not run.
    pub fn signal(&self, name: &str) {
        let Some(id) = self.process_id() else {
            panic!("the broker does not run");
        };
        let sent = Command::new("kill")
            .arg(format!("-{name}"))
            .arg(id.to_string())
            .status();
        if !matches!(&sent, Ok(status) if status.success()) {
            self.fail(&format!("cannot send {name} to {id}: {sent:?}"));
        }
    }

    /// Waits for the process to end by itself; `None` when it does not in time.
    ///
    /// # Panics
    /// When it does not run.
    pub fn wait(&mut self, patience: Duration) -> Option<ExitStatus> {
        let Some(mut process) = self.process.take() else {
            panic!("the broker does not run");
        };
        let end = Instant::now() + patience;
        loop {
            match process.child.try_wait() {
                Ok(Some(_)) => return self.reap(process),
                Ok(None) if Instant::now() < end => thread::sleep(Duration::from_millis(2)),
                Ok(None) => {
                    self.process = Some(process);
                    return None;
                }
                Err(error) => self.fail(&format!("cannot wait for the broker: {error}")),
            }
        }
    }

    /// Ends a test and shows what the broker printed.
    ///
    /// # Panics
    /// Always.
    pub fn fail(&self, what: &str) -> ! {
        // The output itself is shown by `drop`, as for every other panic.
        panic!("{what}");
    }

    fn command(&self) -> Command {
        let mut command = self.launch.command(&self.data());
        command.args(["serve", "--stomp", "127.0.0.1:0", "--console"]);
        command.arg(match self.launch.console {
            Console::Open => "127.0.0.1:0",
            Console::None => "none",
        });
        command.arg("--data").arg(self.data());
        if let Some(configuration) = &self.launch.configuration {
            let file = self.beside("stompbox.toml");
            if let Err(error) = std::fs::write(&file, configuration) {
                panic!("cannot write {}: {error}", file.display());
            }
            command.arg("--config").arg(file);
        }
        for (name, value) in &self.launch.environment {
            command.env(name, value);
        }
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn await_listeners(&mut self, lines: &mpsc::Receiver<String>) {
        let end = Instant::now() + START_PATIENCE;
        let mut stomp = None;
        let mut console = None;
        let mut is_complete = false;
        while !is_complete {
            let line = match lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) => line,
                Err(RecvTimeoutError::Timeout) => {
                    self.fail("the broker did not announce its listeners in time")
                }
                Err(RecvTimeoutError::Disconnected) => {
                    let status = self.wait(Duration::from_secs(5));
                    self.fail(&format!("the broker ended before it listened: {status:?}"))
                }
            };
            if let Some(address) = line.strip_prefix("stomp listening on ") {
                stomp = Some(address.to_owned());
            } else if let Some(address) = line.strip_prefix("console listening on ") {
                console = Some(address.to_owned());
            }
            is_complete = line.starts_with(LAST_LINE);
        }
        let stomp = stomp.unwrap_or_default();
        self.stomp = match stomp.parse() {
            Ok(address) => address,
            Err(error) => self.fail(&format!("{stomp:?} is not an address: {error}")),
        };
        self.console = console;
    }

    fn reap(&self, mut process: Process) -> Option<ExitStatus> {
        let status = match process.child.wait() {
            Ok(status) => status,
            Err(error) => self.fail(&format!("cannot wait for the broker: {error}")),
        };
        for reader in process.readers {
            // A reader only copies lines; if it panicked its output is short and nothing else.
            let _ = reader.join();
        }
        self.output.push(&format!("--- {status} ---"));
        Some(status)
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            // By its id, and gone already at worst.
            let _ = process.child.kill();
            let _ = process.child.wait();
        }
        if thread::panicking() {
            eprintln!(
                "--- output of the broker ---\n{}",
                self.output.tail(OUTPUT_LINES_SHOWN)
            );
        }
    }
}

/// Lines that a broker printed, over all its starts.
#[derive(Clone, Default)]
struct Output {
    lines: Arc<Mutex<Vec<String>>>,
}

impl Output {
    fn push(&self, line: &str) {
        self.lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(line.to_owned());
    }

    fn text(&self) -> String {
        self.lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .join("\n")
    }

    fn tail(&self, count: usize) -> String {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let hidden = lines.len().saturating_sub(count);
        let mut text = String::new();
        if hidden > 0 {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "({hidden} lines before these)");
        }
        text + &lines[hidden..].join("\n")
    }

    fn follow(
        &self,
        name: &'static str,
        source: impl std::io::Read + Send + 'static,
        also: Option<mpsc::Sender<String>>,
    ) -> JoinHandle<()> {
        let output = self.clone();
        thread::spawn(move || {
            for line in BufReader::new(source).lines() {
                let Ok(line) = line else { return };
                output.push(&format!("{name} | {line}"));
                if let Some(also) = &also {
                    // Nobody listens any more once the listeners are announced.
                    let _ = also.send(line);
                }
            }
        })
    }
}
