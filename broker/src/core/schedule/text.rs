//! A schedule as text, for the store: `delay=1000 period=500 repeat=9 cron=0 * * * *`. What is 0 or not there is left
//! out; cron stands last, since it has spaces.

use std::fmt;
use std::str::FromStr;

use super::Schedule;
use super::cron::Cron;
use super::error::TextError;
use super::repeat::Repeats;
use crate::core::excerpt::excerpt;

const CRON: &str = "cron=";

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers = [
            ("delay", self.delay_ms),
            ("period", self.period_ms),
            ("repeat", self.repeats.number()),
        ];
        let mut space = "";
        for (key, number) in numbers.into_iter().filter(|(_, number)| *number != 0) {
            write!(f, "{space}{key}={number}")?;
            space = " ";
        }
        match &self.cron {
            None => Ok(()),
            Some(cron) => write!(f, "{space}{CRON}{}", cron.text()),
        }
    }
}

impl FromStr for Schedule {
    type Err = TextError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        read(text).ok_or_else(|| TextError {
            text: excerpt(text),
        })
    }
}

fn read(text: &str) -> Option<Schedule> {
    let (numbers, cron) = match text.find(CRON) {
        None => (text, None),
        Some(at) => (
            &text[..at],
            Some(Cron::parse(&text[at + CRON.len()..]).ok()?),
        ),
    };
    let mut schedule = Schedule {
        delay_ms: 0,
        period_ms: 0,
        repeats: Repeats::NONE,
        cron,
    };
    for pair in numbers.split_ascii_whitespace() {
        let (key, number) = pair.split_once('=')?;
        let number: i64 = number.parse().ok()?;
        match key {
            "delay" if number >= 0 => schedule.delay_ms = number,
            "period" if number >= 0 => schedule.period_ms = number,
            "repeat" => schedule.repeats = Repeats::from_number(number)?,
            _ => return None,
        }
    }
    schedule.check().ok()?;
    schedule.says_something().then_some(schedule)
}
