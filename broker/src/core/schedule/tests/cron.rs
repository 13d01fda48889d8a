//! Cron: its grammar, its times, and what the clock does to them in spring and in autumn.

use jiff::civil::{Date, DateTime};
use jiff::{Timestamp, ToSpan};
use proptest::prelude::*;

use super::*;

fn refused(text: &str) -> CronError {
    match parse(&format!("- - - {text}")) {
        Err(ScheduleError::Cron(error)) => error,
        other => panic!("{text}: {other:?}"),
    }
}

fn check_field(text: &str, expected_field: &str, expected_position: usize) {
    match refused(text) {
        CronError::Field {
            field, position, ..
        } => {
            assert_eq!(
                (field, position),
                (expected_field, expected_position),
                "{text}"
            );
        }
        other => panic!("{text}: {other:?}"),
    }
}

/// The first times after that one, in that zone, as its clock shows them.
fn times(cron: &str, after: &str, zone: &TimeZone, count: usize) -> Vec<String> {
    let schedule = schedule(&format!("- - - {cron}"));
    let first = schedule.first(ms(after), zone).expect("a first one");
    std::iter::successors(Some(first), |fired| {
        schedule.next(*fired, fired.due_ms, zone)
    })
    .take(count)
    .map(|firing| {
        let time = Timestamp::from_millisecond(firing.due_ms).expect("a time");
        time.to_zoned(zone.clone())
            .strftime("%m-%d %H:%M %z")
            .to_string()
    })
    .collect()
}

#[test]
fn an_error_says_which_field_it_is_and_where_it_begins() {
    check_field("60 * * * *", "minute", 1);
    check_field("* 24 * * *", "hour", 3);
    check_field("*  *  0 * *", "day of the month", 7);
    check_field(" * * * 13 *", "month", 8);
    check_field("0 2 * * 8", "day of the week", 9);
    check_field("*/0 * * * *", "minute", 1);
    check_field("10-5 * * * *", "minute", 1);
    check_field("5/10 * * * *", "minute", 1);
    for item in [
        "1,,2", ",", "-", "1-", "-5", "/5", "*/", "1-5/", "**", "*5", "1*", "1-2-3", "1/2/3",
    ] {
        check_field(&format!("{item} * * * *"), "minute", 1);
    }
    check_field("* * * FOO *", "month", 7);
    check_field("größe * * * *", "minute", 1);
    assert_eq!(
        refused("0 25 * * *").to_string(),
        "the header 'AMQ_SCHEDULED_CRON' has '25' as its hour, at position 3: write 0 to 23, as in 5, \
         6,18, 8-17 or */2"
    );
}

#[test]
fn names_stand_only_where_they_mean_something() {
    for text in [
        "0 0 * JAN,jul *",
        "0 0 * * MON-FRI",
        "0 0 L * *",
        "0 0 15W * *",
        "0 0 * * 5L",
    ] {
        schedule(&format!("- - - {text}"));
    }
    check_field("MON * * * *", "minute", 1);
    check_field("* * * MON *", "month", 7);
    check_field("* * * * JAN", "day of the week", 9);
    check_field("* L * * *", "hour", 3);
    check_field("* * 1#2 * *", "day of the month", 5);
    check_field("* * * * +1", "day of the week", 9);
}

#[test]
fn an_expression_has_five_fields_and_a_bounded_length() {
    assert_eq!(refused("* * * *"), CronError::FieldCount { count: 4 });
    assert_eq!(refused("0 * * * * *"), CronError::FieldCount { count: 6 });
    assert_eq!(refused("@daily"), CronError::FieldCount { count: 1 });
    let long = format!("{} * * * *", vec!["1"; 200].join(","));
    assert_eq!(refused(&long), CronError::TooLong { bytes: 407 });
    let headers = ScheduleHeaders {
        cron: Some(b"\xff"),
        ..ScheduleHeaders::default()
    };
    assert_eq!(
        Schedule::parse(&headers),
        Err(ScheduleError::Cron(CronError::NotUtf8))
    );
}

#[test]
fn a_day_that_never_comes_is_refused() {
    for text in ["0 0 30 2 *", "0 0 31 4,6 *"] {
        assert_eq!(
            schedule(&format!("- - - {text}")).first(0, &TimeZone::UTC),
            Err(ScheduleError::NeverComes(text.to_owned()))
        );
    }
    let leap = times("0 0 29 2 *", "2026-01-01T00:00:00Z", &TimeZone::UTC, 2);
    assert_eq!(leap, ["02-29 00:00 +0000", "02-29 00:00 +0000"]);
}

#[test]
fn day_of_the_month_and_of_the_week_together_are_either() {
    assert_eq!(
        times("0 0 10 * 1", "2026-06-01T12:00:00Z", &TimeZone::UTC, 3),
        [
            "06-08 00:00 +0000",
            "06-10 00:00 +0000",
            "06-15 00:00 +0000"
        ]
    );
}

#[test]
fn a_question_mark_is_a_star() {
    assert_eq!(
        times("? 5 ? * ?", "2026-06-01T12:00:00Z", &TimeZone::UTC, 2),
        times("* 5 * * *", "2026-06-01T12:00:00Z", &TimeZone::UTC, 2)
    );
}

#[test]
fn the_time_of_the_send_itself_is_over() {
    assert_eq!(
        times("0 * * * *", "2026-06-01T12:00:00Z", &TimeZone::UTC, 1),
        ["06-01 13:00 +0000"]
    );
    assert_eq!(
        times("0 * * * *", "2026-06-01T11:59:59.999Z", &TimeZone::UTC, 1),
        ["06-01 12:00 +0000"]
    );
}

