//! `/v1/location`

use serde_json::{Value, json};

use crate::app::TestApp;

#[tokio::test]
async fn a_carrier_that_cannot_tell_is_not_made_to() {
    let app = TestApp::with_sandbox().await;
    app.number("+14155550100").await;

    let told = app.get("/v1/location/+14155550100").await.ok();
    assert_eq!((&told["phoneNumber"], &told["status"]), (&json!("+14155550100"), &json!("unsupported")));
    assert_eq!(told["lastUpdated"], 0);
    assert_eq!([&told["latitude"], &told["longitude"]], [&Value::Null, &Value::Null]);
    let refreshed = app.post("/v1/location/refresh").await.ok();
    assert_eq!(refreshed, json!({"success": false, "pollAfterSeconds": null}));
}

#[tokio::test]
async fn only_ones_own_numbers_are_looked_for() {
    let app = TestApp::with_sandbox().await;
    let number = app.number("+14155550100").await;
    let other = app.second_account().await;

    for path in ["+14155550100", "+14155550199", "nonsense", "%FF"] {
        let answer = other.get(&format!("/v1/location/{path}")).await;
        assert_eq!(answer.refused(404).code, "PHONE_NUMBER_NOT_FOUND", "{path}");
    }
    app.release(&number).await;
    assert_eq!(app.get("/v1/location/+14155550100").await.ok()["status"], "unsupported");
}

#[tokio::test]
async fn rubbish_is_no_wish_for_a_location() {
    let app = TestApp::start().await;
    app.post("/v1/location/refresh").await.ok();
    app.post("/v1/location/refresh").json(serde_json::json!({"anything": 1})).await.ok();
    for rubbish in ["[]", "{", "5"] {
        let asked = app.post("/v1/location/refresh").header("content-type", "application/json").text(rubbish);
        assert_eq!(asked.await.bad_fields(), ["body"], "{rubbish}");
    }
}
