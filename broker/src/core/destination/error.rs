//! Why a destination is refused. The texts go to the client: each says what to do.

use super::{COMPOSITE_NAMES_MAX, NAME_BYTES_MAX};

/// Why a `destination` names nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// Bytes that are no text.
    #[error("the destination is not UTF-8")]
    NotUtf8,
    /// Nothing behind the prefix.
    #[error("the destination has no name: write /queue/NAME or /topic/NAME")]
    Empty,
    /// `a..b`, `.a`, `a.`
    #[error("the destination has an empty segment: no two dots in a row, none at either end")]
    EmptySegment,
    /// Over [`NAME_BYTES_MAX`].
    #[error("the destination's name has {bytes} bytes, at most {NAME_BYTES_MAX} are allowed")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// A control character.
    #[error("the destination contains a control character")]
    ControlCharacter,
    /// `/something/` that is no type of destination.
    #[error(
        "'{0}' has a prefix that is not known: write /queue/NAME or /topic/NAME, or NAME alone for a queue"
    )]
    UnknownPrefix(String),
    /// A pattern where the configuration names one destination.
    #[error("one destination is meant here, not a pattern: name it without wildcards")]
    Wildcard,
    /// A pattern where a name is needed.
    #[error("'{0}' is a pattern, which SUBSCRIBE takes only: name the destinations one by one")]
    Pattern(String),
    /// `a.>.b`, `a.#.b`
    #[error("'{0}' goes on behind the rest: '>' and '#' can only be the last segment of a pattern")]
    RestNotLast(String),
    /// `/queue/a.#`
    #[error("'{0}' is a pattern of queues, where '>' is the rest: '#' is for topics only")]
    HashOfQueues(String),
    /// `/temp-queue/>`
    #[error(
        "'{0}' is a pattern, and temporary destinations match none: subscribe to each by its name"
    )]
    TemporaryPattern(String),
    /// `a,b` in a `reply-to` that begins as a temporary destination's name.
    #[error("a temporary reply-to names one destination: name it alone")]
    ReplyToList,
    /// A name that the broker itself speaks through.
    #[error(
        "'{0}' is the broker's own to publish on or to be asked by: send to another name, and ask for statistics and \
         the schedule one name at a time"
    )]
    BrokersOwn(String),
    /// Options where a name is needed.
    #[error("a destination takes options behind '?' in SUBSCRIBE only: name it without them")]
    Options,
    /// A list where the configuration names one destination.
    #[error("one destination is meant here, not a list: name it alone")]
    Composite,
    /// Over [`COMPOSITE_NAMES_MAX`].
    #[error(
        "the destination lists {count} names, at most {COMPOSITE_NAMES_MAX} are allowed: use another frame for the others"
    )]
    TooMany {
        /// So many.
        count: usize,
    },
    /// One of several names.
    #[error("name {position} of the destination's list: {error}")]
    InList {
        /// From 1.
        position: usize,
        /// What is wrong with it.
        #[source]
        error: Box<NameError>,
    },
    /// Options that mean nothing.
    #[error(transparent)]
    Option(#[from] OptionError),
}

impl NameError {
    /// Says which one it is, where there are several.
    pub(super) fn in_list_of(self, count: usize, position: usize) -> Self {
        if count == 1 {
            return self;
        }
        Self::InList {
            position,
            error: Box::new(self),
        }
    }
}

/// Why the options of a `destination` mean nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OptionError {
    /// No such option.
    #[error("'{name}' is no option of a destination: there are {allowed}")]
    Unknown {
        /// As written.
        name: String,
        /// Those that there are.
        allowed: String,
    },
    /// `a?consumer.exclusive`
    #[error("the option {name} has no value: write {name}=VALUE, and '&' before the next one")]
    NoValue {
        /// Which.
        name: &'static str,
    },
    /// Not a whole number in its range.
    #[error("the option {name} must be {range}, not '{value}'")]
    NotNumber {
        /// Which.
        name: &'static str,
        /// What it may be.
        range: &'static str,
        /// As written.
        value: String,
    },
    /// Not a flag.
    #[error("the option {name} must be true or false, not '{value}'")]
    NotFlag {
        /// Which.
        name: &'static str,
        /// As written.
        value: String,
    },
    /// `a?consumer.priority=1,b`
    #[error(
        "'{value}' stands behind the option {name}: options hold for the whole list and stand once, at its end, as in a,b?{name}=VALUE"
    )]
    NameBehind {
        /// Which.
        name: &'static str,
        /// As written.
        value: String,
    },
    /// `%` without two hexadecimal digits, or bytes that are no text.
    #[error(
        "'{value}' is not percent-encoded UTF-8: in options write %25 for '%', %26 for '&' and %2B for '+'"
    )]
    Encoding {
        /// As written.
        value: String,
    },
}
