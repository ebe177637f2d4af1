//! What a number went through and shows: `/v1/numbers/{id}/messages`, `/calls` and `/contact-card`

use insta::assert_json_snapshot;
use offhook_domain::{AgentId, CallId, Id, NumberId};
use offhook_store::engine::Value as Sqlite;
use offhook_store::{Sql, StoreError, Tx};
use serde_json::json;

use crate::app::{TestApp, id, shape};

const OURS: &str = "+14155550100";
const ADA: &str = "+14152011234";

#[tokio::test]
async fn a_number_lists_its_messages_also_when_released() {
    let app = TestApp::start().await;
    let number = app.number(OURS).await;
    app.is_sent(ADA, OURS, "Look", &["https://media.example/a.jpg"]).await;
    app.post("/v1/messages").json(json!({"number_id": number, "to_number": ADA, "body": "Nice"})).await.ok();
    let path = format!("/v1/numbers/{number}/messages");

    let listed = app.get(&path).await.ok();
    assert_json_snapshot!(shape(&listed));

    app.release(&number).await;
    assert_eq!(app.get(&path).await.ok(), listed);
    let newest = id(&listed["data"][0]);
    let older = json!({"data": [listed["data"][1]], "hasMore": false});
    assert_eq!(app.get(&format!("{path}?before={newest}")).await.ok(), older);
    assert_eq!(app.get(&format!("{path}?limit=1")).await.ok()["hasMore"], true);
    assert_eq!(app.get(&format!("{path}?limit=x&before=x")).await.bad_fields(), ["before", "limit"]);
}

#[tokio::test]
async fn calls_are_listed_by_number_and_by_agent() {
    let app = TestApp::start().await;
    let agent = id(&app.post("/v1/agents").json(json!({"name": "Desk"})).await.ok());
    let number = app.number_of(&agent, OURS).await;
    let paths = [format!("/v1/numbers/{number}/calls"), format!("/v1/agents/{agent}/calls")];
    for path in &paths {
        assert_eq!(app.get(path).await.ok(), json!({"data": [], "hasMore": false, "total": 0}));
    }

    keep_call(&app, &agent, &number, None).await;
    keep_call(&app, &agent, &number, Some(61_500_000)).await;

    let listed = app.get(&paths[0]).await.ok();
    assert_json_snapshot!(shape(&listed));
    assert_eq!(app.get(&paths[1]).await.ok(), listed);
    for path in &paths {
        let page = app.get(&format!("{path}?limit=1&offset=1")).await.ok();
        assert_eq!(page, json!({"data": [listed["data"][1]], "hasMore": false, "total": 2}));
        assert_eq!(app.get(&format!("{path}?limit=101")).await.bad_fields(), ["limit"]);
    }
}

#[tokio::test]
async fn a_card_is_set_replaced_and_taken_away() {
    let app = TestApp::start().await;
    let number = app.number(OURS).await;
    let path = format!("/v1/numbers/{number}/contact-card");
    let none = json!({"firstName": null, "lastName": null, "displayName": null, "hasAvatar": false});
    assert_eq!(app.get(&path).await.ok(), none);

    let whole = json!({"firstName": "Ada", "lastName": "Desk", "displayName": "Ada D.",
        "avatarUrl": "https://media.example/ada.png"});
    let set = app.put(&path).json(whole).await.ok();
    assert_eq!(set, json!({"firstName": "Ada", "lastName": "Desk", "displayName": "Ada D.", "hasAvatar": true}));
    assert_eq!(app.get(&path).await.ok(), set);

    let replaced = app.put(&path).json(json!({"firstName": "Ben", "avatarUrl": null})).await.ok();
    assert_eq!(replaced, json!({"firstName": "Ben", "lastName": null, "displayName": null, "hasAvatar": false}));

    app.delete(&path).await.no_content();
    app.delete(&path).await.no_content();
    assert_eq!(app.get(&path).await.ok(), none);

    let bad = json!({"firstName": 1, "lastName": "x".repeat(201), "displayName": [], "avatarUrl": "ada.png"});
    let names = ["firstName", "lastName", "displayName", "avatarUrl"];
    assert_eq!(app.put(&path).json(bad).await.bad_fields(), names);
    app.release(&number).await;
    app.put(&path).json(json!({"firstName": "Ada"})).await.refused(400);
}

#[tokio::test]
async fn a_card_is_set_once() {
    let app = TestApp::start().await;
    let path = format!("/v1/numbers/{}/contact-card", app.number(OURS).await);
    let card = json!({"firstName": "Ada"});

    let first = app.put(&path).json(card.clone()).once("card").await;
    app.delete(&path).await.no_content();
    let again = app.put(&path).json(card).once("card").await;

    assert_eq!((again.ok(), again.replayed()), (first.ok(), true));
    assert_eq!(app.get(&path).await.ok()["firstName"], json!(null));
}

#[tokio::test]
async fn anothers_number_looks_absent() {
    let app = TestApp::start().await;
    let number = format!("/v1/numbers/{}", app.number(OURS).await);
    let other = app.second_account().await;

    let tries = [
        other.get(&format!("{number}/messages")).await,
        other.get(&format!("{number}/calls")).await,
        other.get(&format!("{number}/contact-card")).await,
        other.put(&format!("{number}/contact-card")).json(json!({})).await,
        other.delete(&format!("{number}/contact-card")).await,
        other.get("/v1/numbers/num_nonsense/messages").await,
    ];
    for answer in tries {
        assert_eq!(answer.refused(404).code, "PHONE_NUMBER_NOT_FOUND");
    }
}

/// Writes a call, which nothing does yet: voice comes later, and its lists are here already.
async fn keep_call(app: &TestApp, agent: &str, number: &NumberId, took: Option<i64>) {
    const INSERT: Sql =
        Sql("INSERT INTO calls (id, account_id, agent_id, number_id, phone_number, from_number, to_number,
        direction, status, started_at, answered_at, ended_at) VALUES ($1, $2, $3, $4, $5, $6, $7, 'inbound', $8, $9, $10, $11)");
    let now = app.app.now();
    let text = |text: &str| Sqlite::Text(text.to_owned());
    let values = [
        text(CallId::generate(now).as_str()),
        text(app.account.as_str()),
        text(AgentId::parse(agent).unwrap().as_str()),
        text(number.as_str()),
        text(OURS),
        text(ADA),
        text(OURS),
        text(if took.is_some() { "completed" } else { "in-progress" }),
        Sqlite::Int(now.as_micros()),
        Sqlite::Int(now.as_micros()),
        took.map_or(Sqlite::Null, |took| Sqlite::Int(now.as_micros() + took)),
    ];
    let work = async move |tx: &mut Tx| tx.run(INSERT, values.clone()).await;
    app.app.store.write::<(), StoreError>(work).await.unwrap();
}
