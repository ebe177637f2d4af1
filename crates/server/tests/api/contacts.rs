//! `/v1/contacts`

use insta::assert_json_snapshot;
use serde_json::{Value, json};

use crate::app::{Client, TestApp, id, shape};

async fn contact(client: &Client, phone_number: &str, name: &str) -> Value {
    client.post("/v1/contacts").json(json!({"phoneNumber": phone_number, "name": name})).await.created()
}

fn path(contact: &Value) -> String {
    format!("/v1/contacts/{}", id(contact))
}

#[tokio::test]
async fn a_contact_is_added_changed_and_removed() {
    let app = TestApp::start().await;
    let wish = json!({"phoneNumber": "(415) 201-1234", "name": "Ada Lovelace", "email": "ada@example.org",
        "notes": "Window seat"});

    let made = app.post("/v1/contacts").json(wish).await.created();
    assert_json_snapshot!(shape(&made));
    assert_eq!(app.get(&path(&made)).await.ok(), made);

    let changed = app.patch(&path(&made)).json(json!({"name": "Ada King", "notes": null})).await.ok();
    let mut expected = made.clone();
    expected["name"] = json!("Ada King");
    expected["notes"] = Value::Null;
    expected["updatedAt"] = changed["updatedAt"].clone();
    assert_eq!(changed, expected);
    assert!(changed["updatedAt"].as_str() > made["updatedAt"].as_str());
    assert_eq!(app.get(&path(&made)).await.ok(), changed);

    app.delete(&path(&made)).await.no_content();
    assert_eq!(app.get(&path(&made)).await.refused(404).code, "CONTACT_NOT_FOUND");
    app.patch(&path(&made)).json(json!({"name": "Ada"})).await.refused(404);
    app.delete(&path(&made)).await.refused(404);
}

#[tokio::test]
async fn a_change_leaves_what_was_not_sent() {
    let app = TestApp::start().await;
    let ada = contact(&app, "+14152011234", "Ada").await;
    let filled = json!({"email": "ada@example.org", "notes": "Window seat"});
    app.patch(&path(&ada)).json(filled).await.ok();

    let same = app.patch(&path(&ada)).json(json!({"name": null, "phoneNumber": null})).await.ok();
    assert_eq!([&same["name"], &same["phoneNumber"]], ["Ada", "+14152011234"]);
    assert_eq!([&same["email"], &same["notes"]], ["ada@example.org", "Window seat"]);

    let cleared = app.patch(&path(&ada)).json(json!({"email": "", "phoneNumber": "415-201-1235"})).await.ok();
    assert_eq!([&cleared["email"], &cleared["phoneNumber"]], [&Value::Null, &json!("+14152011235")]);
}

#[tokio::test]
async fn a_number_is_kept_once() {
    let app = TestApp::start().await;
    let ada = contact(&app, "+14152011234", "Ada").await;
    let ben = contact(&app, "+14152011235", "Ben").await;

    for spelling in ["+14152011234", "(415) 201-1234"] {
        let again = app.post("/v1/contacts").json(json!({"phoneNumber": spelling, "name": "Ada"})).await;
        assert_eq!(again.refused(409).code, "CONFLICT");
    }
    let taken = app.patch(&path(&ben)).json(json!({"phoneNumber": "+14152011234", "name": "Ada"})).await;
    assert_eq!(taken.refused(409).code, "CONFLICT");
    assert_eq!(app.get(&path(&ben)).await.ok(), ben);

    // Its own number is no duplicate; nor is another account's.
    app.patch(&path(&ada)).json(json!({"phoneNumber": "+14152011234"})).await.ok();
    contact(&app.second_account().await, "+14152011234", "Ada").await;
}

#[tokio::test]
async fn every_bad_field_is_named() {
    let app = TestApp::start().await;
    let ada = contact(&app, "+14152011234", "Ada").await;
    let bad = json!({"phoneNumber": "not a number", "name": "", "email": "ada", "notes": 5});

    let names = ["phoneNumber", "name", "email", "notes"];
    assert_eq!(app.post("/v1/contacts").json(bad.clone()).await.bad_fields(), names);
    assert_eq!(app.patch(&path(&ada)).json(bad).await.bad_fields(), names);
    assert_eq!(app.post("/v1/contacts").json(json!({})).await.bad_fields(), ["phoneNumber", "name"]);
    assert_eq!(app.get("/v1/contacts?limit=201&offset=-1").await.bad_fields(), ["limit", "offset"]);
    let long = "x".repeat(201);
    assert_eq!(app.get(&format!("/v1/contacts?search={long}")).await.bad_fields(), ["search"]);
}

