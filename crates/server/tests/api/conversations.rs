//! `/v1/conversations`, and the same seen from an agent

use insta::assert_json_snapshot;
use serde_json::{Value, json};

use crate::app::{Answer, TestApp, id, shape};

const OURS: &str = "+14155550100";
const ADA: &str = "+14152011234";
const BEN: &str = "+14152015678";

/// An installation with an agent that has a number.
async fn desk() -> (TestApp, String) {
    let app = TestApp::start().await;
    let agent = id(&app.post("/v1/agents").json(json!({"name": "Desk"})).await.ok());
    app.number_of(&agent, OURS).await;
    (app, agent)
}

/// Adds a conversation in which `rounds` questions were asked and answered.
async fn chat(app: &TestApp, rounds: usize) -> String {
    let mut conversation = Value::Null;
    for n in 0..rounds {
        app.is_texted(ADA, OURS, &format!("Question {n}")).await;
        let answer = json!({"from_number": OURS, "to_number": ADA, "body": format!("Answer {n}")});
        conversation = app.post("/v1/messages").json(answer).await.ok()["conversation_id"].clone();
    }
    path(conversation.as_str().unwrap())
}

/// The path of the conversation spoken in last.
async fn latest(app: &TestApp) -> String {
    path(&id(&app.get("/v1/conversations").await.ok()["data"][0]))
}

fn path(conversation: &str) -> String {
    format!("/v1/conversations/{conversation}")
}

