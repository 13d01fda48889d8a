//! The forms a value may be written in: how each is read, written back and described.

mod address;
mod host;
mod quantity;
mod word;

pub(super) use address::{AddressOrNone, Addresses};
pub(super) use host::Hosts;
pub(crate) use quantity::parse_duration;
pub(super) use quantity::{Bytes, Count, Number, Span};
pub(super) use word::{Choice, Flag, Folder, Text};

/// A value as it was given, before anybody knows what it means.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Scalar {
    /// A string of the file.
    Text(String),
    /// Text without a type, from the environment or the command line.
    Bare(String),
    /// An integer of the file.
    Integer(i64),
    /// A floating-point number of the file.
    Float(f64),
    /// A boolean of the file.
    Boolean(bool),
    /// A list of the file.
    List(Vec<Scalar>),
    /// Something no key takes: a date, a table. The text says which.
    Other(&'static str),
}

impl Scalar {
    /// The text, if it is text.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Scalar::Text(text) | Scalar::Bare(text) => Some(text),
            Scalar::Integer(_)
            | Scalar::Float(_)
            | Scalar::Boolean(_)
            | Scalar::List(_)
            | Scalar::Other(_) => None,
        }
    }
}

impl std::fmt::Display for Scalar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Scalar::Text(text) | Scalar::Bare(text) => write!(f, "\"{}\"", text.escape_debug()),
            Scalar::Integer(integer) => write!(f, "{integer}"),
            Scalar::Float(float) => write!(f, "{float}"),
            Scalar::Boolean(boolean) => write!(f, "{boolean}"),
            Scalar::List(_) => f.write_str("a list"),
            Scalar::Other(what) => f.write_str(what),
        }
    }
}

/// Why a key was not set.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Refusal {
    /// The section has no such key.
    UnknownKey,
    /// The key does not take this value.
    Value {
        /// What was given.
        given: String,
        /// What may be given.
        allowed: String,
    },
}

/// How the values of a key are written.
pub(super) trait Form {
    /// What they are in the program.
    type Value;

    /// The value, if `scalar` is one within the allowed range.
    fn read(&self, scalar: &Scalar) -> Option<Self::Value>;

    /// The value in TOML, in the form that reads best.
    fn write(&self, value: &Self::Value) -> String;

    /// What may be written, as the end of the sentence "allowed is ...".
    fn allowed(&self) -> String;
}

/// Reads a value, or says what would have been allowed.
pub(super) fn read<F: Form>(form: &F, scalar: &Scalar) -> Result<F::Value, Refusal> {
    form.read(scalar).ok_or_else(|| Refusal::Value {
        given: scalar.to_string(),
        allowed: form.allowed(),
    })
}

/// A string in TOML.
pub(super) fn quote(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}
