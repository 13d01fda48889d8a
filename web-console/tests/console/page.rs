//! The page's files.

use anyhow::Result;
use axum::http::{HeaderValue, StatusCode, header};

use crate::fake::Fake;
use crate::http::{Routes, request};

const SCRIPTS: [&str; 14] = [
    "/app.js",
    "/chart.js",
    "/element.js",
    "/feed.js",
    "/format.js",
    "/lists.js",
    "/message.js",
    "/messages.js",
    "/policy.js",
    "/rates.js",
    "/request.js",
    "/scheduled.js",
    "/sheet.js",
    "/table.js",
];

#[tokio::test]
async fn files_have_their_types_and_are_not_sent_twice() -> Result<()> {
    let routes = Routes::over(Fake::default());
    let others = [
        ("/", "text/html; charset=utf-8"),
        ("/style.css", "text/css; charset=utf-8"),
        ("/favicon.svg", "image/svg+xml"),
    ];
    let scripts = SCRIPTS.map(|path| (path, "text/javascript; charset=utf-8"));
    for (path, content_type) in others.into_iter().chain(scripts) {
        let first = routes.get(path).await?;
        assert_eq!(first.status, StatusCode::OK, "{path}");
        assert_eq!(first.header(header::CONTENT_TYPE), content_type, "{path}");
        assert_eq!(first.header(header::CACHE_CONTROL), "no-cache", "{path}");
        let tag = HeaderValue::from_str(first.header(header::ETAG))?;
        let mut again = request("GET", path)?;
        again.headers_mut().insert(header::IF_NONE_MATCH, tag);
        let again = routes.reply(again).await?;
        assert_eq!(
            (again.status, again.body.as_str()),
            (StatusCode::NOT_MODIFIED, ""),
            "{path}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn the_page_holds_nothing_that_its_policy_forbids() -> Result<()> {
    let routes = Routes::over(Fake::default());
    let page = routes.get("/").await?.body;
    assert!(!page.contains("<style") && !page.contains(" style=") && !page.contains(" onclick="));
    assert_eq!(
        page.matches("<script").count(),
        page.matches("<script type=\"module\" src=").count()
    );
    for path in ["/", "/style.css"].iter().chain(&SCRIPTS) {
        let file = routes.get(path).await?.body;
        let file = file.replace("http://www.w3.org/2000/svg", "");
        for forbidden in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "http://",
            "https://",
        ] {
            assert!(!file.contains(forbidden), "{path} has {forbidden}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn an_unknown_page_is_404_in_plain_text() -> Result<()> {
    let reply = Routes::over(Fake::default()).get("/nothing.js").await?;
    assert_eq!(reply.status, StatusCode::NOT_FOUND);
    assert_eq!(
        reply.header(header::CONTENT_TYPE),
        "text/plain; charset=utf-8"
    );
    Ok(())
}
