//! `/v1/agents`

use insta::assert_json_snapshot;
use serde_json::json;

use crate::app::{TestApp, id, shape};

#[tokio::test]
async fn an_agent_is_made_with_the_documented_defaults() {
    let app = TestApp::start().await;

    let made = app.post("/v1/agents").json(json!({"name": "Booking desk"})).await.ok();

    assert_json_snapshot!(shape(&made));
    assert_eq!(app.get(&format!("/v1/agents/{}", id(&made))).await.ok(), made);
}

#[tokio::test]
async fn anothers_agent_looks_absent() {
    let app = TestApp::start().await;
    let made = app.post("/v1/agents").json(json!({"name": "Booking desk"})).await.ok();

    let other = app.second_account().await;

    assert_eq!(other.get(&format!("/v1/agents/{}", id(&made))).await.refused(404).code, "AGENT_NOT_FOUND");
    assert_eq!(other.get("/v1/agents").await.ok()["total"], 0);
    assert_eq!(app.stranger().get("/v1/agents").await.refused(401).code, "UNAUTHORIZED");
}
