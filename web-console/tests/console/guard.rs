//! The host check and the security headers.

use anyhow::Result;
use axum::body::Body;
use axum::http::{HeaderName, Request, StatusCode, header};

use crate::fake::Fake;
use crate::http::{Routes, request};

#[tokio::test]
async fn every_answer_carries_the_security_headers() -> Result<()> {
    let routes = Routes::over(Fake::default());
    let refused = Request::builder()
        .uri("/")
        .header(header::HOST, "evil.example");
    let mut replies = vec![routes.reply(refused.body(Body::empty())?).await?];
    for path in [
        "/",
        "/app.js",
        "/health",
        "/metrics",
        "/api/v1/queues",
        "/api/v1/x",
        "/x",
    ] {
        replies.push(routes.get(path).await?);
    }
    replies.push(routes.reply(request("POST", "/api/v1/queues")?).await?);
    for reply in replies {
        let policy = reply.header(header::CONTENT_SECURITY_POLICY);
        assert!(
            policy.starts_with("default-src 'none'; script-src 'self'"),
            "{policy}"
        );
        assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(reply.header(header::X_CONTENT_TYPE_OPTIONS), "nosniff");
        assert_eq!(reply.header(header::X_FRAME_OPTIONS), "DENY");
        assert_eq!(reply.header(header::REFERRER_POLICY), "no-referrer");
        let resource_policy = HeaderName::from_static("cross-origin-resource-policy");
        assert_eq!(reply.header(resource_policy), "same-origin");
        assert!(["no-store", "no-cache"].contains(&reply.header(header::CACHE_CONTROL)));
        assert_eq!(reply.header(header::ACCESS_CONTROL_ALLOW_ORIGIN), "");
    }
    Ok(())
}

#[tokio::test]
async fn only_our_own_host_names_are_answered() -> Result<()> {
    let routes = Routes::over(Fake::default());
    for (hosts, target, expected) in [
        (vec!["127.0.0.1:8161"], "", StatusCode::OK),
        (vec!["[::1]:8161"], "", StatusCode::OK),
        (vec!["LocalHost"], "", StatusCode::OK),
        (vec!["console.example:80"], "", StatusCode::OK),
        (vec!["localhost"], "http://127.0.0.1:8161", StatusCode::OK),
        (vec!["evil.example"], "", StatusCode::MISDIRECTED_REQUEST),
        (
            vec!["127.0.0.1.evil.example"],
            "",
            StatusCode::MISDIRECTED_REQUEST,
        ),
        (
            vec!["localhost"],
            "http://evil.example",
            StatusCode::MISDIRECTED_REQUEST,
        ),
        (
            vec!["localhost", "evil.example"],
            "",
            StatusCode::MISDIRECTED_REQUEST,
        ),
        (vec![""], "", StatusCode::MISDIRECTED_REQUEST),
        (vec![], "", StatusCode::MISDIRECTED_REQUEST),
    ] {
        for path in [
            "/",
            "/metrics",
            "/health",
            "/api/v1/queues",
            "/api/v1/events?limit=x",
        ] {
            let request = hosts.iter().fold(
                Request::builder().uri(format!("{target}{path}")),
                |request, host| request.header(header::HOST, *host),
            );
            let reply = routes.reply(request.body(Body::empty())?).await?;
            if expected == StatusCode::OK {
                assert_ne!(
                    reply.status,
                    StatusCode::MISDIRECTED_REQUEST,
                    "{hosts:?} {path}"
                );
                continue;
            }
            assert_eq!(reply.status, expected, "{hosts:?} {target}{path}");
            if path.starts_with("/api/") {
                assert_eq!(
                    reply.json()?["error"]["code"],
                    "host_not_allowed",
                    "{hosts:?}"
                );
            }
            assert!(
                !reply.body.contains("evil"),
                "a refusal repeats nothing of the request"
            );
        }
    }
    Ok(())
}
