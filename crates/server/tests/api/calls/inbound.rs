//! Somebody calls an agent.

use insta::assert_json_snapshot;
use serde_json::json;

use super::{Stage, exchanges, heard, pair};
use crate::app::{id, shape};

#[tokio::test]
async fn a_webhook_answers_and_everything_is_told() {
    let stage = Stage::open(json!({"beginMessage": "Hello."})).await;
    let call = stage.handset(json!([{"say": "Count"}, {"say": "Blue"}, {"hangup": true}])).await;
    assert_eq!(
        heard(&call),
        [
            "ringing",
            "answered",
            "says Hello.",
            "said",
            "says One.",
            "said",
            "says Two.",
            "said",
            "says Three.",
            "said",
            "says You said Blue.",
            "said",
            "ended"
        ]
    );
    let event = stage.ended_event().await;
    assert_json_snapshot!("call_ended", shape(&event), {".data.durationSeconds" => "(seconds)"});
    assert_eq!(
        event["data"]["transcript"],
        json!([
            {"role": "agent", "content": "Hello."},
            {"role": "user", "content": "Count"},
            {"role": "agent", "content": "One. Two. Three."},
            {"role": "user", "content": "Blue"},
            {"role": "agent", "content": "You said Blue."},
        ])
    );
    let kept = stage.only_call().await;
    assert_json_snapshot!("inbound_call", shape(&kept), {".durationSeconds" => "(seconds)"});
    assert_eq!((&kept["status"], &kept["endReason"]), (&json!("completed"), &json!("user_hangup")));
    assert_eq!(
        exchanges(&kept),
        [pair("", "Hello."), pair("Count", "One. Two. Three."), pair("Blue", "You said Blue.")]
    );
    let transcript = stage.app.get(&format!("/v1/calls/{}/transcript", id(&kept))).await.ok();
    assert_eq!(transcript["data"], kept["transcripts"]);
}

#[tokio::test]
async fn an_agent_that_does_not_greet_is_spoken_to_first() {
    let stage = Stage::open(json!({})).await;
    let call = stage.handset(json!([{"say": "Blue"}, {"hangup": true}])).await;
    assert_eq!(heard(&call), ["ringing", "answered", "says You said Blue.", "said", "ended"]);
    let call = stage.handset(json!([])).await;
    assert_eq!(heard(&call), ["ringing", "answered", "ended"], "who has nothing to say hangs up");
}

#[tokio::test]
async fn a_turn_is_a_signed_event_with_what_was_said_before() {
    let stage = Stage::open(json!({"beginMessage": "Hello."})).await;
    let settings = json!({"url": stage.customer.url(), "contextLimit": 2});
    let secret = stage.app.post("/v1/webhooks").json(settings).await.ok()["secret"].as_str().unwrap().to_owned();
    stage.handset(json!([{"say": "One"}, {"say": "Two"}])).await;
    let turns = stage.customer.wait_for(2).await;
    for turn in &turns[..2] {
        turn.verify(&secret).unwrap();
    }
    assert_json_snapshot!("voice_turn", shape(&turns[1].json));
    let history = &turns[1].json["recentHistory"];
    let said: Vec<_> =
        history.as_array().unwrap().iter().map(|one| one["content"].as_str().unwrap().to_owned()).collect();
    assert_eq!(said, ["One", "You said One."], "the last two");
    let kept = stage.only_call().await;
    // The ids are those of the transcript.
    assert_eq!(turns[1].json["data"]["messageId"], kept["transcripts"][2]["id"]);
    let log = stage.app.get("/v1/webhooks/deliveries").await.ok();
    let voice = log["items"].as_array().unwrap().iter().filter(|one| one["channel"] == "voice").count();
    assert_eq!(voice, 3, "two turns and the end: {log:#}");
}

