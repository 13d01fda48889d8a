//! Tests on a disk that can be filled: each in a process of its own, in which `tests/preload/full_disk.c` limits what
//! the files of a folder may have.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use tempfile::TempDir;

const SHIM: &str = "STOMPBOX_FULL_DISK";

/// Runs a test, the one that calls this, under the shim.
pub(crate) fn on_small_disk(test: impl FnOnce()) {
    if std::env::var_os(SHIM).is_some() {
        return test();
    }
    let name = std::thread::current()
        .name()
        .expect("tests have a thread with their name")
        .to_owned();
    let output = Command::new(std::env::current_exe().expect("this program"))
        .args([&name, "--exact", "--nocapture"])
        .env("LD_PRELOAD", shim())
        .env(SHIM, "1")
        .output()
        .expect("this program again");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{name}: {}\n{text}\n{}",
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