#[tokio::test]
async fn contacts_are_found_by_name_or_number() {
    let app = TestApp::start().await;
    contact(&app, "+14152011234", "Ada Ärger").await;
    contact(&app, "+14152015678", "Ben 100%").await;
    contact(&app, "+442079460000", "Cleo_x").await;

    for (search, expected) in [
        ("ada", vec!["Ada Ärger"]),
        ("ÄRG", vec!["Ada Ärger"]),
        ("415201", vec!["Ben 100%", "Ada Ärger"]),
        ("%2B44", vec!["Cleo_x"]),
        ("100%25", vec!["Ben 100%"]),
        ("o_x", vec!["Cleo_x"]),
        ("__", vec![]),
        ("!", vec![]),
        ("nobody", vec![]),
        ("", vec!["Cleo_x", "Ben 100%", "Ada Ärger"]),
    ] {
        let found = app.get(&format!("/v1/contacts?search={}", search.replace('Ä', "%C3%84"))).await.ok();
        let names: Vec<_> = found["data"].as_array().unwrap().iter().map(|c| c["name"].as_str().unwrap()).collect();
        assert_eq!((names, &found["total"]), (expected.clone(), &json!(expected.len())), "{search}");
    }
}

#[tokio::test]
async fn contacts_are_listed_page_by_page() {
    let app = TestApp::start().await;
    for n in 0..5 {
        contact(&app, &format!("+1415201000{n}"), &format!("Guest {n}")).await;
    }

    let first = app.get("/v1/contacts?limit=2&search=guest").await.ok();
    let last = app.get("/v1/contacts?limit=2&offset=4&search=guest").await.ok();

    assert_eq!((&first["data"][0]["name"], &first["hasMore"]), (&json!("Guest 4"), &json!(true)));
    assert_eq!(
        (&last["data"][0]["name"], &last["hasMore"], &last["total"]),
        (&json!("Guest 0"), &json!(false), &json!(5))
    );
    assert_eq!(app.get("/v1/contacts?limit=200").await.ok()["total"], 5);
}

#[tokio::test]
async fn anothers_contact_looks_absent() {
    let app = TestApp::start().await;
    let ada = contact(&app, "+14152011234", "Ada").await;
    let other = app.second_account().await;

    let tries = [
        other.get(&path(&ada)).await,
        other.patch(&path(&ada)).json(json!({"name": "Mine"})).await,
        other.delete(&path(&ada)).await,
        other.get("/v1/contacts/contact_nonsense").await,
    ];
    for answer in tries {
        assert_eq!(answer.refused(404).code, "CONTACT_NOT_FOUND");
    }
    assert_eq!(other.get("/v1/contacts?search=ada").await.ok()["total"], 0);
    assert_eq!(app.get(&path(&ada)).await.ok(), ada);
}

#[tokio::test]
async fn what_a_number_can_receive_is_told() {
    let app = TestApp::start().await;

    let told = app.get("/v1/contacts/capabilities?phone_number=%2B14152011234").await.ok();
    assert_json_snapshot!(shape(&told));
    // A landline of London.
    let told = app.get("/v1/contacts/capabilities?phone_number=%2B442079460000").await.ok();
    assert_eq!(told["capabilities"]["sms"], false);

    for query in ["", "?phone_number=", "?phone_number=x", "?phoneNumber=%2B14152011234"] {
        let refused = app.get(&format!("/v1/contacts/capabilities{query}")).await;
        assert_eq!(refused.bad_fields(), ["phone_number"], "{query}");
    }
}

#[tokio::test]
async fn the_same_key_adds_and_removes_once() {
    let app = TestApp::start().await;
    let wish = json!({"phoneNumber": "+14152011234", "name": "Ada"});

    let first = app.post("/v1/contacts").json(wish.clone()).once("add").await;
    let second = app.post("/v1/contacts").json(wish.clone()).once("add").await;
    assert_eq!((second.created(), second.replayed()), (first.created(), true));

    let refused = app.post("/v1/contacts").json(wish.clone()).once("again").await;
    let ada = first.created();
    app.delete(&path(&ada)).once("remove").await.no_content();
    let removed = app.delete(&path(&ada)).once("remove").await;
    removed.no_content();
    assert!(removed.replayed());

    let replayed = app.post("/v1/contacts").json(wish).once("again").await;
    assert_eq!((replayed.refused(409).message, replayed.replayed()), (refused.refused(409).message, true));
}
