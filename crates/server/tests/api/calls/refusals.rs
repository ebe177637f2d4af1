//! Calls that are not placed, or not taken.

use serde_json::json;

use super::{Stage, heard};
use crate::app::{TestApp, id};

#[tokio::test]
async fn help_in_need_is_not_called_by_agents() {
    let stage = Stage::open(json!({})).await;
    // Also what is too short for a number at all.
    for to in ["911", "112", "988", "411", "+1911", "+19115550100", "+1988", "+44999", "+49110", "+18002738255"] {
        let wanted = json!({"agentId": stage.agent, "toNumber": to});
        let refused = stage.app.post("/v1/calls").json(wanted).await.refused(403);
        assert_eq!(refused.code, "FORBIDDEN", "{to}");
    }
}

#[tokio::test]
async fn nobody_is_handed_over_to_help_in_need() {
    let stage = Stage::open(json!({"beginMessage": "Hello.", "transferNumber": "+49110"})).await;
    let call = stage.handset(json!([{"say": "Transfer me"}, {"say": "Bye"}])).await;
    assert!(!heard(&call).iter().any(|line| line.starts_with("transferred")), "{call:#}");
    assert_eq!(stage.ended_event().await["data"]["disconnectionReason"], "agent_hangup");
}

#[tokio::test]
async fn what_is_missing_or_malformed_is_named() {
    let stage = Stage::open(json!({})).await;
    assert_eq!(stage.app.post("/v1/calls").await.bad_fields(), ["agentId", "toNumber"]);
    let bad = json!({"agentId": 7, "toNumber": "soon", "maxWaitSeconds": 5, "variables": [], "metadata": "x",
        "waitForCompletion": "yes"});
    let fields = stage.app.post("/v1/calls").json(bad).await.bad_fields();
    assert_eq!(fields, ["agentId", "toNumber", "variables", "metadata", "waitForCompletion", "maxWaitSeconds"]);
}

#[tokio::test]
async fn an_agent_needs_a_number_and_a_webhook_to_call() {
    let app = TestApp::with_sandbox().await;
    let agent = id(&app.post("/v1/agents").json(json!({"name": "Desk"})).await.ok());
    let wanted = json!({"agentId": agent, "toNumber": "+14155550142"});
    app.post("/v1/calls").json(wanted.clone()).await.refused(400);
    app.post("/v1/numbers").json(json!({"areaCode": "415", "agentId": agent})).await.ok();
    let refused = app.post("/v1/calls").json(wanted.clone()).await.refused(400);
    assert!(refused.message.contains("webhook"), "{}", refused.message);
    let hosted = json!({"agentId": agent, "toNumber": "+14155550142", "systemPrompt": "Be nice."});
    app.post("/v1/webhooks").json(json!({"url": "https://example.com/hook"})).await.ok();
    app.post("/v1/calls").json(hosted).await.refused(400);
    assert_eq!(app.get("/v1/calls").await.ok()["total"], 0, "nothing of it was kept");
}

#[tokio::test]
async fn another_tenants_agents_numbers_and_calls_are_not_there() {
    let stage = Stage::open(json!({"beginMessage": "Hello."})).await;
    stage.handset(json!([{"say": "Blue"}])).await;
    let call = id(&stage.only_call().await);
    let other = stage.app.second_account().await;
    let wanted = json!({"agentId": stage.agent, "toNumber": "+14155550142"});
    assert_eq!(other.post("/v1/calls").json(wanted).await.refused(404).code, "AGENT_NOT_FOUND");
    for path in ["", "/transcript", "/transcript/stream", "/trace", "/recording"] {
        assert_eq!(other.get(&format!("/v1/calls/{call}{path}")).await.refused(404).code, "CALL_NOT_FOUND", "{path}");
    }
    assert_eq!(other.post(&format!("/v1/calls/{call}/end")).await.refused(404).code, "CALL_NOT_FOUND");
    assert_eq!(other.get("/v1/calls").await.ok()["total"], 0);
}

#[tokio::test]
async fn a_number_without_an_agent_or_a_webhook_does_not_answer() {
    let stage = Stage::open(json!({})).await;
    stage.app.delete("/v1/webhooks").await.ok();
    let call = stage.handset(json!([{"say": "Hello"}])).await;
    assert_eq!(heard(&call), ["refused 480", "ended"]);
    let bare = stage.app.post("/v1/numbers").json(json!({"areaCode": "212"})).await.ok();
    let script = json!({"to": bare["phoneNumber"], "script": [{"say": "Hello"}]});
    let call = stage.app.post("/sandbox/calls").json(script).await.ok();
    assert_eq!(heard(&call), ["refused 480", "ended"]);
    stage.app.post("/sandbox/calls").json(json!({"to": "+14155559999"})).await.refused(404);
}

#[tokio::test]
async fn a_call_without_a_recording_has_none() {
    let stage = Stage::open(json!({"beginMessage": "Hello."})).await;
    stage.handset(json!([{"hangup": true}])).await;
    let call = stage.only_call().await;
    assert_eq!((&call["recordingAvailable"], &call["recordingUrl"]), (&json!(false), &json!(null)));
    let path = format!("/v1/calls/{}/recording", id(&call));
    assert_eq!(stage.app.get(&path).await.refused(404).code, "RECORDING_NOT_FOUND");
    stage.app.stranger().get(&path).await.refused(401);
}
