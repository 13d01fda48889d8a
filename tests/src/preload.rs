//! Libraries in `tests/preload` that are loaded before the C library, to change what a process sees of its machine.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

/// Compiles `preload/NAME.c` into a folder.
///
/// # Errors
/// When there is no C compiler or it fails.
pub fn compile(name: &str, folder: &Path) -> Result<PathBuf> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("preload");
    let library = folder.join(name).with_extension("so");
    let output = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"])
        .arg(&library)
        .arg(sources.join(name).with_extension("c"))
        .arg("-ldl")
        .output()
        .context("cannot run cc")?;
    ensure!(
        output.status.success(),
        "cc: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(library)
}
