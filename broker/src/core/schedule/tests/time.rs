//! The times of schedules without cron, and of cron with a series.

use proptest::prelude::*;

use super::*;

/// All firings when each happens when it is due, `late_ms` later.
fn firings(schedule: &Schedule, sent_ms: i64, late_ms: i64, at_most: usize) -> Vec<i64> {
    let zone = TimeZone::UTC;
    let first = schedule.first(sent_ms, &zone).expect("a first one");
    std::iter::successors(Some(first), |fired| {
        schedule.next(*fired, fired.due_ms + late_ms, &zone)
    })
    .map(|firing| firing.due_ms)
    .take(at_most)
    .collect()
}

#[test]
fn a_delay_is_one_firing() {
    assert_eq!(firings(&schedule("5000 - - -"), 100, 7, 9), [5_100]);
}

#[test]
fn a_series_has_one_firing_more_than_repeats() {
    assert_eq!(
        firings(&schedule("1000 500 2 -"), 100, 7, 9),
        [1_100, 1_600, 2_100]
    );
    assert_eq!(
        firings(&schedule("- 500 2 -"), 100, 7, 9),
        [600, 1_100, 1_600]
    );
    assert_eq!(firings(&schedule("- 500 - -"), 100, 7, 9), [600]);
}

#[test]
fn without_a_period_repeats_come_all_at_once() {
    assert_eq!(
        firings(&schedule("1000 - 2 -"), 100, 7, 9),
        [1_100, 1_100, 1_100]
    );
}

#[test]
fn an_endless_series_goes_on_until_it_is_cancelled() {
    let series = schedule("- 1000 -1 -");
    assert_eq!(firings(&series, 0, 3, 1_500).last(), Some(&1_500_000));
}

#[test]
fn how_often_it_comes_again_is_counted() {
    let zone = TimeZone::UTC;
    let series = schedule("- 500 1 -");
    let first = series.first(0, &zone).expect("a first one");
    assert_eq!(first.left, Repeats::Times(1));
    let last = series.next(first, 500, &zone).expect("a second one");
    assert_eq!(last.left, Repeats::NONE);
    assert_eq!(series.next(last, 1_000, &zone), None);
}

#[test]
fn what_was_missed_is_one_firing_and_the_series_goes_on_where_it_would_have() {
    let zone = TimeZone::UTC;
    let series = schedule("- 1000 5 -");
    let missed = series.first(0, &zone).expect("a first one");
    assert!(!missed.is_due(999) && missed.is_due(1_000) && missed.is_due(7_300));
    let next = series.next(missed, 7_300, &zone).expect("one more");
    assert_eq!(
        next,
        Firing {
            due_ms: 8_000,
            left: Repeats::Times(4)
        }
    );
    let single = schedule("1000 - - -");
    let missed = single.first(0, &zone).expect("a first one");
    assert!(missed.is_due(i64::MAX));
    assert_eq!(single.next(missed, 7_300, &zone), None);
}

#[test]
fn a_clock_that_was_set_back_changes_no_time() {
    let zone = TimeZone::UTC;
    let series = schedule("- 1000 5 -");
    let fired = Firing {
        due_ms: 5_000,
        left: Repeats::Times(2),
    };
    let next = series.next(fired, 1, &zone).expect("one more");
    assert_eq!(next.due_ms, 6_000);
}

#[test]
fn with_cron_a_series_begins_at_each_of_its_times() {
    let sent = ms("2026-05-01T10:20:00Z");
    let texts = |schedule: &str, at_most| -> Vec<String> {
        firings(&self::schedule(schedule), sent, 3, at_most)
            .into_iter()
            .map(shown)
            .collect()
    };
    assert_eq!(
        texts("1000 1000 2 0 * * * *", 4),
        [
            "2026-05-01T11:00:01Z",
            "2026-05-01T11:00:02Z",
            "2026-05-01T11:00:03Z",
            "2026-05-01T12:00:01Z"
        ]
    );
    assert_eq!(
        texts("- - - 0 * * * *", 2),
        ["2026-05-01T11:00:00Z", "2026-05-01T12:00:00Z"]
    );
    assert_eq!(
        texts("5000 - - 0 * * * *", 2),
        ["2026-05-01T11:00:05Z", "2026-05-01T12:00:05Z"]
    );
    assert_eq!(
        texts("- 60000 1 0 * * * *", 3),
        [
            "2026-05-01T11:01:00Z",
            "2026-05-01T11:02:00Z",
            "2026-05-01T12:01:00Z"
        ]
    );
}

