//! `/health` for each state of the broker.

use anyhow::Result;
use axum::http::StatusCode;
use serde_json::json;
use stompbox_console::Health;

use crate::fake::{Fake, Mood};
use crate::http::Routes;

#[tokio::test]
async fn health_tells_each_state() -> Result<()> {
    let reason = "commit failed: \"disk\" </script>".to_owned();
    let stopping = "the broker drains its connections before it stops";
    for (health, status, body) in [
        (Health::Ok, StatusCode::OK, json!({ "status": "ok" })),
        (
            Health::Stopping,
            StatusCode::SERVICE_UNAVAILABLE,
            json!({ "status": "stopping", "reason": stopping }),
        ),
        (
            Health::Failed(reason.clone()),
            StatusCode::SERVICE_UNAVAILABLE,
            json!({ "status": "failed", "reason": reason }),
        ),
    ] {
        // A broker that no longer answers must still be able to say how it is.
        let routes = Routes::over(Fake {
            health,
            ..Fake::in_mood(Mood::Silent)
        });
        let reply = routes.get("/health").await?;
        assert_eq!((reply.status, reply.json()?), (status, body));
    }
    Ok(())
}
