//! Why a schedule is refused. The texts go to the client: each says what to do.

use super::cron::CRON_BYTES_MAX;
use super::repeat::REPEATS_MAX;

/// Why the schedule headers of a SEND mean nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScheduleError {
    /// Not an integer, or one beyond 64 bits.
    #[error("the header '{header}' must be an integer, not '{value}'")]
    NotInteger {
        /// Which.
        header: &'static str,
        /// As written.
        value: String,
    },
    /// A time that cannot be negative.
    #[error("the header '{header}' must be 0 or more milliseconds, not {value}")]
    Negative {
        /// Which.
        header: &'static str,
        /// As written.
        value: i64,
    },
    /// A count out of its range.
    #[error(
        "the header 'AMQ_SCHEDULED_REPEAT' must be 0 to {REPEATS_MAX}, or -1 for ever, not {value}"
    )]
    Repeats {
        /// As written.
        value: i64,
    },
    /// For ever, without a pause.
    #[error(
        "the header 'AMQ_SCHEDULED_REPEAT' is -1, which is for ever: say how often in 'AMQ_SCHEDULED_PERIOD', 1 or more milliseconds"
    )]
    EndlessWithoutPeriod,
    /// For ever, from every tick on.
    #[error(
        "'AMQ_SCHEDULED_CRON' comes again by itself: send 'AMQ_SCHEDULED_REPEAT' with the number of repeats of each time, or leave it out, not -1"
    )]
    EndlessWithCron,
    /// Both ways to say it, with two values.
    #[error("the headers 'AMQ_SCHEDULED_DELAY' and 'x-delay' differ: send one of them")]
    TwoDelays,
    /// An expression that means nothing.
    #[error(transparent)]
    Cron(#[from] CronError),
    /// The thirtieth of February.
    #[error("the header 'AMQ_SCHEDULED_CRON' names a time that never comes: '{0}'")]
    NeverComes(String),
}

/// Why a cron expression means nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CronError {
    /// Bytes that are no text.
    #[error("the header 'AMQ_SCHEDULED_CRON' is not UTF-8")]
    NotUtf8,
    /// Over [`CRON_BYTES_MAX`].
    #[error(
        "the header 'AMQ_SCHEDULED_CRON' has {bytes} bytes, at most {CRON_BYTES_MAX} are allowed"
    )]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// Not five fields.
    #[error(
        "the header 'AMQ_SCHEDULED_CRON' has {count} fields, not 5: write MINUTE HOUR DAY MONTH WEEKDAY, as in 30 2 * * 1-5"
    )]
    FieldCount {
        /// So many.
        count: usize,
    },
    /// One of the fields.
    #[error(
        "the header 'AMQ_SCHEDULED_CRON' has '{text}' as its {field}, at position {position}: {allowed}"
    )]
    Field {
        /// Which.
        field: &'static str,
        /// As written.
        text: String,
        /// Where it begins, in characters from 1.
        position: usize,
        /// What it may be.
        allowed: &'static str,
    },
}

/// Why a text is no schedule that was written here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is no schedule of this version")]
pub struct TextError {
    /// As found.
    pub text: String,
}
