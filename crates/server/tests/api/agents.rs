//! `/v1/agents`

use std::time::Duration;

use insta::assert_json_snapshot;
use offhook_domain::Id;
use serde_json::{Value, json};

use crate::app::{Client, TestApp, id, shape};

async fn agent(client: &Client, name: &str) -> String {
    id(&client.post("/v1/agents").json(json!({"name": name})).await.ok())
}

fn path(agent: &str) -> String {
    format!("/v1/agents/{agent}")
}

fn everything() -> Value {
    json!({
        "name": "Concierge",
        "description": "Answers guests",
        "voiceMode": "hosted",
        "enableMessaging": false,
        "modelTier": "max",
        "systemPrompt": "You are the concierge of a small hotel.",
        "beginMessage": "Good evening, how may I help?",
        "voice": "flite-awb",
        "transferNumber": "(415) 201-1234",
        "customTools": [{
            "name": "find_room",
            "description": "Finds a free room",
            "url": "https://hotel.example/rooms",
            "method": "GET",
            "headers": {"X-Hotel": "12", "X-None": null},
            "parameters": {"type": "object", "properties": {"beds": {"type": "integer"}}},
            "timeoutMs": 5000,
            "speakDuringExecution": true,
            "executionMessage": "One moment.",
        }, {
            "name": "note",
            "description": "Keeps a note",
            "url": "https://hotel.example/notes",
            "headers": null,
            "parameters": null,
            "timeoutMs": null,
        }],
        "voicemailMessage": "Please call back after six.",
        "callScreeningIdentity": "The Grand",
        "callScreeningPurpose": "Your booking",
        "sttMode": "accurate",
        "ambientSound": "coffee-shop",
        "denoisingMode": "noise-and-background-speech-cancellation",
        "maxSilenceMs": 20_000,
        "voiceSpeed": 1.5,
        "interruptionSensitivity": 0.25,
        "enableBackchannel": false,
        "language": "es-419",
    })
}

#[tokio::test]
async fn an_agent_is_made_with_the_documented_defaults() {
    let app = TestApp::start().await;

    let made = app.post("/v1/agents").json(json!({"name": "Booking desk"})).await.ok();

    assert_json_snapshot!(shape(&made));
    assert_eq!(app.get(&path(&id(&made))).await.ok(), made);
}

#[tokio::test]
async fn an_agent_keeps_everything_it_was_given() {
    let app = TestApp::start().await;

    let made = app.post("/v1/agents").json(everything()).await.ok();

    assert_json_snapshot!(shape(&made));
    assert_eq!(app.get(&path(&id(&made))).await.ok(), made);
}

#[tokio::test]
async fn null_is_as_good_as_absent_when_an_agent_is_made() {
    let app = TestApp::start().await;
    let plain = app.post("/v1/agents").json(json!({"name": "Desk"})).await.ok();
    let mut nulls = everything();
    for (name, value) in nulls.as_object_mut().unwrap() {
        *value = if name == "name" { json!("Desk") } else { Value::Null };
    }

    let made = app.post("/v1/agents").json(nulls).await.ok();

    assert_eq!(shape(&made), shape(&plain));
}

#[tokio::test]
async fn every_bad_field_is_named() {
    let app = TestApp::start().await;

    let bad = json!({
        "name": "",
        "description": 7,
        "voiceMode": "telepathy",
        "enableMessaging": "yes",
        "modelTier": "huge",
        "systemPrompt": ["no"],
        "transferNumber": "call me",
        "sttMode": "slow",
        "ambientSound": "disco",
        "denoisingMode": "off",
        "maxSilenceMs": 9_999,
        "voiceSpeed": 2.5,
        "interruptionSensitivity": -0.1,
        "enableBackchannel": 1,
        "language": "english, please",
    });
    let names: Vec<_> = bad.as_object().unwrap().keys().cloned().collect();
    let refused = app.post("/v1/agents").json(bad.clone()).await;

    let mut complaints = refused.bad_fields();
    complaints.sort();
    let mut expected = names;
    expected.sort();
    assert_eq!(complaints, expected);

    let made = agent(&app, "Desk").await;
    let mut changed = app.patch(&path(&made)).json(bad).await.bad_fields();
    changed.sort();
    assert_eq!(changed, expected);
    assert_eq!(app.post("/v1/agents").json(json!({})).await.bad_fields(), ["name"]);
    assert_eq!(app.post("/v1/agents").json(json!({"name": null})).await.bad_fields(), ["name"]);
    assert_eq!(app.post("/v1/agents").json(json!([])).await.bad_fields(), ["body"]);
    app.post("/v1/agents").text("{").header("content-type", "application/json").await.refused(422);
    app.post("/v1/agents").text("{}").header("content-type", "text/plain").await.refused(415);
}

