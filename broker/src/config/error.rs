//! What is wrong with a configuration, said so that its writer can find and mend it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file that was named cannot be read.
    #[error("cannot read the configuration file {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// Something in it is not allowed.
    #[error("{}", lines(problems))]
    Invalid {
        /// Everything that was found: the file from top to bottom, then the rest. Never empty.
        problems: Vec<Problem>,
    },
}

/// One thing that is not allowed.
#[derive(Debug, Clone, PartialEq)]
pub struct Problem {
    /// Where it was written; [`None`] for a contradiction between defaults and nothing else.
    pub origin: Option<Origin>,
    /// The key with its section, as `limits.headers`; empty if no key is to blame.
    pub key: String,
    /// What is wrong and what is allowed.
    pub text: String,
}

impl Problem {
    /// The line of the file; after all lines what is not in it.
    pub(super) fn line(&self) -> usize {
        match self.origin {
            Some(Origin::File { line, .. }) => line,
            Some(Origin::Environment { .. } | Origin::CommandLine { .. }) | None => usize::MAX,
        }
    }
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum Origin {
    /// A line of the file.
    File {
        /// The file.
        path: Arc<Path>,
        /// The line, counted from 1.
        line: usize,
    },
    /// A variable of the environment.
    Environment {
        /// Its name.
        variable: String,
    },
    /// An option of the command line.
    CommandLine {
        /// Its name.
        option: &'static str,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::File { path, line } => write!(f, "{}:{line}", path.display()),
            Origin::Environment { variable } => f.write_str(variable),
            Origin::CommandLine { option } => f.write_str(option),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(origin) = &self.origin {
            write!(f, "{origin}: ")?;
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.text)
    }
}

fn lines(problems: &[Problem]) -> String {
    let lines: Vec<String> = problems.iter().map(Problem::to_string).collect();
    lines.join("\n")
}