#[test]
fn a_delay_longer_than_crons_pause_loses_no_time_of_it() {
    let sent = ms("2026-05-01T10:20:30Z");
    let fired = firings(&schedule("300000 - - * * * * *"), sent, 3, 3);
    let shown: Vec<String> = fired.into_iter().map(shown).collect();
    assert_eq!(
        shown,
        [
            "2026-05-01T10:26:00Z",
            "2026-05-01T10:27:00Z",
            "2026-05-01T10:28:00Z"
        ]
    );
}

#[test]
fn a_series_ends_where_crons_next_one_begins() {
    let sent = ms("2026-05-01T10:20:30Z");
    let fired = firings(&schedule("10000 20000 9 * * * * *"), sent, 3, 5);
    let shown: Vec<String> = fired.into_iter().map(shown).collect();
    assert_eq!(
        shown,
        [
            "2026-05-01T10:21:10Z",
            "2026-05-01T10:21:30Z",
            "2026-05-01T10:21:50Z",
            "2026-05-01T10:22:10Z",
            "2026-05-01T10:22:30Z"
        ]
    );
}

#[test]
fn times_of_cron_that_were_missed_are_one_firing() {
    let zone = TimeZone::UTC;
    let hourly = schedule("- - - 0 * * * *");
    let missed = hourly
        .first(ms("2026-05-01T10:20:00Z"), &zone)
        .expect("a first one");
    let next = hourly
        .next(missed, ms("2026-05-03T07:30:00Z"), &zone)
        .expect("one more");
    assert_eq!(shown(next.due_ms), "2026-05-03T08:00:00Z");
}

proptest! {
    #[test]
    fn a_series_keeps_to_its_grid_and_its_number_however_late_it_is(
        delay in 0..100_000_i64,
        period in 1..100_000_i64,
        repeat in 0..50_i64,
        late in proptest::collection::vec(0..1_000_000_i64, 60),
    ) {
        let zone = TimeZone::UTC;
        let series = schedule(&format!("{delay} {period} {repeat} -"));
        let mut firing = series.first(0, &zone).expect("a first one");
        let first_ms = if delay > 0 { delay } else { period };
        prop_assert_eq!(firing.due_ms, first_ms);
        let mut fired = 1;
        for late_ms in late {
            let now_ms = firing.due_ms + late_ms;
            match series.next(firing, now_ms, &zone) {
                None => break,
                Some(next) => {
                    prop_assert!(next.due_ms > now_ms && next.due_ms <= now_ms + period);
                    prop_assert_eq!((next.due_ms - first_ms) % period, 0);
                    firing = next;
                    fired += 1;
                }
            }
        }
        prop_assert_eq!(fired, repeat + 1);
    }

    #[test]
    fn no_time_overflows_and_none_goes_back(
        delay in prop_oneof![Just(0), 0..i64::MAX],
        period in prop_oneof![Just(0), 0..i64::MAX],
        repeat in -1..=1_000_i64,
        cron in prop_oneof![Just("-"), Just("* * * * *"), Just("0 0 29 2 *")],
        sent_ms in any::<i64>(),
        now_ms in any::<i64>(),
    ) {
        let zone = central_europe();
        if let Ok(Some(schedule)) = parse(&format!("{delay} {period} {repeat} {cron}"))
            && let Ok(first) = schedule.first(sent_ms, &zone)
        {
            prop_assert!(first.due_ms >= sent_ms);
            if let Some(next) = schedule.next(first, now_ms, &zone) {
                prop_assert!(next.due_ms >= first.due_ms);
            }
        }
    }
}