#[tokio::test]
async fn a_webhook_that_fails_is_apologised_for_and_logged() {
    let stage = Stage::open(json!({"beginMessage": "Hello."})).await;
    let call = stage.handset(json!([{"say": "Fail"}, {"say": "Blue"}])).await;
    let lines = heard(&call);
    assert!(lines.iter().any(|line| line.starts_with("says I'm sorry")), "{lines:?}");
    assert!(lines.contains(&"says You said Blue.".to_owned()), "{lines:?}");
    let log = stage.app.get("/v1/webhooks/deliveries").await.ok();
    let failed: Vec<_> = log["items"].as_array().unwrap().iter().filter(|one| one["status"] == "failed").collect();
    assert_eq!(failed.len(), 1, "{log:#}");
    assert_eq!((&failed[0]["httpStatus"], &failed[0]["attemptCount"]), (&json!(500), &json!(1)));
}

#[tokio::test]
async fn an_agent_hangs_up_presses_keys_and_keeps_silent() {
    let stage = Stage::open(json!({"beginMessage": "Hello."})).await;
    let call = stage.handset(json!([{"say": "Press something"}, {"say": "Bye"}])).await;
    let lines = heard(&call);
    assert!(lines.contains(&"pressed 1w2#".to_owned()), "{lines:?}");
    assert_eq!(&lines[lines.len() - 3..], ["says Goodbye.", "said", "ended"]);
    assert_eq!(stage.ended_event().await["data"]["disconnectionReason"], "agent_hangup");
}

#[tokio::test]
async fn a_caller_is_handed_over_to_the_agents_number() {
    let stage = Stage::open(json!({"beginMessage": "Hello.", "transferNumber": "+14155550190"})).await;
    let call = stage.handset(json!([{"say": "Transfer me"}])).await;
    assert!(heard(&call).contains(&"transferred +14155550190".to_owned()), "{call:#}");
    assert_eq!(stage.ended_event().await["data"]["disconnectionReason"], "transferred");
}

#[tokio::test]
async fn a_handset_whose_script_nobody_waits_for_any_more_hangs_up() {
    let stage = Stage::open(json!({"beginMessage": "Hello."})).await;
    let stands = async {
        while stage.app.get("/v1/calls?status=in-progress").await.ok()["total"] != 1 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        call = stage.handset(json!([{"pause_ms": 60_000}])) => panic!("it was not waited: {call:#}"),
        () = stands => {}
    }
    assert_eq!(stage.only_call().await["endReason"], "user_hangup");
}

#[tokio::test]
async fn keys_of_the_caller_are_what_he_says() {
    let stage = Stage::open(json!({"beginMessage": "Hello."})).await;
    let call = stage.handset(json!([{"press": "42#"}, {"hangup": true}])).await;
    assert!(heard(&call).contains(&"says You said 42.".to_owned()), "{call:#}");
}

#[tokio::test]
async fn a_call_has_a_timeline() {
    let stage = Stage::open(json!({"beginMessage": "Hello."})).await;
    stage.handset(json!([{"say": "Blue"}])).await;
    let call = id(&stage.only_call().await);
    let trace = stage.app.get(&format!("/v1/calls/{call}/trace")).await.ok();
    let marks: Vec<_> = trace["data"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    for wanted in
        ["began", "answered", "speaker_asked", "turn_heard", "brain_asked", "brain_first", "brain_ended", "over"]
    {
        assert!(marks.contains(&wanted), "{wanted} is not in {marks:?}");
    }
    let times: Vec<_> = trace["data"].as_array().unwrap().iter().map(|one| one["atMs"].as_f64().unwrap()).collect();
    assert!(times.is_sorted(), "{times:?}");
}

#[tokio::test]
async fn the_transcript_is_followed_as_it_grows_and_afterwards() {
    let stage = Stage::open(json!({"beginMessage": "Hello."})).await;
    stage.handset(json!([{"say": "Blue"}])).await;
    let call = id(&stage.only_call().await);
    let stream = stage.app.get(&format!("/v1/calls/{call}/transcript/stream")).await;
    assert_eq!(stream.header("content-type"), "text/event-stream");
    let events: Vec<_> = stream.text.lines().filter_map(|line| line.strip_prefix("event: ")).collect();
    assert_eq!(events, ["connected", "turn", "turn", "turn", "ended"]);
}
