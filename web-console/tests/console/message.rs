//! `/api/v1/messages`: what is seen of messages, and who may do what to them.

use anyhow::Result;
use axum::body::Body;
use axum::http::{HeaderName, Request, StatusCode, header};

use crate::fake::{Fake, HOSTILE};
use crate::http::{Reply, Routes};

const DELETE: &str = "/api/v1/messages/delete";

const ONE: &str = r#"{"queue": "q", "ids": ["ID:1"]}"#;

async fn post(
    routes: &Routes,
    path: &str,
    headers: &[(HeaderName, &str)],
    body: impl Into<Body>,
) -> Result<Reply> {
    let mut request = Request::builder().method("POST").uri(path);
    request = request.header(header::HOST, "127.0.0.1:8161");
    for (name, value) in headers {
        request = request.header(name, *value);
    }
    routes.reply(request.body(body.into())?).await
}

const JSON: (HeaderName, &str) = (header::CONTENT_TYPE, "application/json");

#[tokio::test]
async fn messages_are_json_and_their_text_is_text() -> Result<()> {
    let routes = Routes::over(Fake::default());
    let page = routes.get("/api/v1/messages?queue=a%2Fb&limit=5").await?;
    assert_eq!(page.status, StatusCode::OK, "{}", page.body);
    assert_eq!(page.header(header::CONTENT_TYPE), "application/json");
    let page = page.json()?;
    assert_eq!(page["more"], true);
    let item = &page["items"][0];
    assert_eq!(item["original_destination"], "/queue/a/b");
    assert_eq!(item["body"]["encoding"], "text");
    assert_eq!(item["body"]["content"], HOSTILE.concat());
    let one = routes.get("/api/v1/message?queue=q&id=ID:1").await?;
    assert_eq!(one.json()?["id"], "ID:1");
    let none = routes.get("/api/v1/message?queue=q&id=ID:2").await?;
    assert_eq!(none.status, StatusCode::NOT_FOUND);
    assert_eq!(none.json()?["error"]["code"], "no_such_message");
    Ok(())
}

#[tokio::test]
async fn a_query_for_messages_is_checked() -> Result<()> {
    let routes = Routes::over(Fake::default());
    for (path, says) in [
        ("/api/v1/messages", "queue"),
        ("/api/v1/messages?queue=q&name=x", "name"),
        ("/api/v1/messages?queue=q&limit=1001", "1000"),
        ("/api/v1/messages?queue=q&offset=10001", "10000"),
        ("/api/v1/message?queue=q", "id"),
    ] {
        let reply = routes.get(path).await?;
        let message = reply.json()?["error"]["message"].to_string();
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{path}");
        assert!(message.contains(says), "{path}: {message}");
    }
    Ok(())
}

#[tokio::test]
async fn an_order_is_carried_out_or_the_answer_says_why_not() -> Result<()> {
    let routes = Routes::over(Fake::default());
    let done = post(&routes, DELETE, &[JSON], ONE).await?;
    assert_eq!(done.json()?["done"], 1, "{}", done.body);
    let moving = r#"{"queue": "q", "ids": ["ID:1"], "to": "not there"}"#;
    let many = format!(r#"{{"queue": "q", "ids": [{}"x"]}}"#, "\"x\",".repeat(100));
    let long = format!(r#"{{"queue": "{}", "ids": ["x"]}}"#, "q".repeat(70_000));
    for (path, body, status, code, says) in [
        ("move", moving, 409, "refused", "not there"),
        ("retry", ONE, 403, "read_only", "console.manage"),
        (
            "delete",
            r#"{"queue": "q", "ids": []}"#,
            400,
            "bad_body",
            "1 to 100",
        ),
        ("delete", &many, 400, "bad_body", "101"),
        ("delete", &long, 400, "bad_body", "65536"),
        ("delete", moving, 400, "bad_body", "to"),
        ("move", ONE, 400, "bad_body", "to"),
        ("delete", "{", 400, "bad_body", "EOF"),
    ] {
        let reply = post(
            &routes,
            &format!("/api/v1/messages/{path}"),
            &[JSON],
            body.to_owned(),
        )
        .await?;
        let error = &reply.json()?["error"];
        let message = error["message"].as_str().unwrap_or_default();
        assert_eq!(
            (reply.status.as_u16(), &error["code"]),
            (status, &code.into()),
            "{path}: {message}"
        );
        assert!(message.contains(says), "{path}: {message}");
    }
    Ok(())
}

#[tokio::test]
async fn a_queue_is_emptied_and_a_subscription_deleted_by_name() -> Result<()> {
    let routes = Routes::over(Fake::default());
    let purge = post(
        &routes,
        "/api/v1/queues/purge",
        &[JSON],
        r#"{"queue": "q"}"#,
    )
    .await?;
    assert_eq!(purge.json()?["done"], 7);
    for (identity, status) in [("client-id=<b>&name=n", 204), ("other", 404)] {
        let body = format!(r#"{{"identity": "{identity}"}}"#);
        let reply = post(&routes, "/api/v1/subscriptions/delete", &[JSON], body).await?;
        assert_eq!(reply.status.as_u16(), status, "{}", reply.body);
    }
    Ok(())
}

#[tokio::test]
async fn only_the_consoles_own_page_and_programs_may_give_orders() -> Result<()> {
    let routes = Routes::over(Fake::default());
    let site = HeaderName::from_static("sec-fetch-site");
    for (headers, status, code) in [
        (vec![JSON], 200, ""),
        (vec![JSON, (site.clone(), "same-origin")], 200, ""),
        (
            vec![JSON, (header::ORIGIN, "http://127.0.0.1:8161")],
            200,
            "",
        ),
        (
            vec![
                JSON,
                (header::ORIGIN, "https://console.example"),
                (site.clone(), "same-origin"),
            ],
            200,
            "",
        ),
        (
            vec![JSON, (site.clone(), "cross-site")],
            403,
            "cross_origin",
        ),
        (vec![JSON, (site.clone(), "same-site")], 403, "cross_origin"),
        (
            vec![JSON, (header::ORIGIN, "http://evil.example")],
            403,
            "cross_origin",
        ),
        (
            vec![JSON, (header::ORIGIN, "http://127.0.0.1:8162")],
            403,
            "cross_origin",
        ),
        (vec![JSON, (header::ORIGIN, "null")], 403, "cross_origin"),
        (vec![(header::CONTENT_TYPE, "text/plain")], 400, "bad_body"),
        (vec![], 400, "bad_body"),
    ] {
        let reply = post(&routes, DELETE, &headers, ONE).await?;
        let given = reply.json()?["error"]["code"].clone();
        let given = given.as_str().unwrap_or_default();
        assert_eq!(
            (reply.status.as_u16(), given),
            (status, code),
            "{headers:?}"
        );
    }
    let mut cancelling = Request::builder()
        .method("DELETE")
        .uri("/api/v1/scheduled/1-2");
    cancelling = cancelling
        .header(header::HOST, "localhost")
        .header(site, "cross-site");
    let reply = routes.reply(cancelling.body(Body::empty())?).await?;
    assert_eq!(reply.status, StatusCode::FORBIDDEN);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_come_is_waited_for_no_longer_than_its_limit() -> Result<()> {
    let routes = Routes::over(Fake::default());
    let never = futures_util::stream::pending::<Result<Vec<u8>, std::io::Error>>();
    let reply = post(&routes, DELETE, &[JSON], Body::from_stream(never)).await?;
    assert_eq!(reply.status, StatusCode::BAD_REQUEST);
    assert!(reply.body.contains("in time"), "{}", reply.body);
    Ok(())
}
