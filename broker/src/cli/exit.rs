//! The exit codes, documented in `docs/cli.md`.

/// Everything went as it should.
pub(crate) const OK: u8 = 0;
/// The broker could not start; for `send`, `receive` and `perf`: it did not work out.
pub(crate) const FAILED: u8 = 1;
/// The command line or the configuration has a mistake.
pub(crate) const USAGE: u8 = 2;
/// The data folder belongs to another running broker.
pub(crate) const DATA_IN_USE: u8 = 3;
/// The disk failed: nothing more could be promised.
pub(crate) const DISK_FAILED: u8 = 4;
/// Stopped before everything was done: at the deadline, by a second signal, or while starting.
pub(crate) const STOP_CUT_SHORT: u8 = 5;

/// Each code with its meaning, for `stompbox --help` and the documentation.
pub(crate) const ALL: [(u8, &str); 6] = [
    (OK, "everything went as it should"),
    (
        FAILED,
        "the broker could not start; send, receive, perf: it did not work out",
    ),
    (USAGE, "the command line or the configuration has a mistake"),
    (
        DATA_IN_USE,
        "the data folder belongs to another running broker",
    ),
    (
        DISK_FAILED,
        "the disk failed: nothing more could be promised",
    ),
    (
        STOP_CUT_SHORT,
        "stopped at the deadline, by a second signal or while starting, before everything was done",
    ),
];

/// The table for `--help`.
pub(super) fn help() -> String {
    let lines: Vec<String> = ALL
        .iter()
        .map(|(code, meaning)| format!("  {code}  {meaning}"))
        .collect();
    format!("Exit codes:\n{}", lines.join("\n"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_page_lists_every_exit_code() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/cli.md");
        let page = std::fs::read_to_string(path).expect("docs/cli.md");
        for (code, meaning) in super::ALL {
            let row = format!("| {code} | {meaning} |");
            assert!(page.contains(&row), "docs/cli.md lacks {row}");
        }
    }
}
