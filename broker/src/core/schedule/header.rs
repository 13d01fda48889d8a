//! The schedule headers of a SEND.

use super::Schedule;
use super::cron::Cron;
use super::error::{CronError, ScheduleError};
use super::repeat::Repeats;
use crate::core::excerpt::excerpt_of_bytes;

const DELAY: &str = "AMQ_SCHEDULED_DELAY";
const X_DELAY: &str = "x-delay";
const PERIOD: &str = "AMQ_SCHEDULED_PERIOD";
const REPEAT: &str = "AMQ_SCHEDULED_REPEAT";

/// Their values as sent.
#[derive(Debug, Clone, Copy, Default)]
pub struct ScheduleHeaders<'a> {
    /// `AMQ_SCHEDULED_DELAY`.
    pub delay: Option<&'a [u8]>,
    /// `x-delay`, RabbitMQ's word for it.
    pub x_delay: Option<&'a [u8]>,
    /// `AMQ_SCHEDULED_PERIOD`.
    pub period: Option<&'a [u8]>,
    /// `AMQ_SCHEDULED_REPEAT`.
    pub repeat: Option<&'a [u8]>,
    /// `AMQ_SCHEDULED_CRON`.
    pub cron: Option<&'a [u8]>,
}

impl ScheduleHeaders<'_> {
    /// Whether there is none of them.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let delays = [self.delay, self.x_delay, self.period];
        delays.iter().all(Option::is_none) && self.repeat.is_none() && self.cron.is_none()
    }
}

impl Schedule {
    /// Reads the headers; [`None`] if the message is to come at once, and once. As in ActiveMQ `AMQ_SCHEDULED_REPEAT`
    /// alone repeats nothing, and an empty `AMQ_SCHEDULED_CRON` is none.
    ///
    /// # Errors
    /// When one of them means nothing, or not together with the others.
    pub fn parse(headers: &ScheduleHeaders<'_>) -> Result<Option<Self>, ScheduleError> {
        let delay_ms = match (headers.delay, headers.x_delay) {
            (None, None) => None,
            (Some(delay), None) => Some(milliseconds(DELAY, delay)?),
            (None, Some(delay)) => Some(milliseconds(X_DELAY, delay)?),
            (Some(delay), Some(x_delay)) => {
                let delay_ms = milliseconds(DELAY, delay)?;
                if delay_ms != milliseconds(X_DELAY, x_delay)? {
                    return Err(ScheduleError::TwoDelays);
                }
                Some(delay_ms)
            }
        };
        let period_ms = headers
            .period
            .map(|value| milliseconds(PERIOD, value))
            .transpose()?;
        let repeats = headers.repeat.map_or(Ok(Repeats::NONE), repeats)?;
        let cron = headers.cron.map_or(Ok(None), cron)?;
        if delay_ms.is_none() && period_ms.is_none() && cron.is_none() {
            return Ok(None);
        }
        let schedule = Self {
            delay_ms: delay_ms.unwrap_or(0),
            period_ms: period_ms.unwrap_or(0),
            repeats,
            cron,
        };
        schedule.check()?;
        Ok(schedule.says_something().then_some(schedule))
    }

    /// What no combination of headers may be.
    pub(super) fn check(&self) -> Result<(), ScheduleError> {
        match (self.repeats, &self.cron, self.period_ms) {
            (Repeats::Endless, Some(_), _) => Err(ScheduleError::EndlessWithCron),
            (Repeats::Endless, None, 0) => Err(ScheduleError::EndlessWithoutPeriod),
            (Repeats::Endless | Repeats::Times(_), _, _) => Ok(()),
        }
    }

    /// Whether the message comes at another time than at once, or more than once.
    pub(super) fn says_something(&self) -> bool {
        self.cron.is_some() || self.first_ms() > 0 || self.repeats != Repeats::NONE
    }
}

fn integer(header: &'static str, value: &[u8]) -> Result<i64, ScheduleError> {
    std::str::from_utf8(value)
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .ok_or_else(|| ScheduleError::NotInteger {
            header,
            value: excerpt_of_bytes(value),
        })
}

fn milliseconds(header: &'static str, value: &[u8]) -> Result<i64, ScheduleError> {
    match integer(header, value)? {
        value @ ..0 => Err(ScheduleError::Negative { header, value }),
        value => Ok(value),
    }
}

fn repeats(value: &[u8]) -> Result<Repeats, ScheduleError> {
    let value = integer(REPEAT, value)?;
    Repeats::from_number(value).ok_or(ScheduleError::Repeats { value })
}

fn cron(value: &[u8]) -> Result<Option<Cron>, ScheduleError> {
    let text = std::str::from_utf8(value).map_err(|_| CronError::NotUtf8)?;
    if text.trim().is_empty() {
        return Ok(None);
    }
    Ok(Some(Cron::parse(text)?))
}
