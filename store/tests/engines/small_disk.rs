//! Tests on a disk that can be filled: each in a process of its own, in which `tests/preload/full_disk.c` limits what
//! the files of a folder may have.

use std::io::{Write, stderr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use tempfile::TempDir;

const SHIM: &str = "STOMPBOX_FULL_DISK";
const TMPFS: &str = "STOMPBOX_TMPFS";

/// Runs a test, the one that calls this, under the shim.
pub(crate) fn on_small_disk(test: impl FnOnce()) {
    if std::env::var_os(SHIM).is_some() {
        return test();
    }
    check_passed(again(&mut Command::new(this_program())));
}

/// Runs a test, the one that calls this, where `folder` is a file system of so many MiB: on a disk that is really full
/// when it is full. Says aloud when this machine does not let us, and fails where `STOMPBOX_REQUIRE_CLIENTS=1`.
pub(crate) fn on_tmpfs(mib: u32, test: impl FnOnce(&Path)) {
    if let Some(folder) = std::env::var_os(TMPFS) {
        return test(Path::new(&folder));
    }
    let allowed = Command::new("unshare")
        .args(["-rm", "mount", "-t", "tmpfs", "none", "/mnt"])
        .output();
    if !allowed.is_ok_and(|output| output.status.success()) {
        assert!(
            std::env::var_os("STOMPBOX_REQUIRE_CLIENTS").is_none_or(|value| value != "1"),
            "nothing may be skipped, and `unshare -rm mount -t tmpfs none /mnt` fails: allow user namespaces"
        );
        // Not through the macro, which the test runner would keep to itself.
        writeln!(
            stderr(),
            "SKIPPED: no mount of a tmpfs in a namespace of its own here"
        )
        .expect("stderr");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let script = format!("mount -t tmpfs -o size={mib}m none \"$0\" && exec \"$@\"");
    let mut command = Command::new("unshare");
    command.args(["-rm", "sh", "-c", &script]);
    command
        .arg(folder.path())
        .arg(this_program())
        .env(TMPFS, folder.path());
    check_passed(named(&mut command));
}

/// This test in another process, under the shim.
pub(crate) fn again(command: &mut Command) -> &mut Command {
    named(command).env("LD_PRELOAD", shim()).env(SHIM, "1")
}

pub(crate) fn this_program() -> PathBuf {
    std::env::current_exe().expect("this program")
}

fn named(command: &mut Command) -> &mut Command {
    let thread = std::thread::current();
    let name = thread.name().expect("tests have a thread with their name");
    command.args([name, "--exact", "--nocapture"])
}

fn check_passed(command: &mut Command) {
    let output = command.output().expect("this program again");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{}\n{text}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Compiled once a run.
fn shim() -> &'static Path {
    static BUILT: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let (_, library) = BUILT.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a folder");
        let library = folder.path().join("full_disk.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/preload/full_disk.c");
        let output = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"])
            .arg(&library)
            .arg(&source)
            .arg("-ldl")
            .output()
            .expect("a C compiler");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "cc: {errors}");
        (folder, library)
    });
    library
}

/// The limits of a folder: `("*", bytes)` for all its files together.
pub(crate) fn limit(folder: &Path, limits: &[(&str, u64)]) {
    let lines: String = limits
        .iter()
        .map(|(name, bytes)| format!("{name} {bytes}\n"))
        .collect();
    // Renamed into place: a growth meets the old limits or the new ones.
    let draft = folder.with_extension("limits");
    std::fs::write(&draft, lines).expect("a file");
    std::fs::rename(&draft, folder.join(".capacity")).expect("a file");
}

/// Bytes of all files in a folder.
pub(crate) fn used(folder: &Path) -> u64 {
    let files = std::fs::read_dir(folder).expect("a folder");
    let sizes = files
        .filter_map(Result::ok)
        .filter(|file| file.file_name() != ".capacity")
        .filter_map(|file| file.metadata().ok());
    sizes.map(|metadata| metadata.len()).sum()
}