#[tokio::test]
async fn every_bad_field_of_every_tool_is_named() {
    let app = TestApp::start().await;
    let good = json!({"name": "a", "description": "b", "url": "https://c.example/"});

    let tools = json!([
        good,
        "not a tool",
        {"name": "two words", "description": "", "url": "http://c.example/", "method": "PUT",
         "headers": {"X-Bad": "line\nbreak"}, "parameters": [], "timeoutMs": 999, "speakDuringExecution": 1,
         "executionMessage": 2},
        {},
        good,
    ]);
    let complaints = app.post("/v1/agents").json(json!({"name": "Desk", "customTools": tools})).await.bad_fields();

    assert_json_snapshot!(complaints);
    let many = vec![good; 21];
    let complaints = app.post("/v1/agents").json(json!({"name": "Desk", "customTools": many})).await.bad_fields();
    assert_eq!(complaints, ["customTools"]);
}

#[tokio::test]
async fn a_change_changes_only_what_was_sent() {
    let app = TestApp::start().await;
    let made = app.post("/v1/agents").json(everything()).await.ok();

    let changed = app.patch(&path(&id(&made))).json(json!({"name": "Front desk", "maxSilenceMs": 30_000})).await.ok();

    let mut expected = made.clone();
    expected["name"] = json!("Front desk");
    expected["maxSilenceMs"] = json!(30_000);
    assert_eq!(changed, expected);
    assert_eq!(app.patch(&path(&id(&made))).json(json!({})).await.ok(), expected);
    assert_eq!(app.patch(&path(&id(&made))).await.ok(), expected);
    assert_eq!(app.get(&path(&id(&made))).await.ok(), expected);
}

#[tokio::test]
async fn what_can_be_empty_is_cleared() {
    let app = TestApp::start().await;
    let made = app.post("/v1/agents").json(everything()).await.ok();

    let empty = json!({"transferNumber": "", "voicemailMessage": "", "customTools": []});
    let changed = app.patch(&path(&id(&made))).json(empty).await.ok();
    assert_eq!(
        [&changed["transferNumber"], &changed["voicemailMessage"], &changed["customTools"]],
        [&Value::Null, &Value::Null, &json!([])]
    );

    let again = app.post("/v1/agents").json(everything()).await.ok();
    let null = json!({"transferNumber": null, "voicemailMessage": null, "description": null, "beginMessage": null,
        "callScreeningIdentity": null, "callScreeningPurpose": null, "voice": null});
    let changed = app.patch(&path(&id(&again))).json(null.clone()).await.ok();
    for (name, _) in null.as_object().unwrap() {
        let expected = if name == "voice" { json!("flite-slt") } else { Value::Null };
        assert_eq!(changed[name], expected, "{name}");
    }

    // Null says nothing where a field always has a value.
    let null = json!({"name": null, "voiceMode": null, "language": null, "maxSilenceMs": null, "customTools": null});
    assert_eq!(app.patch(&path(&id(&again))).json(null).await.ok(), changed);
}

#[tokio::test]
async fn a_hosted_agent_needs_a_prompt() {
    let app = TestApp::start().await;
    for prompt in [json!({}), json!({"systemPrompt": null}), json!({"systemPrompt": " "})] {
        let mut wish = json!({"name": "Silent host", "voiceMode": "hosted"});
        wish.as_object_mut().unwrap().extend(prompt.as_object().unwrap().clone());
        assert_eq!(app.post("/v1/agents").json(wish).await.bad_fields(), ["systemPrompt"]);
    }

    let made = agent(&app, "Desk").await;
    assert_eq!(app.patch(&path(&made)).json(json!({"voiceMode": "hosted"})).await.bad_fields(), ["systemPrompt"]);
    app.patch(&path(&made)).json(json!({"voiceMode": "hosted", "systemPrompt": "Be kind."})).await.ok();
    assert_eq!(app.patch(&path(&made)).json(json!({"systemPrompt": ""})).await.bad_fields(), ["systemPrompt"]);
    app.patch(&path(&made)).json(json!({"voiceMode": "webhook", "systemPrompt": null})).await.ok();
}

