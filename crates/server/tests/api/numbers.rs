//! `/v1/numbers`

use std::time::Duration;

use insta::assert_json_snapshot;
use serde_json::{Value, json};

use crate::app::{Client, Setup, TestApp, id, shape};

/// An installation whose worker of numbers runs when the test says so.
async fn sandbox() -> TestApp {
    Setup::default().sandbox().start().await
}

async fn buy(client: &Client, order: Value) -> Value {
    client.post("/v1/numbers").json(order).await.ok()
}

#[tokio::test]
async fn a_number_is_bought_shown_and_listed() {
    let app = sandbox().await;
    let agent = app.post("/v1/agents").json(json!({"name": "Desk"})).await.ok();

    let bought = buy(&app, json!({"areaCode": "415", "agentId": id(&agent), "externalId": "table-7"})).await;

    assert_json_snapshot!(shape(&bought));
    let path = format!("/v1/numbers/{}", id(&bought));
    assert_eq!(app.get(&path).await.ok(), bought);
    assert_eq!(app.get("/v1/numbers").await.ok(), json!({"data": [bought], "hasMore": false, "total": 1}));
    let numbers = &app.get(&format!("/v1/agents/{}", id(&agent))).await.ok()["numbers"];
    assert_eq!(numbers[0]["id"], bought["id"]);
    app.check_books().await;
}

#[tokio::test]
async fn an_empty_order_is_a_us_number_and_snake_case_is_understood() {
    let app = sandbox().await;
    let anything = buy(&app, json!({})).await;
    assert_eq!((&anything["country"], &anything["agentId"]), (&json!("US"), &Value::Null));
    let toronto = buy(&app, json!({"country": "CA", "area_code": "416", "external_id": "x"})).await;
    assert_eq!(toronto["phoneNumber"], "+14165550100");
    assert_eq!((&toronto["country"], &toronto["externalId"]), (&json!("CA"), &json!("x")));
    let british = buy(&app, json!({"country": "GB"})).await;
    assert!(british["phoneNumber"].as_str().unwrap().starts_with("+44"));
    // As a client sends it that knows all fields and sets none.
    let nulls = json!({"country": null, "areaCode": null, "agentId": null, "type": null, "imessageType": null,
        "externalId": null, "expiresAt": null});
    assert_eq!(buy(&app, nulls).await["type"], "sms");
}

#[tokio::test]
async fn a_wanted_number_is_bought_or_refused() {
    let app = sandbox().await;
    let wanted = json!({"phoneNumber": "(415) 555-0142"});
    assert_eq!(buy(&app, wanted.clone()).await["phoneNumber"], "+14155550142");
    for gone in [wanted, json!({"phoneNumber": "+14152010000"})] {
        let refusal = app.post("/v1/numbers").json(gone).await.refused(400);
        assert_eq!((refusal.code.as_str(), refusal.bad_fields), ("VALIDATION_ERROR", vec!["phoneNumber".to_owned()]));
    }
    let other = app.second_account().await;
    assert_eq!(
        other.post("/v1/numbers").json(json!({"phoneNumber": "+14155550142"})).await.refused(400).code,
        "VALIDATION_ERROR"
    );
    app.check_books().await;
    other.check_books().await;
}

#[tokio::test]
async fn an_area_code_without_numbers_gives_any_of_the_country() {
    let app = sandbox().await;
    // No subscriber has area code 999, and the sandbox has none of it.
    let bought = buy(&app, json!({"areaCode": "999"})).await;
    assert_eq!(bought["phoneNumber"], "+12015550100");
}

#[tokio::test]
async fn every_bad_field_of_an_order_is_named() {
    let app = sandbox().await;
    let order = json!({"country": "USA", "areaCode": "41", "agentId": 5, "type": ["sms"], "externalId": "x".repeat(256),
        "expiresAt": "tomorrow", "phoneNumber": "me"});
    let bad = app.post("/v1/numbers").json(order).await;
    assert_eq!(bad.bad_fields(), ["phoneNumber", "country", "areaCode", "agentId", "type", "externalId", "expiresAt"]);
    for order in
        [json!({"country": "GB", "areaCode": "415"}), json!({"areaCode": "212", "phoneNumber": "+14155550100"})]
    {
        let bad = app.post("/v1/numbers").json(order).await;
        assert_eq!(bad.bad_fields(), ["areaCode"]);
    }
    let past = app.post("/v1/numbers").json(json!({"expiresAt": "2020-01-01T00:00:00Z"})).await;
    assert_eq!(past.bad_fields(), ["expiresAt"]);
    assert_eq!(app.get("/v1/numbers").await.ok()["total"], 0);
    app.check_books().await;
}

#[tokio::test]
async fn what_carriers_do_not_offer_is_refused_by_name() {
    let app = sandbox().await;
    for (order, field) in
        [(json!({"type": "imessage"}), "type"), (json!({"imessageType": "dedicated"}), "imessageType")]
    {
        let refusal = app.post("/v1/numbers").json(order).await.refused(400);
        assert_eq!((refusal.code.as_str(), refusal.bad_fields), ("VALIDATION_ERROR", vec![field.to_owned()]));
    }
    // A country with telephone numbers, of which the sandbox has none.
    assert_eq!(app.post("/v1/numbers").json(json!({"country": "JP"})).await.refused(400).code, "VALIDATION_ERROR");
    assert_eq!(app.post("/v1/numbers").json(json!({"country": "XX"})).await.refused(422).code, "VALIDATION_ERROR");
}

