//! What the headers say, and the text that the store keeps of it.

use proptest::prelude::*;

use super::*;

fn check(text: &str, expected: Option<(i64, i64, i64, Option<&str>)>) {
    let parsed = parse(text).expect(text);
    let seen = parsed.as_ref().map(|schedule| {
        (
            schedule.delay_ms(),
            schedule.period_ms(),
            schedule.repeats().number(),
            schedule.cron().map(Cron::text),
        )
    });
    assert_eq!(seen, expected, "{text}");
}

#[test]
fn every_header_is_read() {
    check("1000 - - -", Some((1_000, 0, 0, None)));
    check("1000 500 9 -", Some((1_000, 500, 9, None)));
    check("- 500 -1 -", Some((0, 500, -1, None)));
    check(
        "- - - 30  2 * * 1-5 ",
        Some((0, 0, 0, Some("30 2 * * 1-5"))),
    );
    check(
        "1000 1000 9 0 * * * *",
        Some((1_000, 1_000, 9, Some("0 * * * *"))),
    );
    check("1000 - 3 -", Some((1_000, 0, 3, None)));
    check("0 - 3 -", Some((0, 0, 3, None)));
}

#[test]
fn what_comes_at_once_and_once_is_no_schedule() {
    check("- - - -", None);
    check("0 - - -", None);
    check("0 0 0 -", None);
    check("- - - ", None);
    check("- - 9 -", None);
}

#[test]
fn x_delay_is_another_word_for_the_delay() {
    let parse = |delay: Option<&str>, x_delay: &str| {
        Schedule::parse(&ScheduleHeaders {
            delay: delay.map(str::as_bytes),
            x_delay: Some(x_delay.as_bytes()),
            ..ScheduleHeaders::default()
        })
    };
    let delayed = schedule("1000 - - -");
    assert_eq!(parse(None, "1000"), Ok(Some(delayed.clone())));
    assert_eq!(parse(Some("1000"), " 1000"), Ok(Some(delayed)));
    assert_eq!(parse(Some("1"), "1000"), Err(ScheduleError::TwoDelays));
    assert_eq!(
        parse(None, "-1"),
        Err(ScheduleError::Negative {
            header: "x-delay",
            value: -1
        })
    );
}

#[test]
fn headers_that_mean_nothing_are_refused() {
    let cases = [
        (
            "soon - - -",
            "the header 'AMQ_SCHEDULED_DELAY' must be an integer, not 'soon'",
        ),
        (
            "1.5 - - -",
            "the header 'AMQ_SCHEDULED_DELAY' must be an integer, not '1.5'",
        ),
        (
            "9223372036854775808 - - -",
            "the header 'AMQ_SCHEDULED_DELAY' must be an integer, not '9223372036854775808'",
        ),
        (
            "- -1 - -",
            "the header 'AMQ_SCHEDULED_PERIOD' must be 0 or more milliseconds, not -1",
        ),
        (
            "- - x -",
            "the header 'AMQ_SCHEDULED_REPEAT' must be an integer, not 'x'",
        ),
        (
            "- 1 1001 -",
            "the header 'AMQ_SCHEDULED_REPEAT' must be 0 to 1000, or -1 for ever, not 1001",
        ),
        (
            "- 1 -2 -",
            "the header 'AMQ_SCHEDULED_REPEAT' must be 0 to 1000, or -1 for ever, not -2",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(parse(text).expect_err(text).to_string(), expected);
    }
    assert_eq!(
        parse("1000 - -1 -"),
        Err(ScheduleError::EndlessWithoutPeriod)
    );
    assert_eq!(
        parse("- 1 -1 0 * * * *"),
        Err(ScheduleError::EndlessWithCron)
    );
}

fn field(low: u32, high: u32) -> impl Strategy<Value = String> {
    prop_oneof![
        Just("*".to_owned()),
        (low..=high).prop_map(|n| n.to_string()),
        (1..=high).prop_map(|n| format!("*/{n}")),
    ]
}

prop_compose! {
    fn any_cron()(
        minute in field(0, 59), hour in field(0, 23), day in field(1, 31),
        month in field(1, 12), weekday in field(0, 7),
    ) -> String {
        format!("{minute} {hour} {day} {month} {weekday}")
    }
}

proptest! {
    #[test]
    fn what_the_store_keeps_is_read_as_it_was(
        delay in prop_oneof![Just(0), 0..i64::MAX],
        period in prop_oneof![Just(0), 0..i64::MAX],
        repeat in -1..=1_000_i64,
        cron in proptest::option::of(any_cron()),
    ) {
        let text = format!("{delay} {period} {repeat} {}", cron.as_deref().unwrap_or("-"));
        if let Ok(Some(schedule)) = parse(&text) {
            let kept = schedule.to_string();
            prop_assert_eq!(kept.parse::<Schedule>(), Ok(schedule), "{}", kept);
        }
    }

    #[test]
    fn whatever_the_store_holds_is_read_or_refused(text in any::<String>()) {
        if let Ok(schedule) = text.parse::<Schedule>() {
            prop_assert_eq!(schedule.to_string().parse::<Schedule>(), Ok(schedule));
        }
    }
}

#[test]
fn the_store_keeps_readable_text() {
    assert_eq!(schedule("5000 - - -").to_string(), "delay=5000");
    assert_eq!(
        schedule("1000 500 9 0  * * * *").to_string(),
        "delay=1000 period=500 repeat=9 cron=0 * * * *"
    );
    assert_eq!(schedule("- 500 -1 -").to_string(), "period=500 repeat=-1");
    assert_eq!(schedule("- - - ? * * * *").to_string(), "cron=? * * * *");
}

#[test]
fn text_of_another_version_is_refused() {
    for text in [
        "",
        "delay=0",
        "delay=-1",
        "delay",
        "jitter=5",
        "repeat=1001",
        "repeat=-1",
        "period=1 repeat=-1 cron=0 * * * *",
        "cron=0 * * *",
        "cron=",
    ] {
        let error = text.parse::<Schedule>().expect_err(text);
        assert_eq!(error.text, text);
    }
}