#[test]
fn what_the_clock_skips_in_spring_comes_after_the_gap() {
    let zone = central_europe();
    assert_eq!(
        times("30 2 * * *", "2026-03-28T00:00:00Z", &zone, 3),
        [
            "03-28 02:30 +0100",
            "03-29 03:00 +0200",
            "03-30 02:30 +0200"
        ]
    );
    assert_eq!(
        times("*/30 * * * *", "2026-03-29T00:20:00Z", &zone, 3),
        [
            "03-29 01:30 +0100",
            "03-29 03:00 +0200",
            "03-29 03:30 +0200"
        ]
    );
}

#[test]
fn what_the_clock_repeats_in_autumn_comes_once_unless_it_is_a_pause() {
    let zone = central_europe();
    assert_eq!(
        times("30 2 * * *", "2026-10-24T12:00:00Z", &zone, 2),
        ["10-25 02:30 +0200", "10-26 02:30 +0100"]
    );
    assert_eq!(
        times("*/30 * * * *", "2026-10-24T23:40:00Z", &zone, 6),
        [
            "10-25 02:00 +0200",
            "10-25 02:30 +0200",
            "10-25 02:00 +0100",
            "10-25 02:30 +0100",
            "10-25 03:00 +0100",
            "10-25 03:30 +0100"
        ]
    );
}

/// A field as a list of what it allows; [`None`] for `*`.
type Allowed = Option<Vec<i8>>;

fn field(low: i8, high: i8) -> impl Strategy<Value = (String, Allowed)> {
    let list = proptest::collection::vec(low..=high, 1..4).prop_map(|list| {
        let text: Vec<String> = list.iter().map(ToString::to_string).collect();
        (text.join(","), Some(list))
    });
    let range = (low..=high, low..=high).prop_map(|(a, b)| {
        let (a, b) = (a.min(b), a.max(b));
        (format!("{a}-{b}"), Some((a..=b).collect()))
    });
    let step = (1..=high).prop_map(move |step| {
        let allowed = (low..=high).filter(|n| (n - low) % step == 0).collect();
        (format!("*/{step}"), Some(allowed))
    });
    prop_oneof![2 => Just(("*".to_owned(), None)), 1 => list, 1 => range, 1 => step]
}

fn allows(allowed: &Allowed, value: i8) -> bool {
    allowed.as_ref().is_none_or(|list| list.contains(&value))
}

/// Day by day, hour by hour, minute by minute, in UTC.
fn naive_next(fields: &[(String, Allowed); 5], after: DateTime) -> Option<DateTime> {
    let [minute, hour, day, month, weekday] = fields.each_ref().map(|(_, allowed)| allowed);
    let is_day = |date: Date| {
        let by_day = allows(day, date.day());
        let by_weekday = allows(weekday, date.weekday().to_sunday_zero_offset());
        let either = match (day, weekday) {
            (Some(_), Some(_)) => by_day || by_weekday,
            _ => by_day && by_weekday,
        };
        allows(month, date.month()) && either
    };
    let days = (0..366 * 9).filter_map(|days| after.date().checked_add(days.days()).ok());
    days.filter(|date| is_day(*date))
        .flat_map(|date| {
            let hours = (0..24).filter(|h| allows(hour, *h));
            hours.flat_map(move |h| {
                (0..60)
                    .filter(|m| allows(minute, *m))
                    .map(move |m| date.at(h, m, 0, 0))
            })
        })
        .find(|time| *time > after)
}

proptest! {
    #[test]
    fn whatever_is_written_is_read_or_refused(
        text in prop_oneof![
            any::<String>(),
            proptest::collection::vec("[0-9*?,/#LW+-]{1,4}|MON|feb", 5..6)
                .prop_map(|fields| fields.join(" ")),
        ],
    ) {
        if let Ok(Some(schedule)) = parse(&format!("- - - {text}")) {
            let first = schedule.first(0, &central_europe());
            prop_assert!(first.is_ok() || matches!(first, Err(ScheduleError::NeverComes(_))));
        }
    }

    #[test]
    fn its_times_are_those_that_counting_finds(
        fields in (field(0, 59), field(0, 23), field(1, 31), field(1, 12), field(0, 6)),
        after_s in 1_700_000_000..1_900_000_000_i64,
    ) {
        let fields: [_; 5] = fields.into();
        let text = fields.each_ref().map(|(text, _)| text.as_str()).join(" ");
        let after = Timestamp::from_second(after_s).expect("a time");
        let utc = |time: Timestamp| time.to_zoned(TimeZone::UTC).datetime();
        let expected = naive_next(&fields, utc(after));
        let schedule = schedule(&format!("- - - {text}"));
        let seen = schedule.first(after.as_millisecond(), &TimeZone::UTC).ok().map(|first| {
            utc(Timestamp::from_millisecond(first.due_ms).expect("a time"))
        });
        prop_assert_eq!(seen, expected, "{} after {}", text, after);
    }

    #[test]
    fn each_time_is_later_than_the_one_before_also_when_the_clock_jumps(
        cron in prop_oneof![
            Just("* * * * *"), Just("30 2 * * *"), Just("*/7 1-3 * * *"), Just("0,30 2,3 * * *"),
            Just("59 * * 3,10 *"),
        ],
        // A week around each change of the clock in 2026.
        after_ms in prop_oneof![
            ms("2026-03-26T00:00:00Z")..ms("2026-04-01T00:00:00Z"),
            ms("2026-10-22T00:00:00Z")..ms("2026-10-28T00:00:00Z"),
        ],
    ) {
        let zone = central_europe();
        let schedule = schedule(&format!("- - - {cron}"));
        let first = schedule.first(after_ms, &zone).expect("a first one");
        prop_assert!(first.due_ms > after_ms);
        let next = schedule.next(first, first.due_ms, &zone).expect("one more");
        prop_assert!(next.due_ms > first.due_ms);
    }
}
