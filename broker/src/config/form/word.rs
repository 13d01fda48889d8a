//! Words: one of a few, yes or no, a path, free text.

use std::path::PathBuf;

use super::{Form, Scalar, quote};

/// One word out of a list.
pub(in super::super) struct Choice<T: 'static>(
    /// Each word with what it means.
    pub(in super::super) &'static [(&'static str, T)],
);

impl<T: Copy + PartialEq> Form for Choice<T> {
    type Value = T;

    fn read(&self, scalar: &Scalar) -> Option<T> {
        let text = scalar.text()?;
        self.0
            .iter()
            .find(|(word, _)| *word == text)
            .map(|(_, value)| *value)
    }

    fn write(&self, value: &T) -> String {
        let word = self
            .0
            .iter()
            .find(|(_, meaning)| meaning == value)
            .map(|(word, _)| *word);
        quote(word.expect("invariant: a choice lists every variant"))
    }

    fn allowed(&self) -> String {
        let words: Vec<String> = self.0.iter().map(|(word, _)| quote(word)).collect();
        words.join(" or ")
    }
}

/// `true` or `false`.
pub(in super::super) struct Flag;

impl Form for Flag {
    type Value = bool;

    fn read(&self, scalar: &Scalar) -> Option<bool> {
        match scalar {
            Scalar::Boolean(boolean) => Some(*boolean),
            Scalar::Bare(text) => text.parse().ok(),
            Scalar::Text(_)
            | Scalar::Integer(_)
            | Scalar::Float(_)
            | Scalar::List(_)
            | Scalar::Other(_) => None,
        }
    }

    fn write(&self, value: &bool) -> String {
        value.to_string()
    }

    fn allowed(&self) -> String {
        "true or false".to_owned()
    }
}

/// The path of a folder.
pub(in super::super) struct Folder;

impl Form for Folder {
    type Value = PathBuf;

    fn read(&self, scalar: &Scalar) -> Option<PathBuf> {
        scalar
            .text()
            .filter(|text| !text.is_empty())
            .map(PathBuf::from)
    }

    fn write(&self, value: &PathBuf) -> String {
        quote(&value.to_string_lossy())
    }

    fn allowed(&self) -> String {
        "the path of a folder".to_owned()
    }
}

/// Text that a check accepts.
pub(in super::super) struct Text {
    /// What the check accepts.
    pub(in super::super) allowed: &'static str,
    /// The check.
    pub(in super::super) valid: fn(&str) -> bool,
}

impl Form for Text {
    type Value = String;

    fn read(&self, scalar: &Scalar) -> Option<String> {
        scalar
            .text()
            .filter(|text| (self.valid)(text))
            .map(str::to_owned)
    }

    fn write(&self, value: &String) -> String {
        quote(value)
    }

    fn allowed(&self) -> String {
        self.allowed.to_owned()
    }
}
