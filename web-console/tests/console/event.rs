//! `/api/v1/events`: what a stream carries, how many there may be, and when they end.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, Result};
use axum::body::BodyDataStream;
use axum::http::{StatusCode, header};
use futures_util::StreamExt;
use serde_json::Value;

use crate::fake::{Fake, HOSTILE, Mood};
use crate::http::{Routes, request};

const STREAMS_MAX: usize = 64;

async fn open(routes: &Routes, query: &str) -> Result<BodyDataStream> {
    let response = routes
        .call(request("GET", &format!("/api/v1/events{query}"))?)
        .await?;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(
        response.headers()[header::CONTENT_TYPE],
        "text/event-stream"
    );
    Ok(response.into_body().into_data_stream())
}

/// The next event's name and data.
async fn next(stream: &mut BodyDataStream) -> Result<(String, Value)> {
    let block = stream.next().await.context("the stream ended")??;
    let block = std::str::from_utf8(&block)?
        .strip_suffix("\n\n")
        .context("no end")?;
    let (event, data) = block.split_once('\n').context("no data")?;
    let event = event.strip_prefix("event: ").context("no event")?;
    let data = data.strip_prefix("data: ").context("no data")?;
    Ok((event.to_owned(), serde_json::from_str(data)?))
}

#[tokio::test(start_paused = true)]
async fn a_stream_begins_with_history_and_goes_on_every_second() -> Result<()> {
    let routes = Routes::over(Fake::default());
    tokio::time::sleep(Duration::from_secs(400)).await;
    let mut stream = open(&routes, "?limit=2").await?;
    let (event, history) = next(&mut stream).await?;
    assert_eq!(event, "history");
    for column in [
        "at_ms",
        "enqueued_total",
        "dispatched_total",
        "acknowledged_total",
        "depth",
    ] {
        assert_eq!(
            history[column].as_array().map(Vec::len),
            Some(300),
            "{column}"
        );
    }
    let begun = tokio::time::Instant::now();
    for _ in 0..4 {
        let (event, snapshot) = next(&mut stream).await?;
        assert_eq!(event, "snapshot");
        assert_eq!(snapshot["health"]["status"], "ok");
        assert_eq!(snapshot["overview"]["version"], "1.2.3");
        assert_eq!(snapshot["queues"]["total"], HOSTILE.len());
        assert_eq!(
            snapshot["queues"]["items"].as_array().map(Vec::len),
            Some(2)
        );
        assert_eq!(snapshot["queues"]["items"][0]["name"], HOSTILE[0]);
        assert_eq!(snapshot["topics"]["items"][0]["name"], "prices");
        assert_eq!(snapshot["subscriptions"]["items"][0]["pending"], 5);
        assert_eq!(snapshot["connections"]["total"], 1);
    }
    let took = begun.elapsed();
    assert!(
        took > Duration::from_secs(2) && took <= Duration::from_secs(3),
        "{took:?}"
    );
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn equal_filters_share_one_question_a_second() -> Result<()> {
    let fake = Arc::new(Fake::default());
    let routes = Routes::shared(fake.clone());
    let mut streams = Vec::new();
    for _ in 0..10 {
        streams.push(open(&routes, "?name=a&limit=5").await?);
    }
    for stream in &mut streams {
        assert_eq!(next(stream).await?.0, "history");
        assert_eq!(next(stream).await?.0, "snapshot");
    }
    let before = fake.queue_calls.load(Ordering::Relaxed);
    for _ in 0..5 {
        for stream in &mut streams {
            next(stream).await?;
        }
    }
    assert_eq!(fake.queue_calls.load(Ordering::Relaxed) - before, 5);
    drop(streams);
    tokio::time::sleep(Duration::from_secs(2)).await;
    let before = fake.queue_calls.load(Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(
        fake.queue_calls.load(Ordering::Relaxed),
        before,
        "nobody is watching"
    );
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn each_filter_shows_its_own_part() -> Result<()> {
    let routes = Routes::over(Fake::with_queues(300));
    for (query, total, count) in [
        ("", 300, 100),
        ("?limit=1000", 300, 300),
        ("?name=queue.0001", 10, 10),
        ("?limit=0", 300, 0),
    ] {
        let mut stream = open(&routes, query).await?;
        next(&mut stream).await?;
        let (_, snapshot) = next(&mut stream).await?;
        assert_eq!(snapshot["queues"]["total"], total, "{query}");
        assert_eq!(
            snapshot["queues"]["items"].as_array().map(Vec::len),
            Some(count),
            "{query}"
        );
    }
    for query in ["?limit=1001", "?offset=1", "?limit=x"] {
        let reply = routes.get(&format!("/api/v1/events{query}")).await?;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{query}");
        assert_eq!(reply.json()?["error"]["code"], "bad_query", "{query}");
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_slow_viewer_misses_snapshots_and_gets_the_newest() -> Result<()> {
    let routes = Routes::over(Fake::default());
    let mut stream = open(&routes, "").await?;
    next(&mut stream).await?;
    let counter = |snapshot: &Value| snapshot["overview"]["enqueued_total"].as_u64().unwrap_or(0);
    let (_, first) = next(&mut stream).await?;
    tokio::time::sleep(Duration::from_millis(60_500)).await;
    let (_, late) = next(&mut stream).await?;
    assert!(counter(&late) >= counter(&first) + 6_000, "{first} {late}");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_broker_in_trouble_is_an_event_and_not_an_end() -> Result<()> {
    for mood in [Mood::Refusing, Mood::Silent] {
        let routes = Routes::over(Fake::in_mood(mood));
        let mut stream = open(&routes, "").await?;
        assert_eq!(next(&mut stream).await?.0, "history");
        for _ in 0..3 {
            let (event, data) = next(&mut stream).await?;
            assert_eq!(event, "unavailable");
            assert_eq!(data["health"]["status"], "ok");
            assert!(
                data["message"]
                    .as_str()
                    .is_some_and(|message| !message.is_empty())
            );
        }
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn streams_are_limited_and_a_place_comes_back() -> Result<()> {
    let routes = Routes::over(Fake::default());
    let mut streams = Vec::new();
    for index in 0..STREAMS_MAX {
        streams.push(open(&routes, &format!("?name={index}")).await?);
    }
    let refused = routes.get("/api/v1/events").await?;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.json()?["error"]["code"], "too_many_streams");
    assert_eq!(routes.get("/api/v1/queues").await?.status, StatusCode::OK);
    streams.pop();
    let mut again = open(&routes, "").await?;
    assert_eq!(next(&mut again).await?.0, "history");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn streams_end_at_shutdown_even_when_the_broker_is_silent() -> Result<()> {
    for mood in [Mood::Answering, Mood::Silent] {
        let routes = Routes::over(Fake::in_mood(mood));
        let mut stream = open(&routes, "").await?;
        assert_eq!(next(&mut stream).await?.0, "history");
        let begun = tokio::time::Instant::now();
        routes.shutdown.cancel();
        assert!(stream.next().await.is_none(), "{mood:?}");
        assert_eq!(begun.elapsed(), Duration::ZERO, "{mood:?}");
        let late = routes.get("/api/v1/events").await?;
        assert_eq!(late.status, StatusCode::SERVICE_UNAVAILABLE);
    }
    Ok(())
}
