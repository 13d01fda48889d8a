//! `/metrics`: the format, hostile names and the cap.

use std::collections::HashSet;

use anyhow::{Context, Result};
use axum::http::{StatusCode, header};
use stompbox_console::Health;

use crate::fake::{Fake, HOSTILE, Mood};
use crate::http::Routes;

async fn scrape(fake: Fake) -> Result<String> {
    let reply = Routes::over(fake).get("/metrics").await?;
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(
        reply.header(header::CONTENT_TYPE),
        "text/plain; version=0.0.4; charset=utf-8"
    );
    Ok(reply.body)
}

/// Splits a sample into its name and its single label's value, unescaped as Prometheus does it.
fn sample(line: &str) -> Result<(&str, Option<String>)> {
    let Some((name, rest)) = line.split_once('{') else {
        let (name, value) = line.split_once(' ').context("no value")?;
        value.parse::<f64>()?;
        return Ok((name, None));
    };
    let (_label, rest) = rest.split_once("=\"").context("no label")?;
    let mut value = String::new();
    let mut characters = rest.chars();
    loop {
        match characters.next().context("the label does not end")? {
            '"' => break,
            '\\' => match characters.next().context("the escape does not end")? {
                'n' => value.push('\n'),
                other => value.push(other),
            },
            other => value.push(other),
        }
    }
    Ok((name, Some(value)))
}

#[tokio::test]
async fn each_family_has_its_head_once_and_before_its_samples() -> Result<()> {
    let text = scrape(Fake::with_queues(3)).await?;
    let mut heads = HashSet::new();
    let mut current = "";
    for line in text.lines() {
        if let Some(head) = line.strip_prefix("# TYPE ") {
            let (name, kind) = head.split_once(' ').context("no type")?;
            assert!(heads.insert(name), "{name} twice");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
            current = name;
        } else if !line.starts_with("# HELP ") {
            assert_eq!(sample(line)?.0, current, "{line}");
        }
    }
    assert!(text.ends_with('\n'));
    for line in [
        "stompbox_build_info{version=\"1.2.3\",instance=\"abc\"} 1",
        "stompbox_healthy 1",
        "stompbox_start_time_seconds 1767225600.123",
        "stompbox_connections 1",
        "stompbox_connections_accepted_total 9",
        "stompbox_store_commits_total 42",
        "stompbox_store_last_commit_seconds 0.001500",
        "stompbox_queue_depth{queue=\"queue.00002\"} 7",
        "stompbox_topic_consumers{topic=\"prices\"} 3",
        "stompbox_subscription_pending{subscription=\"client-id=<b>&name=n\",topic=\"\"} 5",
        "stompbox_metrics_queues_omitted 0",
        "stompbox_metrics_subscriptions_omitted 0",
    ] {
        assert!(
            text.lines().any(|found| found == line),
            "{line} is missing in\n{text}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn hostile_names_stay_inside_their_label() -> Result<()> {
    let text = scrape(Fake::default()).await?;
    let mut names = Vec::new();
    for line in text
        .lines()
        .filter(|line| line.starts_with("stompbox_queue_depth{"))
    {
        names.extend(sample(line)?.1);
    }
    let expected = HOSTILE.map(|name| name.replace('\0', "\u{fffd}"));
    assert_eq!(names, expected);
    assert_eq!(text.matches("\nstompbox_healthy ").count(), 1);
    Ok(())
}

#[tokio::test]
async fn destinations_beyond_the_cap_are_counted() -> Result<()> {
    for (queues, shown, omitted) in [(1_000, 1_000, 0), (1_001, 1_000, 1), (5_000, 1_000, 4_000)] {
        let text = scrape(Fake::with_queues(queues)).await?;
        assert_eq!(text.matches("\nstompbox_queue_depth{").count(), shown);
        let line = format!("\nstompbox_metrics_queues_omitted {omitted}\n");
        assert!(text.contains(&line), "{queues}");
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_scrape_without_figures_fails() -> Result<()> {
    for mood in [Mood::Refusing, Mood::Silent] {
        let reply = Routes::over(Fake::in_mood(mood)).get("/metrics").await?;
        assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
    }
    let stopping = Fake {
        health: Health::Stopping,
        ..Fake::default()
    };
    assert!(scrape(stopping).await?.contains("\nstompbox_healthy 0\n"));
    Ok(())
}
