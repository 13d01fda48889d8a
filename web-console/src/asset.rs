//! The page: static files in the binary, so that the console needs no folder and no other host.
//!
//! *Invariant*: a browser asks again each time and is told with an entity tag that nothing has changed, so that a
//! new version is never mixed with files of the old one.

use std::hash::{DefaultHasher, Hash, Hasher};

use axum::Router;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

/// A file of the page.
#[derive(Clone, Copy)]
struct Asset {
    path: &'static str,
    content_type: &'static str,
    content: &'static str,
}

const HTML: &str = "text/html; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const IMAGE: &str = "image/svg+xml";

const fn asset(path: &'static str, content_type: &'static str, content: &'static str) -> Asset {
    Asset {
        path,
        content_type,
        content,
    }
}

static ASSETS: [Asset; 17] = [
    asset("/", HTML, include_str!("../assets/index.html")),
    asset("/style.css", STYLE, include_str!("../assets/style.css")),
    asset("/favicon.svg", IMAGE, include_str!("../assets/favicon.svg")),
    asset("/app.js", SCRIPT, include_str!("../assets/app.js")),
    asset("/element.js", SCRIPT, include_str!("../assets/element.js")),
    asset("/lists.js", SCRIPT, include_str!("../assets/lists.js")),
    asset("/message.js", SCRIPT, include_str!("../assets/message.js")),
    asset(
        "/messages.js",
        SCRIPT,
        include_str!("../assets/messages.js"),
    ),
    asset("/policy.js", SCRIPT, include_str!("../assets/policy.js")),
    asset("/request.js", SCRIPT, include_str!("../assets/request.js")),
    asset(
        "/scheduled.js",
        SCRIPT,
        include_str!("../assets/scheduled.js"),
    ),
    asset("/sheet.js", SCRIPT, include_str!("../assets/sheet.js")),
    asset("/chart.js", SCRIPT, include_str!("../assets/chart.js")),
    asset("/feed.js", SCRIPT, include_str!("../assets/feed.js")),
    asset("/format.js", SCRIPT, include_str!("../assets/format.js")),
    asset("/rates.js", SCRIPT, include_str!("../assets/rates.js")),
    asset("/table.js", SCRIPT, include_str!("../assets/table.js")),
];

/// One route for each file.
pub(crate) fn router<S: Clone + Send + Sync + 'static>() -> Router<S> {
    ASSETS.iter().fold(Router::new(), |router, asset| {
        let tag = entity_tag(asset.content);
        let handler = async move |headers: HeaderMap| answer(asset, &tag, &headers);
        router.route(asset.path, get(handler))
    })
}

fn answer(asset: &Asset, tag: &str, request: &HeaderMap) -> Response {
    let known = request
        .get(header::IF_NONE_MATCH)
        .is_some_and(|known| known.as_bytes() == tag.as_bytes());
    let mut response = if known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        ([(header::CONTENT_TYPE, asset.content_type)], asset.content).into_response()
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if let Ok(tag) = HeaderValue::from_str(tag) {
        headers.insert(header::ETAG, tag);
    }
    response
}

/// A tag that differs when the content does; it need not withstand anyone, the content is our own.
fn entity_tag(content: &str) -> String {
    let mut hasher = DefaultHasher::new();
    content.hash(&mut hasher);
    format!("\"{:016x}\"", hasher.finish())
}
