//! `/api/v1`: lists, paging and errors.

use anyhow::Result;
use axum::http::{StatusCode, header};

use crate::fake::{Fake, HOSTILE, Mood};
use crate::http::{Routes, request};

#[tokio::test]
async fn lists_and_overview_are_json() -> Result<()> {
    let routes = Routes::over(Fake::default());
    for (path, field, value) in [
        ("/api/v1/overview", "/store/commits_total", "42"),
        ("/api/v1/overview", "/version", "\"1.2.3\""),
        ("/api/v1/queues", "/total", "6"),
        ("/api/v1/queues", "/items/0/depth", "7"),
        ("/api/v1/topics", "/items/0/name", "\"prices\""),
        ("/api/v1/subscriptions", "/items/0/pending", "5"),
        ("/api/v1/scheduled", "/items/0/id", "\"1-2\""),
        ("/api/v1/scheduled?after=77-1-2&limit=5", "/total", "1"),
        (
            "/api/v1/connections",
            "/items/0/client_id",
            "\"<b>client</b>\"",
        ),
    ] {
        let reply = routes.get(path).await?;
        assert_eq!(reply.status, StatusCode::OK, "{path}");
        assert_eq!(
            reply.header(header::CONTENT_TYPE),
            "application/json",
            "{path}"
        );
        let found = reply.json()?.pointer(field).map(ToString::to_string);
        assert_eq!(found.as_deref(), Some(value), "{path} {field}");
    }
    Ok(())
}

