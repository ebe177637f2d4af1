//! One who hosts many: sub-accounts on one wallet, keys with scopes, and the log of what was done.

mod keys;
mod log;
mod privacy;
mod wallet;

use serde_json::{Value, json};

use crate::app::{Client, Setup, TestApp, id};

/// An installation where everything costs something.
async fn costly() -> TestApp {
    Setup::default().setting("OFFHOOK__PRICES__SANDBOX_FREE", false).sandbox().start().await
}

impl Client {
    /// A sub-account's requests, made with this account's key.
    async fn child(&self, name: &str) -> Self {
        self.acting_for(&id(&self.post("/v1/sub-accounts").json(json!({"name": name})).await.created()))
    }

    /// The requests of a fresh key of this account with these scopes.
    pub async fn key_for(&self, scopes: &[&str]) -> Self {
        let made = self.post("/v1/keys").json(json!({"name": "for a test", "scopes": scopes})).await.created();
        self.with_secret(made["key"].as_str().unwrap())
    }
}

const OURS: &str = "+14155550100";

fn names(list: &Value) -> Vec<&str> {
    list["data"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn sub_accounts_are_opened_renamed_and_closed() {
    let app = TestApp::start().await;
    let bakery = app.post("/v1/sub-accounts").json(json!({"name": "Bakery"})).await.created();
    app.post("/v1/sub-accounts").json(json!({"name": "Florist"})).await.created();
    assert!(id(&bakery).starts_with("acct_"));
    let mut fields: Vec<&str> = bakery.as_object().unwrap().keys().map(String::as_str).collect();
    fields.sort_unstable();
    assert_eq!(fields, ["createdAt", "id", "name"]);

    let path = format!("/v1/sub-accounts/{}", id(&bakery));
    assert_eq!(app.patch(&path).json(json!({"name": "Bakery & Sons"})).await.ok()["name"], "Bakery & Sons");
    assert_eq!(app.patch(&path).json(json!({})).await.ok()["name"], "Bakery & Sons");
    let list = app.get("/v1/sub-accounts?limit=1").await.ok();
    assert_eq!((names(&list), &list["total"], &list["hasMore"]), (vec!["Florist"], &json!(2), &json!(true)));

    app.delete(&path).await.no_content();
    assert_eq!(names(&app.get("/v1/sub-accounts").await.ok()), ["Florist"]);
    assert_eq!(app.delete(&path).await.refused(404).code, "SUB_ACCOUNT_NOT_FOUND");
    assert_eq!(app.acting_for(&id(&bakery)).get("/v1/usage").await.refused(404).code, "SUB_ACCOUNT_NOT_FOUND");
    for bad in [
        json!({}),
        json!({"name": ""}),
        json!({"name": 5}),
        json!({"name": "x".repeat(101)}),
        json!({"name": " "}),
        json!({"name": "\u{200b}"}),
        json!({"name": "Bank\u{202e}"}),
        json!({"name": "a\nb"}),
    ] {
        assert_eq!(app.post("/v1/sub-accounts").json(bad).await.bad_fields(), ["name"]);
    }
}

#[tokio::test]
async fn what_is_done_for_a_sub_account_is_its_own() {
    let app = costly().await;
    app.credit(50).await;
    let (bakery, florist) = (app.child("Bakery").await, app.child("Florist").await);
    let agent = bakery.post("/v1/agents").json(json!({"name": "Dough"})).await.ok();
    let number = bakery.post("/v1/numbers").json(json!({"agentId": id(&agent)})).await.ok();
    let path = format!("/v1/numbers/{}", id(&number));
    bakery.get(&path).await.ok();
    for other in [app.client(), &florist] {
        assert_eq!(other.get(&path).await.refused(404).code, "PHONE_NUMBER_NOT_FOUND");
        assert_eq!(other.get("/v1/agents").await.ok()["total"], 0);
    }
    // Its own id, a sister's and a stranger's are none of its sub-accounts.
    let own = bakery.key_for(&["admin"]).await;
    own.get(&path).await.ok();
    assert_eq!(app.acting_for(app.account_id()).get("/v1/agents").await.refused(404).code, "SUB_ACCOUNT_NOT_FOUND");
    let stranger = app.second_account().await;
    for nobody in [bakery.account_id(), florist.account_id(), app.account_id(), stranger.account_id()] {
        assert_eq!(own.acting_for(nobody).get(&path).await.refused(404).code, "SUB_ACCOUNT_NOT_FOUND");
    }
    assert_eq!(stranger.acting_for(bakery.account_id()).get(&path).await.refused(404).code, "SUB_ACCOUNT_NOT_FOUND");
    let nonsense = app.get("/v1/agents").header("x-sub-account-id", "nonsense").await;
    assert_eq!(nonsense.refused(404).code, "SUB_ACCOUNT_NOT_FOUND");
    app.get("/v1/agents").header("x-sub-account-id", "").await.ok();
}

#[tokio::test]
async fn a_sub_account_has_none_of_its_own() {
    let app = TestApp::start().await;
    let child = app.child("Child").await;
    assert_eq!(child.post("/v1/sub-accounts").json(json!({"name": "Grandchild"})).await.refused(403).code, "FORBIDDEN");
    assert_eq!(child.get("/v1/sub-accounts").await.ok()["total"], 0);
    assert_eq!(
        child.delete(&format!("/v1/sub-accounts/{}", child.account_id())).await.refused(404).code,
        "SUB_ACCOUNT_NOT_FOUND"
    );
}

#[tokio::test]
async fn an_idempotency_key_is_the_accounts_that_is_acted_on() {
    let app = TestApp::start().await;
    let (one, two) = (app.child("One").await, app.child("Two").await);
    let make = |client: &Client| client.post("/v1/agents").json(json!({"name": "Agent"})).once("the same");
    let (first, second) = (make(&one).await, make(&two).await);
    assert_ne!(id(&first.ok()), id(&second.ok()));
    assert!(!second.replayed());
    let again = make(&one).await;
    assert_eq!((id(&again.ok()), again.replayed()), (id(&first.ok()), true));
}

#[tokio::test]
async fn one_that_holds_numbers_is_not_closed() {
    let app = costly().await;
    app.credit(50).await;
    let child = app.child("Child").await;
    let key = child.key_for(&["read"]).await;
    let number = child.post("/v1/numbers").await.ok();
    let path = format!("/v1/sub-accounts/{}", child.account_id());
    let refused = app.delete(&path).await.refused(409);
    assert_eq!(refused.code, "CONFLICT");
    assert!(refused.message.contains(number["phoneNumber"].as_str().unwrap()), "{}", refused.message);
    key.get("/v1/numbers").await.ok();

    child.delete(&format!("/v1/numbers/{}", id(&number))).await.ok();
    app.delete(&path).await.no_content();
    assert_eq!(key.get("/v1/numbers").await.refused(401).code, "UNAUTHORIZED");
    child.check_books().await;
}

/// What is closed on one node and trusted for a moment longer on another.
#[tokio::test]
async fn a_closed_account_buys_registers_and_makes_keys_no_more() {
    let app = costly().await;
    app.credit(500).await;
    let child = app.child("Child").await;
    let own = child.key_for(&["admin"]).await;
    let other = app.on_another_node();
    let own = other.with_secret(own.secret());
    let acting = other.acting_for(child.account_id());
    let send = async |client: &Client| {
        client.post("/v1/messages").json(json!({"from_number": OURS, "to_number": "+14152011234", "body": "Hi"})).await
    };
    for client in [&own, &acting] {
        client.get("/v1/agents").await.ok();
    }
    app.delete(&format!("/v1/sub-accounts/{}", child.account_id())).await.no_content();
    // It has one that nobody counted, or there would be nothing to send from.
    child.number(OURS).await;
    let wallet = app.wallet().await;
    for client in [&own, &acting] {
        let form = crate::registration::form("sole_proprietor");
        for refused in [
            client.post("/v1/numbers").await,
            client.post("/v1/register").json(form).await,
            client.post("/v1/keys").json(json!({"name": "late"})).await,
            client.post("/v1/verify/send").json(json!({"phone_number": "+14152011234"})).await,
            send(client).await,
        ] {
            assert_eq!(refused.refused(404).code, "SUB_ACCOUNT_NOT_FOUND", "{refused:?}");
        }
    }
    assert_eq!(app.wallet().await, wallet);
    app.check_books().await;
}

#[tokio::test]
async fn what_a_closed_account_holds_of_a_person_is_shown_and_erased_by_its_master() {
    let app = costly().await;
    app.credit(50).await;
    let child = app.child("Child").await;
    let number = child.post("/v1/numbers").await.ok();
    app.is_texted("+14152011234", number["phoneNumber"].as_str().unwrap(), "my secret").await;
    child.delete(&format!("/v1/numbers/{}", id(&number))).await.ok();
    app.delete(&format!("/v1/sub-accounts/{}", child.account_id())).await.no_content();

    let person = json!({"phoneNumber": "+14152011234"});
    let export = child.post("/v1/privacy/export").json(person.clone()).await.ok();
    assert_eq!(export["messages"][0]["body"], "my secret");
    assert_eq!(child.post("/v1/privacy/erase").json(person.clone()).await.ok()["done"], true);
    let export = child.post("/v1/privacy/export").json(person.clone()).await.ok();
    assert_eq!(export["messages"][0]["body"], "");
    assert_eq!(child.get("/v1/audit-log?action=deleteNumber").await.ok()["total"], 1);
    assert_eq!(child.get("/v1/audit-log?action=eraseContact").await.ok()["total"], 1);
    for closed in [child.get("/v1/agents").await, child.post("/v1/keys").json(json!({"name": "late"})).await] {
        assert_eq!(closed.refused(404).code, "SUB_ACCOUNT_NOT_FOUND");
    }
    let stranger = app.second_account().await.acting_for(child.account_id());
    stranger.post("/v1/privacy/export").json(person).await.refused(404);
    stranger.get("/v1/audit-log").await.refused(404);
}

#[tokio::test]
async fn a_limit_that_the_master_set_is_the_masters_to_change() {
    let app = TestApp::start().await;
    let child = app.child("Child").await;
    let own = child.key_for(&["admin"]).await;
    let limit = async |client: &Client, dollars: Value| {
        client.patch("/v1/account").json(json!({"dailySpendLimit": dollars})).await
    };
    let set = limit(&own, json!("5")).await.ok();
    assert_eq!((&set["dailySpendLimit"], &set["dailySpendLimitBy"]), (&json!("5.00"), &json!("account")));
    assert_eq!(limit(&child, json!("5")).await.ok()["dailySpendLimitBy"], "payer");
    for more in [json!("1000"), Value::Null] {
        assert_eq!(limit(&own, more).await.refused(403).code, "FORBIDDEN");
    }
    // What changes nothing is no matter, and neither is the rest.
    limit(&own, json!("5.00")).await.ok();
    let renamed = own.patch("/v1/account").json(json!({"name": "Ours"})).await.ok();
    assert_eq!((&renamed["name"], &renamed["dailySpendLimitBy"]), (&json!("Ours"), &json!("payer")));
    assert_eq!(limit(&child, Value::Null).await.ok()["dailySpendLimitBy"], Value::Null);
    limit(&own, json!("7")).await.ok();
    assert_eq!(limit(&app, json!("9")).await.ok()["dailySpendLimitBy"], "account");
}

#[tokio::test]
async fn an_account_shows_and_changes_what_it_has_set() {
    let app = TestApp::start().await;
    let fresh = app.get("/v1/account").await.ok();
    assert_eq!((&fresh["id"], &fresh["parentId"]), (&json!(app.account_id()), &Value::Null));
    assert_eq!((&fresh["retentionDays"], &fresh["dailySpendLimit"]), (&Value::Null, &Value::Null));

    let wishes = json!({"name": "Ada's", "retentionDays": 30, "dailySpendLimit": "12.5"});
    let set = app.patch("/v1/account").json(wishes).await.ok();
    assert_eq!((&set["name"], &set["retentionDays"]), (&json!("Ada's"), &json!(30)));
    assert_eq!(set["dailySpendLimit"], "12.50");
    let less = app.patch("/v1/account").json(json!({"dailySpendLimit": null})).await.ok();
    assert_eq!((&less["retentionDays"], &less["dailySpendLimit"]), (&json!(30), &Value::Null));
    assert_eq!(app.get("/v1/account").await.ok(), less);

    let bad = json!({"name": "", "retentionDays": 0, "dailySpendLimit": 5});
    assert_eq!(app.patch("/v1/account").json(bad).await.bad_fields(), ["name", "retentionDays", "dailySpendLimit"]);
    let child = app.child("Child").await;
    assert_eq!(child.get("/v1/account").await.ok()["parentId"], json!(app.account_id()));
}