#[tokio::test]
async fn agents_are_listed_newest_first_and_page_by_page() {
    let app = TestApp::start().await;
    let mut made = Vec::new();
    for n in 0..5 {
        made.push(agent(&app, &format!("Desk {n}")).await);
    }
    made.reverse();

    let page = |limit: usize, offset: usize| app.get(&format!("/v1/agents?limit={limit}&offset={offset}"));
    let ids = |body: &Value| body["data"].as_array().unwrap().iter().map(id).collect::<Vec<_>>();

    let (first, last, beyond) = (page(3, 0).await.ok(), page(3, 3).await.ok(), page(3, 9).await.ok());
    assert_eq!((ids(&first), &first["hasMore"], &first["total"]), (made[..3].to_vec(), &json!(true), &json!(5)));
    assert_eq!((ids(&last), &last["hasMore"], &last["total"]), (made[3..].to_vec(), &json!(false), &json!(5)));
    assert_eq!((ids(&beyond), &beyond["hasMore"], &beyond["total"]), (vec![], &json!(false), &json!(5)));
    assert_eq!(app.get("/v1/agents?limit=&offset=&color=red").await.ok()["total"], 5);
    assert_eq!(app.get("/v1/agents?limit=0&offset=-1").await.bad_fields(), ["limit", "offset"]);
    assert_eq!(app.get("/v1/agents?limit=101&offset=x").await.bad_fields(), ["limit", "offset"]);
}

#[tokio::test]
async fn a_number_is_attached_moved_and_detached() {
    let app = TestApp::start().await;
    let (day, night) = (agent(&app, "Day desk").await, agent(&app, "Night desk").await);
    let number = app.number("+14155550100").await.to_string();
    let wish = json!({"numberId": number});

    let attached = app.post(&format!("{}/numbers", path(&day))).json(wish.clone()).await.ok();
    assert_json_snapshot!(shape(&attached));
    assert_eq!((&attached["agentId"], &attached["number"]["id"]), (&json!(day), &json!(number)));

    app.post(&format!("{}/numbers", path(&night))).json(wish).await.ok();
    assert_eq!(app.get(&path(&day)).await.ok()["numbers"], json!([]));
    assert_eq!(app.get(&path(&night)).await.ok()["numbers"], json!([attached["number"]]));

    let place = |agent: &str| format!("{}/numbers/{number}", path(agent));
    assert_eq!(app.delete(&place(&day)).await.refused(404).code, "PHONE_NUMBER_NOT_FOUND");
    assert_eq!(app.delete(&place(&night)).await.ok(), json!({"success": true}));
    assert_eq!(app.get(&path(&night)).await.ok()["numbers"], json!([]));
    app.delete(&place(&night)).await.refused(404);
}

#[tokio::test]
async fn what_cannot_be_attached_is_refused() {
    let app = TestApp::start().await;
    let desk = agent(&app, "Desk").await;
    let numbers = format!("{}/numbers", path(&desk));
    let released = app.number("+14155550100").await;
    app.release(&released).await;
    let other = app.second_account().await;
    let anothers = other.number("+14155550101").await;

    assert_eq!(app.post(&numbers).json(json!({"numberId": released})).await.refused(400).bad_fields, ["numberId"]);
    for absent in [anothers.as_str(), "num_nonsense", ""] {
        let refused = app.post(&numbers).json(json!({"numberId": absent})).await.refused(404);
        assert_eq!(refused.code, "PHONE_NUMBER_NOT_FOUND");
    }
    assert_eq!(app.post(&numbers).json(json!({"numberId": 5})).await.bad_fields(), ["numberId"]);
    assert_eq!(app.post(&numbers).await.bad_fields(), ["numberId"]);
}

