//! Schedules: what the headers say, and the times that follow.

use super::*;

mod cron;
mod header;
mod time;

/// Central Europe by its rule, so that no database of zones is needed.
fn central_europe() -> TimeZone {
    TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").expect("a zone")
}

/// Reads `DELAY PERIOD REPEAT CRON`, `-` where a header is not there.
fn parse(text: &str) -> Result<Option<Schedule>, ScheduleError> {
    let mut values = text
        .splitn(4, ' ')
        .map(|value| (value != "-").then_some(value.as_bytes()));
    Schedule::parse(&ScheduleHeaders {
        delay: values.next().flatten(),
        x_delay: None,
        period: values.next().flatten(),
        repeat: values.next().flatten(),
        cron: values.next().flatten(),
    })
}

fn schedule(text: &str) -> Schedule {
    parse(text).expect(text).expect("a schedule")
}

fn ms(text: &str) -> i64 {
    text.parse::<jiff::Timestamp>()
        .expect(text)
        .as_millisecond()
}

fn shown(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms)
        .expect("a time")
        .to_string()
}