#[tokio::test]
async fn an_unknown_agent_gets_no_number() {
    let app = sandbox().await;
    let other = app.second_account().await;
    let theirs = other.post("/v1/agents").json(json!({"name": "Theirs"})).await.ok();
    for agent in ["agt_nobody", &id(&theirs)] {
        let refusal = app.post("/v1/numbers").json(json!({"agentId": agent})).await.refused(404);
        assert_eq!(refusal.code, "AGENT_NOT_FOUND");
    }
    app.check_books().await;
}

#[tokio::test]
async fn without_a_carrier_nothing_can_be_bought() {
    let app = TestApp::start().await;
    assert_eq!(app.post("/v1/numbers").await.refused(400).code, "VALIDATION_ERROR");
    assert_eq!(app.get("/v1/numbers/available").await.refused(400).code, "VALIDATION_ERROR");
}

#[tokio::test]
async fn a_number_is_changed_field_by_field() {
    let app = sandbox().await;
    let path = format!("/v1/numbers/{}", id(&buy(&app, json!({"externalId": "a"})).await));

    let changed = app.patch(&path).json(json!({"expiresAt": "2099-01-01T00:00:00Z"})).await.ok();
    assert_eq!((&changed["externalId"], &changed["expiresAt"]), (&json!("a"), &json!("2099-01-01T00:00:00.000000Z")));
    assert_eq!(app.patch(&path).await.ok(), changed);
    let cleared = app.patch(&path).json(json!({"externalId": "", "expiresAt": null})).await.ok();
    assert_eq!((&cleared["externalId"], &cleared["expiresAt"]), (&Value::Null, &Value::Null));

    let bad = app.patch(&path).json(json!({"externalId": 7, "expiresAt": "soon"})).await;
    assert_eq!(bad.bad_fields(), ["externalId", "expiresAt"]);
    app.patch(&path).json(json!({"expiresAt": "2020-01-01T00:00:00Z"})).await.refused(422);
    app.delete(&path).await.ok();
    app.patch(&path).json(json!({"externalId": "b"})).await.refused(400);
}

#[tokio::test]
async fn a_released_number_is_given_back_once() {
    let app = sandbox().await;
    let bought = buy(&app, json!({"phoneNumber": "+14155550142"})).await;
    let path = format!("/v1/numbers/{}", id(&bought));

    assert_json_snapshot!(shape(&app.delete(&path).await.ok()));
    assert_eq!(app.delete(&path).await.refused(400).code, "VALIDATION_ERROR");
    let shown = app.get(&path).await.ok();
    assert_eq!((&shown["status"], shown["releasedAt"].is_string()), (&json!("released"), true));
    assert_eq!(app.get("/v1/numbers").await.ok()["total"], 0);
    app.check_books().await;

    // Until the carrier has it back nobody can buy it.
    let again = json!({"phoneNumber": "+14155550142"});
    app.post("/v1/numbers").json(again.clone()).await.refused(400);
    app.look_after_numbers().await;
    assert_ne!(buy(&app, again).await["id"], bought["id"]);
    app.check_books().await;
}

#[tokio::test]
async fn anothers_number_looks_absent() {
    let app = sandbox().await;
    let path = format!("/v1/numbers/{}", id(&buy(&app, json!({})).await));
    let other = app.second_account().await;
    for answer in [
        other.get(&path).await,
        other.patch(&path).json(json!({"externalId": "mine"})).await,
        other.delete(&path).await,
        other.get("/v1/numbers/num_nothing").await,
    ] {
        assert_eq!(answer.refused(404).code, "PHONE_NUMBER_NOT_FOUND");
    }
    assert_eq!(app.get(&path).await.ok()["externalId"], Value::Null);
}

#[tokio::test]
async fn a_number_ends_at_its_set_time() {
    let app = sandbox().await;
    let end = app.app.now().plus(Duration::from_secs(3600));
    let path = format!("/v1/numbers/{}", id(&buy(&app, json!({"expiresAt": end})).await));

    app.look_after_numbers().await;
    assert_eq!(app.get(&path).await.ok()["status"], "active");
    app.later(Duration::from_secs(3601));
    app.look_after_numbers().await;
    assert_eq!(app.get(&path).await.ok()["status"], "released");
    app.check_books().await;
}

#[tokio::test]
async fn numbers_on_offer_are_found_by_place() {
    let app = sandbox().await;
    let offered = app.get("/v1/numbers/available?areaCode=415&limit=2").await.ok();
    assert_json_snapshot!(offered);
    buy(&app, json!({"areaCode": "415"})).await;
    let next = app.get("/v1/numbers/available?areaCode=415&limit=1").await.ok();
    assert_eq!(next["data"][0]["phoneNumber"], "+14155550101");
    let near = app.get("/v1/numbers/available?zip=94110&state=CA&city=San%20Francisco").await.ok();
    assert_eq!(near["data"].as_array().unwrap().len(), 20);
    assert_eq!(app.get("/v1/numbers/available?country=JP").await.ok(), json!({"data": []}));
    let bad = app.get("/v1/numbers/available?areaCode=4&country=usa&limit=0").await;
    assert_eq!(bad.bad_fields(), ["country", "areaCode", "limit"]);
    app.get("/v1/numbers/available?country=GB&areaCode=415").await.refused(422);
}

#[tokio::test]
async fn numbers_are_looked_up_together() {
    let app = sandbox().await;
    let found = app.get("/v1/numbers/lookup?phoneNumbers=%2B14152014567%2C%2B447700900123,%2B18005550199").await.ok();
    assert_json_snapshot!(found);
    let many = vec!["%2B14152014567"; 26].join(",");
    for query in ["", "?phoneNumbers=", "?phoneNumbers=,", &format!("?phoneNumbers={many}"), "?phoneNumbers=%2B1415,me"]
    {
        let bad = app.get(&format!("/v1/numbers/lookup{query}")).await;
        assert_eq!(bad.bad_fields(), ["phoneNumbers"]);
    }
}
