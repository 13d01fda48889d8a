//! Section `[log]`: the log on standard error.

use tracing_subscriber::EnvFilter;

use super::choice::LogFormat;
use super::form::{Choice, Text};
use super::section::section;

section! {
    /// The log, which goes to standard error.
    pub struct LogConfig, given LogGiven {
        /// "human" for people, "json" for one JSON object a line.
        pub format: LogFormat = LogFormat::Human, Choice(&[
            ("human", LogFormat::Human),
            ("json", LogFormat::Json),
        ]);
        /// What is logged: a level, and levels of single modules ("info,stompbox_broker::core=debug").
        pub level: String = "info".to_owned(), Text {
            allowed: "\"error\", \"warn\", \"info\", \"debug\", \"trace\", \"off\", \
                or a list such as \"info,stompbox_broker=debug\"",
            valid: is_filter,
        };
    }
}

/// A lone word that is no level would be taken for a module's name and silence everything else.
fn is_filter(text: &str) -> bool {
    const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];
    let is_level = |word: &str| {
        LEVELS
            .iter()
            .any(|level| level.eq_ignore_ascii_case(word.trim()))
    };
    let directive = |part: &str| part.contains('=') || is_level(part);
    text.split(',').all(directive) && EnvFilter::builder().parse(text).is_ok()
}
