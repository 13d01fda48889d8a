//! The listener: real sockets, limits and the stop.

use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::fake::Fake;
use crate::http::{DEADLINE, Served, read_until};

#[tokio::test]
async fn requests_are_answered_over_a_socket() -> Result<()> {
    let served = Served::over(Fake::default()).await?;
    let get = |path: &str, host: &str| {
        format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
    };
    let address = served.address.to_string();
    for (path, host, status) in [
        ("/health", address.as_str(), "200 OK"),
        ("/", "localhost", "200 OK"),
        ("/api/v1/queues?limit=1", "localhost", "200 OK"),
        ("/health", "evil.example", "421 Misdirected Request"),
    ] {
        let answer = served.exchange(&get(path, host)).await?;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}\r\n")),
            "{answer}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_request_head_has_a_limit() -> Result<()> {
    let served = Served::over(Fake::default()).await?;
    let long = "x".repeat(20 * 1024);
    let many = "a: b\r\n".repeat(100);
    for excess in [format!("x: {long}\r\n"), many] {
        let request = format!("GET /health HTTP/1.1\r\nHost: localhost\r\n{excess}\r\n");
        let answer = served.exchange(&request).await?;
        assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    }
    Ok(())
}

#[tokio::test]
async fn shutdown_ends_streams_at_once_and_the_server_returns() -> Result<()> {
    let served = Served::over(Fake::default()).await?;
    let mut idle = served.send("").await?;
    let mut stream = served
        .send("GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await?;
    let begun = read_until(&mut stream, "event: snapshot\n").await?;
    assert!(
        begun.contains("content-type: text/event-stream\r\n"),
        "{begun}"
    );
    served.shutdown.cancel();
    tokio::time::timeout(DEADLINE, served.task)
        .await
        .context("serve does not return")???;
    let mut rest = Vec::new();
    tokio::time::timeout(DEADLINE, stream.read_to_end(&mut rest)).await??;
    assert!(
        String::from_utf8(rest)?.ends_with("0\r\n\r\n"),
        "the stream ends in order"
    );
    assert_eq!(
        idle.read(&mut [0; 1]).await?,
        0,
        "an idle connection is closed"
    );
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_finish_its_request_is_closed() -> Result<()> {
    let served = Served::over(Fake::default()).await?;
    let whole = "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n";
    for (request, answers) in [
        ("", 0),
        ("GET /hea", 0),
        ("GET /health HTTP/1.1\r\nHost: ", 0),
        (whole, 1),
    ] {
        let mut stream = served.send(request).await?;
        let mut answer = String::new();
        let patience = Duration::from_secs(60);
        tokio::time::timeout(patience, stream.read_to_string(&mut answer)).await??;
        assert_eq!(
            answer.matches("HTTP/1.1 200 OK").count(),
            answers,
            "{request:?}: {answer}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_for_a_place() -> Result<()> {
    const CONNECTIONS_MAX: usize = 256;
    let served = Served::over(Fake::default()).await?;
    let request = "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS_MAX {
        let mut connection = served.send(request).await?;
        read_until(&mut connection, "{\"status\":\"ok\"}").await?;
        connections.push(connection);
    }
    let mut waiting = served.send(request).await?;
    let early = tokio::time::timeout(Duration::from_millis(50), waiting.readable()).await;
    assert!(early.is_err(), "answered although there is no place");
    connections
        .pop()
        .context("there is one")?
        .shutdown()
        .await?;
    read_until(&mut waiting, "{\"status\":\"ok\"}").await?;
    Ok(())
}
