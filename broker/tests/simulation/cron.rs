//! Cron expressions that clients use, and what each of them means, said a second time: minute by minute.

const MINUTE_MS: i64 = 60_000;

/// What a clock shows.
pub(crate) struct Minute {
    minute: i64,
    day: i64,
    month: i64,
    /// From Sunday, 0.
    weekday: i64,
}

/// An expression, as its text and as what it means.
pub(crate) type Cron = (&'static str, fn(&Minute) -> bool);

pub(crate) const CRONS: [Cron; 6] = [
    ("* * * * *", |_| true),
    ("*/3 * * * *", |own| own.minute % 3 == 0),
    ("10-40 * * * *", |own| (10..=40).contains(&own.minute)),
    ("15,17,44,46,58 ? * * *", |own| {
        [15, 17, 44, 46, 58].contains(&own.minute)
    }),
    ("* * 14-16 * *", |own| (14..=16).contains(&own.day)),
    ("*/2 * * NOV TUE-THU", |own| {
        own.minute % 2 == 0 && own.month == 11 && (2..=4).contains(&own.weekday)
    }),
];

/// Seconds east of Greenwich of the zones in which they are read.
pub(crate) const ZONES: [i64; 3] = [0, 19_800, -12_600];

impl Minute {
    fn at(ms: i64, zone_s: i64) -> Self {
        let minutes = ms.div_euclid(MINUTE_MS) + zone_s / 60;
        let days = minutes.div_euclid(24 * 60);
        let (month, day) = month_and_day(days);
        Self {
            minute: minutes.rem_euclid(60),
            day,
            month,
            // The first of January 1970 was a Thursday.
            weekday: (days + 4).rem_euclid(7),
        }
    }
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn month_and_day(mut days: i64) -> (i64, i64) {
    for year in 1970.. {
        let in_february = if is_leap(year) { 29 } else { 28 };
        let months = [31, in_february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        for (month, length) in (1..).zip(months) {
            if days < length {
                return (month, days + 1);
            }
            days -= length;
        }
    }
    unreachable!("years do not end")
}

/// The first time of an expression after this one.
pub(crate) fn next_after(text: &str, after_ms: i64, zone_s: i64) -> i64 {
    let known = CRONS.iter().find(|(known, _)| *known == text);
    let (_, means) = known.expect("an expression of the catalogue");
    let first = (after_ms.div_euclid(MINUTE_MS) + 1) * MINUTE_MS;
    let mut minutes = (0..).map(|minute| first + minute * MINUTE_MS);
    let next = minutes.find(|ms| means(&Minute::at(*ms, zone_s)));
    next.expect("it comes again")
}

#[test]
fn a_minute_is_what_the_clock_shows() {
    // 2023-11-14 22:13:20 UTC, a Tuesday.
    let ms = 1_700_000_000_000;
    for (zone_s, expected) in [(0, (13, 14, 11, 2)), (19_800, (43, 15, 11, 3))] {
        let own = Minute::at(ms, zone_s);
        assert_eq!((own.minute, own.day, own.month, own.weekday), expected);
    }
    assert_eq!(next_after("*/3 * * * *", ms, 0), ms - 20_000 + 120_000);
}