fn bodies(answer: &Answer) -> Vec<String> {
    let body = answer.ok();
    body["data"].as_array().unwrap().iter().map(|message| message["body"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_conversation_shows_both_sides() {
    let (app, _) = desk().await;
    let conversation = chat(&app, 1).await;
    app.is_sent(ADA, OURS, "", &["https://media.example/a.jpg", "https://media.example/b.jpg"]).await;

    let shown = app.get(&conversation).await.ok();

    assert_json_snapshot!(shape(&shown));
    let listed = app.get("/v1/conversations").await.ok();
    let mut summary = shown.clone();
    summary.as_object_mut().unwrap().remove("messages");
    assert_eq!(listed, json!({"data": [summary], "hasMore": false, "total": 1}));
}

#[tokio::test]
async fn the_conversation_spoken_in_last_is_first() {
    let (app, agent) = desk().await;
    app.is_texted(ADA, OURS, "Ada here").await;
    app.is_texted(BEN, OURS, "Ben here").await;
    app.is_texted(ADA, OURS, "Ada again").await;

    let listed = app.get("/v1/conversations").await.ok();

    let participants: Vec<_> = listed["data"].as_array().unwrap().iter().map(|c| &c["participant"]).collect();
    assert_eq!(participants, [ADA, BEN]);
    assert_eq!([&listed["data"][0]["messageCount"], &listed["data"][1]["messageCount"]], [2, 1]);
    assert_eq!(app.get(&format!("/v1/agents/{agent}/conversations")).await.ok(), listed);
    let second = app.get("/v1/conversations?limit=1&offset=1").await.ok();
    assert_eq!(second, json!({"data": [listed["data"][1]], "hasMore": false, "total": 2}));
    let first = app.get(&format!("/v1/agents/{agent}/conversations?limit=1")).await.ok();
    assert_eq!(first, json!({"data": [listed["data"][0]], "hasMore": true, "total": 2}));
}

#[tokio::test]
async fn a_long_conversation_is_read_back_page_by_page() {
    let (app, _) = desk().await;
    let conversation = chat(&app, 4).await;
    let all = app.get(&format!("{conversation}/messages")).await;
    assert_eq!(bodies(&all)[..2], ["Answer 3", "Question 3"]);
    assert_eq!(all.ok()["hasMore"], false);

    for cursor in ["receivedAt", "id"] {
        for limit in [1, 3, 7, 8] {
            let mut read = Vec::new();
            let mut before = String::new();
            loop {
                let page = app.get(&format!("{conversation}/messages?limit={limit}&before={before}")).await;
                read.extend(bodies(&page));
                let page = page.ok();
                if page["hasMore"] == false {
                    break;
                }
                before = page["data"].as_array().unwrap().last().unwrap()[cursor].as_str().unwrap().to_owned();
            }
            assert_eq!(read, bodies(&all), "by {cursor}, {limit} at a time");
        }
    }
}

#[tokio::test]
async fn only_what_came_after_or_before_is_asked_for() {
    let (app, _) = desk().await;
    let conversation = chat(&app, 2).await;
    let all = app.get(&format!("{conversation}/messages")).await.ok();
    let (newest, third, oldest) = (&all["data"][0], &all["data"][2], &all["data"][3]);

    let ask = |query: String| app.get(&format!("{conversation}/messages?{query}"));
    for cursor in ["receivedAt", "id"] {
        let at = |message: &Value| message[cursor].as_str().unwrap().to_owned();
        assert_eq!(bodies(&ask(format!("after={}", at(third))).await), ["Answer 1", "Question 1"]);
        assert_eq!(bodies(&ask(format!("after={}&limit=1", at(third))).await), ["Answer 1"]);
        let between = ask(format!("after={}&before={}", at(oldest), at(newest))).await;
        assert_eq!(bodies(&between), ["Question 1", "Answer 0"]);
    }
    let elsewhere = oldest["receivedAt"].as_str().unwrap().replace('Z', "%2B00:00");
    assert_eq!(bodies(&ask(format!("before={elsewhere}")).await), [""; 0]);
}

#[tokio::test]
async fn a_conversation_comes_with_its_latest_messages() {
    let (app, _) = desk().await;
    let conversation = chat(&app, 26).await;

    let said = |body: &Value| -> Vec<Value> {
        body["messages"].as_array().unwrap().iter().map(|message| message["body"].clone()).collect()
    };
    let shown = app.get(&conversation).await.ok();
    assert_eq!((said(&shown).len(), &shown["messageCount"]), (50, &json!(52)));
    assert_eq!(said(&app.get(&format!("{conversation}?message_limit=2")).await.ok()), ["Answer 25", "Question 25"]);
    assert_eq!(said(&app.get(&format!("{conversation}?message_limit=100")).await.ok()).len(), 52);
    assert_eq!(said(&app.get(&format!("{conversation}?message_limit=0")).await.ok()), [""; 0]);
}

#[tokio::test]
async fn what_makes_no_sense_is_refused() {
    let (app, _) = desk().await;
    let conversation = chat(&app, 1).await;

    assert_eq!(app.get(&format!("{conversation}?message_limit=101")).await.bad_fields(), ["message_limit"]);
    let query = "limit=201&before=yesterday&after=conv_nothing";
    let complaints = app.get(&format!("{conversation}/messages?{query}")).await.bad_fields();
    assert_eq!(complaints, ["before", "after", "limit"]);
    let unknown = "before=msg_00000000000000000000000000";
    assert_eq!(app.get(&format!("{conversation}/messages?{unknown}")).await.bad_fields(), ["before"]);
    assert_eq!(app.get("/v1/conversations?limit=0").await.bad_fields(), ["limit"]);
    let bad = json!({"metadata": [1], "group_name": 5});
    assert_eq!(app.patch(&conversation).json(bad).await.bad_fields(), ["metadata", "group_name"]);
    for broken in ["x", "%00", "conv_nowhere"] {
        assert_eq!(app.get(&path(broken)).await.refused(404).code, "CONVERSATION_NOT_FOUND");
    }
}

#[tokio::test]
async fn metadata_is_replaced_and_otherwise_left_alone() {
    let (app, _) = desk().await;
    let conversation = chat(&app, 1).await;

    let note = json!({"step": "booking", "guests": {"adults": 2}, "none": null});
    let noted = app.patch(&conversation).json(json!({"metadata": note})).await.ok();
    assert_eq!((&noted["metadata"], noted["messages"].as_array().unwrap().len()), (&note, 2));
    assert_eq!(app.get(&conversation).await.ok(), noted);

    assert_eq!(app.patch(&conversation).json(json!({})).await.ok(), noted);
    assert_eq!(app.patch(&conversation).await.ok(), noted);
    let named = app.patch(&conversation).json(json!({"group_name": "Table 4"})).await.ok();
    assert_eq!((&named["metadata"], &named["groupName"]), (&note, &json!("Table 4")));

    for (metadata, group_name) in
        [(json!({"step": "done"}), Value::Null), (json!({}), json!("")), (Value::Null, json!("x"))]
    {
        let change = json!({"metadata": metadata, "group_name": group_name});
        let changed = app.patch(&conversation).json(change).await.ok();
        assert_eq!((&changed["metadata"], &changed["groupName"]), (&metadata, &group_name));
    }
}

#[tokio::test]
async fn a_released_number_keeps_its_conversations() {
    let app = TestApp::start().await;
    let number = app.number(OURS).await;
    app.is_texted(ADA, OURS, "Hi").await;
    app.release(&number).await;

    let kept = app.get(&latest(&app).await).await.ok();

    assert_eq!(kept["messages"][0]["body"], "Hi");
    assert_json_snapshot!(kept["capabilities"]);
}

#[tokio::test]
async fn a_deleted_agent_leaves_its_conversations_behind() {
    let (app, agent) = desk().await;
    let conversation = chat(&app, 1).await;
    assert_eq!(app.get(&conversation).await.ok()["agentId"], json!(agent));

    app.delete(&format!("/v1/agents/{agent}")).await.ok();

    let kept = app.get(&conversation).await.ok();
    assert_eq!((&kept["agentId"], &kept["messageCount"]), (&Value::Null, &json!(2)));
}

#[tokio::test]
async fn imessage_gestures_are_refused() {
    let (app, _) = desk().await;
    let conversation = chat(&app, 1).await;
    let message = id(&app.get(&conversation).await.ok()["messages"][0]);

    let gestures = [
        app.post(&format!("{conversation}/typing")).await,
        app.post(&format!("{conversation}/background")).json(json!({"image_url": "https://m.example/b.jpg"})).await,
        app.delete(&format!("{conversation}/background")).await,
        app.post(&format!("/v1/messages/{message}/reactions")).json(json!({"reaction": "love"})).await,
    ];
    for gesture in gestures {
        let refused = gesture.refused(400);
        assert_eq!(refused.code, "VALIDATION_ERROR");
        assert!(refused.message.contains("iMessage"), "{}", refused.message);
    }
    let background = app.post(&format!("{conversation}/background")).json(json!({"image_url": "beach"})).await;
    assert_eq!(background.bad_fields(), ["image_url"]);
    assert_eq!(app.post(&format!("/v1/messages/{message}/reactions")).await.bad_fields(), ["reaction"]);
}

#[tokio::test]
async fn anothers_conversation_looks_absent() {
    let (app, agent) = desk().await;
    let conversation = chat(&app, 1).await;
    let message = id(&app.get(&conversation).await.ok()["messages"][0]);
    let other = app.second_account().await;

    let tries = [
        other.get(&conversation).await,
        other.patch(&conversation).json(json!({"metadata": {}})).await,
        other.get(&format!("{conversation}/messages")).await,
        other.post(&format!("{conversation}/typing")).await,
        other.post(&format!("{conversation}/background")).json(json!({"image_url": "https://m.example/b"})).await,
        other.delete(&format!("{conversation}/background")).await,
    ];
    for answer in tries {
        assert_eq!(answer.refused(404).code, "CONVERSATION_NOT_FOUND");
    }
    let reaction = other.post(&format!("/v1/messages/{message}/reactions")).json(json!({"reaction": "love"})).await;
    assert_eq!(reaction.refused(404).code, "MESSAGE_NOT_FOUND");
    assert_eq!(other.get("/v1/conversations").await.ok()["total"], 0);
    for list in ["calls", "conversations"] {
        assert_eq!(other.get(&format!("/v1/agents/{agent}/{list}")).await.refused(404).code, "AGENT_NOT_FOUND");
    }

    // Nor does another's message tell a time.
    other.number("+14155550101").await;
    app.is_texted(ADA, "+14155550101", "Hi").await;
    let own = path(&id(&other.get("/v1/conversations").await.ok()["data"][0]));
    assert_eq!(other.get(&format!("{own}/messages?before={message}")).await.bad_fields(), ["before"]);
}

#[tokio::test]
async fn a_change_is_made_once() {
    let (app, _) = desk().await;
    let conversation = chat(&app, 1).await;
    let step = |n: i64| json!({"metadata": {"step": n}});

    let first = app.patch(&conversation).json(step(1)).once("step").await;
    app.patch(&conversation).json(step(2)).await.ok();
    let again = app.patch(&conversation).json(step(1)).once("step").await;

    assert_eq!((again.ok(), again.replayed()), (first.ok(), true));
    assert_eq!(app.get(&conversation).await.ok()["metadata"], json!({"step": 2}));
    assert_eq!(app.patch(&conversation).json(step(3)).once("step").await.refused(422).code, "IDEMPOTENCY_KEY_REUSED");
    let typing = app.post(&format!("{conversation}/typing")).once("type").await;
    let retyped = app.post(&format!("{conversation}/typing")).once("type").await;
    assert_eq!((&retyped.text, retyped.replayed()), (&typing.text, true));
}
