//! Calls that are ended from outside, or by nobody.

use std::time::Duration;

use offhook_store::{StoreError, Tx};
use serde_json::json;

use super::Stage;
use crate::app::id;

#[tokio::test]
async fn a_call_is_ended_by_the_api() {
    let stage = Stage::open(json!({"beginMessage": "Hello."})).await;
    let call =
        id(&stage.app.post("/v1/calls").json(json!({"agentId": stage.agent, "toNumber": "+15005550111"})).await.ok());
    stage.until_status(&call, "in-progress").await;
    let accepted = stage.app.post(&format!("/v1/calls/{call}/end")).await.ok();
    assert_eq!(accepted["id"], json!(call));
    let over = stage.app.get(&format!("/v1/calls/{call}?wait=true&timeout=30")).await.ok();
    assert_eq!((&over["status"], &over["endReason"]), (&json!("completed"), &json!("agent_hangup")), "{over:#}");
    let again = stage.app.post(&format!("/v1/calls/{call}/end")).await.ok();
    assert_eq!(again["status"], "completed", "one that is over is answered as it is");
}

#[tokio::test]
async fn a_call_that_rings_is_taken_back() {
    let stage = Stage::open(json!({})).await;
    let wanted = json!({"agentId": stage.agent, "toNumber": "+15005550102"});
    let call = id(&stage.app.post("/v1/calls").json(wanted).await.ok());
    stage.until_status(&call, "ringing").await;
    stage.app.post(&format!("/v1/calls/{call}/end")).await.ok();
    let over = stage.app.get(&format!("/v1/calls/{call}?wait=true&timeout=30")).await.ok();
    assert_eq!((&over["status"], &over["endReason"]), (&json!("failed"), &json!("canceled")), "{over:#}");
}

#[tokio::test]
async fn a_call_is_ended_from_another_node() {
    let stage = Stage::open(json!({})).await;
    let wanted = json!({"agentId": stage.agent, "toNumber": "+15005550111"});
    let call = id(&stage.app.post("/v1/calls").json(wanted).await.ok());
    stage.until_status(&call, "in-progress").await;
    let elsewhere = stage.app.on_another_node();
    elsewhere.post(&format!("/v1/calls/{call}/end")).await.ok();
    let over = elsewhere.get(&format!("/v1/calls/{call}?wait=true&timeout=30")).await.ok();
    assert_eq!(over["endReason"], "agent_hangup");
}

#[tokio::test]
async fn a_call_whose_node_is_gone_is_closed_and_told() {
    let stage = Stage::open(json!({})).await;
    let wanted = json!({"agentId": stage.agent, "toNumber": "+15005550111"});
    let call = id(&stage.app.post("/v1/calls").json(wanted).await.ok());
    stage.until_status(&call, "in-progress").await;
    // As if another node had led it, which was not heard of since.
    let lose = async |tx: &mut Tx| {
        tx.change(offhook_store::Sql("UPDATE calls SET node = 'gone', alive_until = 1"), []).await.map(drop)
    };
    stage.app.app.store.write::<_, StoreError>(lose).await.unwrap();
    let over = stage.app.get(&format!("/v1/calls/{call}?wait=true&timeout=30")).await.ok();
    assert_eq!((&over["status"], &over["endReason"]), (&json!("failed"), &json!("connection_lost")), "{over:#}");
    assert_eq!(stage.ended_event().await["data"]["disconnectionReason"], "connection_lost");
}

impl Stage {
    /// Waits until a call has come so far.
    pub async fn until_status(&self, call: &str, status: &str) {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
        loop {
            let now = self.app.get(&format!("/v1/calls/{call}")).await.ok();
            if now["status"] == status {
                return;
            }
            assert!(tokio::time::Instant::now() < deadline, "it never was {status}: {now:#}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