#[tokio::test]
async fn a_deleted_agent_leaves_its_numbers_behind() {
    let app = TestApp::start().await;
    let desk = agent(&app, "Desk").await;
    let number = app.number_of(&desk, "+14155550100").await;

    assert_eq!(app.delete(&path(&desk)).await.ok(), json!({"success": true, "id": desk, "name": "Desk"}));

    app.get(&path(&desk)).await.refused(404);
    app.delete(&path(&desk)).await.refused(404);
    let night = agent(&app, "Night desk").await;
    let attached = app.post(&format!("{}/numbers", path(&night))).json(json!({"numberId": number})).await.ok();
    assert_eq!(attached["number"]["status"], "active");
}

#[tokio::test]
async fn anothers_agent_looks_absent() {
    let app = TestApp::start().await;
    let desk = path(&agent(&app, "Desk").await);
    let other = app.second_account().await;
    let number = other.number("+14155550100").await;

    let tries = [
        other.get(&desk).await,
        other.patch(&desk).json(json!({"name": "Mine"})).await,
        other.delete(&desk).await,
        other.post(&format!("{desk}/numbers")).json(json!({"numberId": number})).await,
        other.delete(&format!("{desk}/numbers/{number}")).await,
        other.get("/v1/agents/agt_nonsense").await,
    ];
    for answer in tries {
        assert_eq!(answer.refused(404).code, "AGENT_NOT_FOUND");
    }
    assert_eq!(other.get("/v1/agents").await.ok()["total"], 0);
    assert_eq!(app.get(&desk).await.ok()["name"], "Desk");
    assert_eq!(app.stranger().get(&desk).await.refused(401).code, "UNAUTHORIZED");
}

#[tokio::test]
async fn the_voices_are_listed() {
    let app = TestApp::start().await;

    let voices = app.get("/v1/agents/voices").await.ok();

    assert_json_snapshot!(voices["data"][0]);
    let ids: Vec<_> = voices["data"].as_array().unwrap().iter().map(|voice| voice["voice_id"].clone()).collect();
    assert!(ids.contains(&json!("text")) && !ids.contains(&Value::Null), "{ids:?}");
}

#[tokio::test]
async fn the_same_key_makes_an_agent_once() {
    let app = TestApp::start().await;
    let wish = json!({"name": "Desk"});

    let first = app.post("/v1/agents").json(wish.clone()).once("make-desk").await;
    let second = app.post("/v1/agents").json(wish.clone()).once("make-desk").await;

    assert_eq!(second.ok(), first.ok());
    assert_eq!((first.replayed(), second.replayed()), (false, true));
    assert_eq!(app.get("/v1/agents").await.ok()["total"], 1);

    let reused = app.post("/v1/agents").json(json!({"name": "Night desk"})).once("make-desk").await.refused(422);
    assert_eq!(reused.code, "IDEMPOTENCY_KEY_REUSED");

    let other = app.second_account().await;
    assert!(!other.post("/v1/agents").json(wish.clone()).once("make-desk").await.replayed());

    app.later(Duration::from_secs(24 * 3600 + 1));
    assert!(!app.post("/v1/agents").json(wish).once("make-desk").await.replayed());
    assert_eq!(app.get("/v1/agents").await.ok()["total"], 2);
}

#[tokio::test]
async fn a_refusal_is_replayed_as_it_was() {
    let app = TestApp::start().await;
    let desk = agent(&app, "Desk").await;
    let change = json!({"voiceMode": "hosted"});

    let first = app.patch(&path(&desk)).json(change.clone()).once("host").await;
    app.patch(&path(&desk)).json(json!({"systemPrompt": "Be kind."})).await.ok();
    let second = app.patch(&path(&desk)).json(change).once("host").await;

    assert_eq!(first.status.as_u16(), 422);
    assert_eq!((&second.text, second.replayed()), (&first.text, true));

    let gone = agent(&app, "Gone").await;
    app.delete(&path(&gone)).once("away").await.ok();
    assert!(app.delete(&path(&gone)).once("away").await.replayed());
    app.delete(&path(&gone)).await.refused(404);
}
