//! What happened: counts of every run, lines of the one that is told in full. A run is one thread.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

const LINES_MAX: usize = 20_000;

thread_local! {
    static COUNTS: RefCell<BTreeMap<&'static str, u64>> = const { RefCell::new(BTreeMap::new()) };
    static LINES: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    static IS_TOLD: Cell<bool> = const { Cell::new(false) };
}

/// From now on lines are kept, or not.
pub(crate) fn tell(is_told: bool) {
    IS_TOLD.set(is_told);
    LINES.with_borrow_mut(Vec::clear);
}

/// Counts an event.
pub(crate) fn count(what: &'static str) {
    COUNTS.with_borrow_mut(|counts| *counts.entry(what).or_default() += 1);
}

/// Notes a line, where it is kept.
pub(crate) fn note(line: impl FnOnce() -> String) {
    if IS_TOLD.get() {
        LINES.with_borrow_mut(|lines| lines.push(line()));
    }
}

/// The last lines that were noted, and how many came before.
pub(crate) fn take_lines() -> String {
    let lines = LINES.take();
    let skipped = lines.len().saturating_sub(LINES_MAX);
    let mut text = format!("... {skipped} lines before\n");
    for line in &lines[skipped..] {
        text.push_str(line);
        text.push('\n');
    }
    text
}

/// Everything that was counted so far.
pub(crate) fn counts() -> BTreeMap<&'static str, u64> {
    COUNTS.with_borrow(Clone::clone)
}