#[tokio::test]
async fn the_policy_of_a_destination_says_where_each_value_comes_from() -> Result<()> {
    let routes = Routes::over(Fake::default());
    let reply = routes
        .get("/api/v1/policy?kind=topic&name=orders%2Feu")
        .await?;
    let json = reply.json()?;
    assert_eq!(
        (&json["kind"], &json["name"]),
        (&"topic".into(), &"orders/eu".into())
    );
    let setting = &json["settings"][0];
    assert_eq!(
        (&setting["key"], &setting["value"], &setting["from"]),
        (
            &"max_messages".into(),
            &7.into(),
            &"[[destination]] orders.>".into()
        )
    );
    for query in [
        "",
        "?kind=queue",
        "?name=a",
        "?kind=stream&name=a",
        "?kind=queue&name=a&limit=1",
    ] {
        let reply = routes.get(&format!("/api/v1/policy{query}")).await?;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{query}");
        let message = reply.json()?["error"]["message"].to_string();
        assert!(
            message.contains("kind (queue or topic) and name"),
            "{message}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn hostile_names_survive_json_unchanged() -> Result<()> {
    let reply = Routes::over(Fake::default()).get("/api/v1/queues").await?;
    let json = reply.json()?;
    for (index, name) in HOSTILE.iter().enumerate() {
        assert_eq!(json["items"][index]["name"], *name);
    }
    Ok(())
}

#[tokio::test]
async fn lists_are_paged_and_filtered() -> Result<()> {
    let routes = Routes::over(Fake::with_queues(2_500));
    for (query, total, count, first) in [
        ("", 2_500, 100, "queue.00000"),
        ("?limit=1000", 2_500, 1_000, "queue.00000"),
        ("?limit=0", 2_500, 0, ""),
        ("?offset=2450", 2_500, 50, "queue.02450"),
        ("?offset=9999&limit=5", 2_500, 0, ""),
        ("?name=QUEUE.0001&limit=3&offset=2", 10, 3, "queue.00012"),
        ("?name=", 2_500, 100, "queue.00000"),
        ("?name=%3Cb%3E", 0, 0, ""),
    ] {
        let json = routes
            .get(&format!("/api/v1/queues{query}"))
            .await?
            .json()?;
        let items = json["items"].as_array().map(Vec::len);
        assert_eq!(
            (&json["total"], items),
            (&total.into(), Some(count)),
            "{query}"
        );
        let name = json["items"][0]["name"].as_str().unwrap_or_default();
        assert_eq!(name, first, "{query}");
    }
    Ok(())
}

#[tokio::test]
async fn a_page_of_the_schedule_goes_on_only_behind_another_one() -> Result<()> {
    let routes = Routes::over(Fake::default());
    for after in ["zz", "", "77", "77-1", "77-1-x", "77-1-2-3"] {
        let reply = routes
            .get(&format!("/api/v1/scheduled?after={after}"))
            .await?;
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{after}");
        let error = &reply.json()?["error"];
        assert_eq!(error["code"], "bad_query", "{after}");
        assert!(error["message"].to_string().contains("'next'"), "{error}");
    }
    Ok(())
}

#[tokio::test]
async fn a_wrong_query_is_refused_with_what_to_do() -> Result<()> {
    let routes = Routes::over(Fake::default());
    for (query, hint) in [
        ("limit=1001", "page with offset"),
        ("limit=-1", "limit is 0 to 1000"),
        ("limit=ten", "limit is 0 to 1000"),
        ("offset=x", "name, offset and limit"),
        ("offset=99999999999999999999", "name, offset and limit"),
        ("nmae=orders", "unknown field `nmae`"),
        ("limit=1&limit=2", "duplicate field `limit`"),
    ] {
        for list in ["queues", "topics", "connections"] {
            let reply = routes.get(&format!("/api/v1/{list}?{query}")).await?;
            assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{list} {query}");
            let error = &reply.json()?["error"];
            assert_eq!(error["code"], "bad_query", "{list} {query}");
            assert!(
                error["message"].to_string().contains(hint),
                "{query}: {error}"
            );
        }
    }
    Ok(())
}

#[tokio::test]
async fn unknown_paths_and_methods_are_json_errors() -> Result<()> {
    let routes = Routes::over(Fake::default());
    for (method, path, status, code) in [
        ("GET", "/api/v1/nothing", StatusCode::NOT_FOUND, "not_found"),
        (
            "GET",
            "/api/v1/queues/orders",
            StatusCode::NOT_FOUND,
            "not_found",
        ),
        ("GET", "/api/v1", StatusCode::NOT_FOUND, "not_found"),
        ("GET", "/api/v1/", StatusCode::NOT_FOUND, "not_found"),
        (
            "POST",
            "/api/v1/queues",
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
        ),
        (
            "DELETE",
            "/api/v1/events",
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
        ),
    ] {
        let reply = routes.reply(request(method, path)?).await?;
        assert_eq!(reply.status, status, "{method} {path}");
        assert_eq!(reply.json()?["error"]["code"], code, "{method} {path}");
    }
    let refused = routes.reply(request("PUT", "/api/v1/topics")?).await?;
    assert_eq!(refused.header(header::ALLOW), "GET,HEAD");
    Ok(())
}

#[tokio::test]
async fn what_is_scheduled_can_be_cancelled_and_nothing_else_be_changed() -> Result<()> {
    let routes = Routes::over(Fake::default());
    let reply = routes
        .reply(request("DELETE", "/api/v1/scheduled/1-2")?)
        .await?;
    assert_eq!(reply.status, StatusCode::NO_CONTENT);
    let reply = routes
        .reply(request("DELETE", "/api/v1/scheduled/1-3")?)
        .await?;
    assert_eq!(reply.status, StatusCode::NOT_FOUND);
    assert_eq!(reply.json()?["error"]["code"], "not_scheduled");
    let reply = routes
        .reply(request("DELETE", "/api/v1/subscriptions")?)
        .await?;
    assert_eq!(reply.status, StatusCode::METHOD_NOT_ALLOWED);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_cannot_answer_is_503() -> Result<()> {
    for (mood, code) in [(Mood::Refusing, "unavailable"), (Mood::Silent, "no_answer")] {
        let routes = Routes::over(Fake::in_mood(mood));
        for path in ["overview", "queues", "topics", "connections"] {
            let reply = routes.get(&format!("/api/v1/{path}")).await?;
            assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE, "{path}");
            assert_eq!(reply.json()?["error"]["code"], code, "{path}");
            assert_eq!(reply.header(header::RETRY_AFTER), "5", "{path}");
        }
    }
    Ok(())
}
