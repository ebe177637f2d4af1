//! An agent calls somebody.

use insta::assert_json_snapshot;
use serde_json::json;

use super::{Stage, exchanges, pair};
use crate::app::{id, shape};

#[tokio::test]
async fn a_person_answers_and_the_call_is_waited_for() {
    let stage = Stage::open(json!({"beginMessage": "Hi, it is the desk."})).await;
    let call = stage.call("+14155550142").await;
    assert_json_snapshot!("outbound_call", shape(&call), {".durationSeconds" => "(seconds)"});
    assert_eq!((&call["status"], &call["endReason"]), (&json!("completed"), &json!("user_hangup")), "{call:#}");
    let said = exchanges(&call);
    assert_eq!(said[0], pair("", "Hi, it is the desk."));
    assert_eq!(said[1], pair("Yes, that is me.", "You said Yes, that is me.."));
    assert!(call["durationSeconds"].is_number());
    assert_eq!(stage.app.get("/v1/calls?direction=outbound").await.ok()["total"], 1);
    assert_eq!(stage.app.get("/v1/usage").await.ok()["stats"]["totalCalls"], 1);
}

#[tokio::test]
async fn a_call_comes_to_nothing_for_many_reasons() {
    let stage = Stage::open(json!({})).await;
    for (to, reason) in [
        ("+15005550101", "busy"),
        ("+15005550103", "rejected"),
        ("+15005550104", "invalid_number"),
        ("+15005550105", "failed"),
    ] {
        let call = stage.call(to).await;
        assert_eq!((&call["status"], &call["endReason"]), (&json!("failed"), &json!(reason)), "{call:#}");
        assert_eq!(call["durationSeconds"], 0);
    }
    assert_eq!(stage.app.get("/v1/calls?status=busy").await.ok()["total"], 1);
    assert_eq!(stage.app.get("/v1/calls?status=failed").await.ok()["total"], 4);
    assert_eq!(stage.app.get("/v1/calls?status=nonsense").await.ok()["data"], json!([]));
    assert_eq!(stage.app.get("/v1/calls?type=web").await.ok()["total"], 0);
    assert_eq!(stage.app.get("/v1/calls?type=pstn&search=0101").await.ok()["total"], 1);
}

#[tokio::test]
async fn a_machine_gets_the_message_that_is_for_machines() {
    let stage = Stage::open(json!({"voicemailMessage": "Please call {{name}} back."})).await;
    let wanted = json!({"agent_id": stage.agent, "to_number": "+15005550107", "variables": {"name": "Ada"},
        "waitForCompletion": true, "maxWaitSeconds": 30});
    let call = stage.app.post("/v1/calls").json(wanted).await.ok();
    assert_eq!((&call["status"], &call["endReason"]), (&json!("completed"), &json!("voicemail")), "{call:#}");
    assert_eq!(call["transcripts"][0]["response"], "Please call Ada back.");
    assert_eq!(call["callSuccessful"], false);
}

#[tokio::test]
async fn two_numbers_of_the_platform_call_each_other() {
    let stage = Stage::open(json!({"beginMessage": "Hi."})).await;
    let other = id(&stage.app.post("/v1/agents").json(json!({"name": "Other", "beginMessage": "Yes?"})).await.ok());
    let number = stage.app.post("/v1/numbers").json(json!({"areaCode": "212", "agentId": other})).await.ok();
    stage.customer.answer_with(json!({"text": "Bye.", "hangup": true}).to_string());
    let call = stage.call(number["phoneNumber"].as_str().unwrap()).await;
    assert_eq!(call["status"], "completed", "{call:#}");
    let calls = stage.app.get("/v1/calls").await.ok();
    let mut directions = Vec::new();
    for one in calls["data"].as_array().unwrap() {
        // Each side's end is its own: the other's may follow.
        let ended = stage.app.get(&format!("/v1/calls/{}?wait=true&timeout=30", id(one))).await.ok();
        assert_eq!(ended["status"], "completed", "{ended:#}");
        directions.push(ended["direction"].as_str().unwrap().to_owned());
    }
    directions.sort_unstable();
    assert_eq!(directions, ["inbound", "outbound"], "{calls:#}");
}

#[tokio::test]
async fn what_a_call_was_given_is_kept_with_it() {
    let stage = Stage::open(json!({})).await;
    let wanted = json!({"agentId": stage.agent, "toNumber": "+14155550142", "metadata": {"ticket": 7},
        "initialGreeting": "Hello {{who}}.", "variables": {"who": "Ada"}, "waitForCompletion": true});
    let call = stage.app.post("/v1/calls").json(wanted).await.ok();
    assert_eq!(call["metadata"], json!({"ticket": 7}));
    assert_eq!(call["transcripts"][0]["response"], "Hello Ada.");
}

#[tokio::test]
async fn a_repeated_request_places_one_call() {
    let stage = Stage::open(json!({})).await;
    let wanted = json!({"agentId": stage.agent, "toNumber": "+15005550111"});
    let first = stage.app.post("/v1/calls").json(wanted.clone()).once("one").await.ok();
    let again = stage.app.post("/v1/calls").json(wanted).once("one").await;
    assert!(again.replayed());
    assert_eq!(again.ok()["id"], first["id"]);
    assert_eq!(stage.app.get("/v1/calls").await.ok()["total"], 1);
}
