//! Two accounts on one installation. Whatever names a thing is tried with the other's ids, on every route of the OpenAPI
//! document, and must look as if the thing had never been.
//!
//! `plan` reads the document and knows of every name in it whether it names a thing; one that it does not know fails
//! these tests, so that no route goes untried. `household` fills an account with one of everything.

mod household;
mod plan;
mod scopes;

use std::collections::BTreeSet;

use axum::http::Method;
use serde_json::{Value, json};

use crate::app::{Answer, Setup, TestApp};
use household::{Household, everything};
use offhook_testkit::webhook_receiver::WebhookReceiver;
use plan::{Kind, Plan, Slot, operations, plan};

/// An installation where everything costs something, and two accounts that have everything.
struct Street {
    app: TestApp,
    /// Where everybody's events go.
    _endpoint: WebhookReceiver,
    plans: Vec<Plan>,
    ada: Household,
    bob: Household,
}

impl Street {
    async fn open() -> Self {
        let setup = Setup::default().sandbox().setting("OFFHOOK__PRICES__SANDBOX_FREE", false);
        let app = setup.start().await;
        let document = serde_json::to_value(&app.document).unwrap();
        let plans: Vec<Plan> =
            operations(&document).iter().map(|operation| plan(&document, operation).unwrap()).collect();
        let (ada, bob) = (app.client().clone(), app.second_account().await);
        let endpoint = WebhookReceiver::start().await;
        let ada = Household::furnish(&app, ada, &endpoint, "ada-of-the-hill", "+14152010001").await;
        let bob = Household::furnish(&app, bob, &endpoint, "bob-of-the-vale", "+12122010002").await;
        Self { app, _endpoint: endpoint, plans, ada, bob }
    }

    /// What needs a key.
    fn plans(&self) -> impl Iterator<Item = &Plan> {
        self.plans.iter().filter(|plan| plan.operation.needs_key)
    }
}

#[tokio::test]
async fn ids_of_another_account_look_like_ids_of_nothing() {
    let street = Street::open().await;
    let before = everything(&street.ada, &street.plans).await;
    let marks = street.ada.marks(&before);
    let mut tried = 0;
    for plan in street.plans() {
        for slots in plan.trials() {
            for nth in 0..2 {
                let others = street.ada.ids(slots[0].kind).len();
                if nth >= others {
                    continue;
                }
                let wallet = street.bob.client.wallet().await;
                let foreign = ask(&street.bob, plan, &slots, |kind| street.ada.id(kind, nth)).await;
                let nobodys = ask(&street.bob, plan, &slots, |kind| kind.nobody().to_owned()).await;
                let told = format!("{} {slots:?}", plan.operation.name);
                assert_eq!(foreign.0, nobodys.0, "{told}");
                assert!((400..500).contains(&foreign.0.0) || plan.is_harmless(&slots), "{told}: {foreign:?}");
                if (400..500).contains(&foreign.0.0) {
                    assert_eq!(street.bob.client.wallet().await, wallet, "{told} cost something");
                }
                let leak = marks.iter().find(|mark| foreign.1.contains(mark.as_str()));
                assert_eq!(leak, None, "{told} tells of it: {}", foreign.1);
                tried += 1;
            }
        }
    }
    assert!(tried > 60, "only {tried} requests were tried");
    assert_eq!(everything(&street.ada, &street.plans).await, before, "something was changed");
    street.ada.client.check_books().await;
    street.bob.client.check_books().await;
}

/// Status and masked body, and the body without what was asked for.
async fn ask(asking: &Household, plan: &Plan, slots: &[Slot], id: impl Fn(Kind) -> String) -> ((u16, Value), String) {
    let names: Vec<String> = slots.iter().map(|slot| id(slot.kind)).collect();
    let answer = plan.request(asking, slots, &names).await;
    let mut text = answer.text.clone();
    for name in &names {
        text = text.replace(name.as_str(), "(asked)").replace(name.trim_start_matches('+'), "(asked)");
    }
    ((answer.status.as_u16(), masked(&text)), text)
}

/// A body without what differs from one request to the next.
fn masked(text: &str) -> Value {
    let body: Value = serde_json::from_str(text).unwrap_or_else(|_| json!(text));
    let mut body = crate::app::shape(&body);
    if let Some(id) = body.pointer_mut("/error/requestId") {
        *id = json!("(request)");
    }
    body
}

#[tokio::test]
async fn lists_and_sums_of_one_account_show_nothing_of_another() {
    let street = Street::open().await;
    let adas = everything(&street.ada, &street.plans).await;
    let bobs = everything(&street.bob, &street.plans).await;
    let (marks_of_ada, marks_of_bob) = (street.ada.marks(&adas), street.bob.marks(&bobs));
    assert!(marks_of_ada.len() > 20, "{marks_of_ada:?}");
    for (marks, shown) in [(&marks_of_ada, &bobs), (&marks_of_bob, &adas)] {
        for (path, body) in shown {
            let leak = marks.iter().find(|mark| body.to_string().contains(mark.as_str()));
            assert_eq!(leak, None, "{path} shows it: {body}");
        }
    }
}

#[tokio::test]
async fn an_account_that_has_nothing_sees_nothing_whatever_others_do() {
    let setup = Setup::default().sandbox().setting("OFFHOOK__PRICES__SANDBOX_FREE", false);
    let app = setup.start().await;
    let document = serde_json::to_value(&app.document).unwrap();
    let plans: Vec<Plan> = operations(&document).iter().map(|operation| plan(&document, operation).unwrap()).collect();
    let nothing = Household::empty(app.second_account().await);
    let before = everything(&nothing, &plans).await;
    let endpoint = WebhookReceiver::start().await;
    Household::furnish(&app, app.client().clone(), &endpoint, "ada-of-the-hill", "+14152010001").await;
    let after = everything(&nothing, &plans).await;
    // What is on offer, somebody else may have bought.
    for (path, body) in before.iter().filter(|(path, _)| !path.starts_with("/v1/numbers/available")) {
        assert_eq!(Some(body), after.get(path), "{path}");
    }
    assert!(before.len() > 15, "{:?}", before.keys());
}

#[tokio::test]
async fn the_header_of_sub_accounts_opens_no_other_account() {
    let street = Street::open().await;
    let before = (everything(&street.ada, &street.plans).await, everything(&street.bob, &street.plans).await);
    let ada = street.ada.client.account.to_string();
    for plan in street.plans() {
        let mut told = BTreeSet::new();
        for account in [ada.as_str(), "acct_06ck3v0w2e8zg1m8t4q7x5n9ra", "acct_", "*", "null"] {
            let call = plan.call(&street.bob, &[], &[]).header("x-sub-account-id", account);
            let answer = call.await;
            assert_eq!(answer.refused(404).code, "SUB_ACCOUNT_NOT_FOUND", "{}", plan.operation.name);
            told.insert(masked(&answer.text).to_string());
        }
        assert_eq!(told.len(), 1, "{told:?}");
    }
    let after = (everything(&street.ada, &street.plans).await, everything(&street.bob, &street.plans).await);
    assert!(before.0 == after.0, "something was changed");
    for (path, body) in &after.1 {
        // That he tried is in his log.
        assert_eq!(before.1.get(path) != Some(body), path.starts_with("/v1/audit-log"), "{path}");
    }
}

#[tokio::test]
async fn one_idempotency_key_of_two_accounts_is_two_keys() {
    let street = Street::open().await;
    let adas = everything(&street.ada, &street.plans).await;
    let marks = street.ada.marks(&adas);
    let changing = street.plans().filter(|plan| plan.operation.method != Method::GET);
    // What takes things away comes last, so that the others find them.
    let (last, first): (Vec<_>, Vec<_>) = changing.partition(|plan| plan.operation.method == Method::DELETE);
    let mut done = 0;
    for plan in first.into_iter().chain(last) {
        let key = format!("key of {}", plan.operation.name);
        let adas = plan.call(&street.ada, &[], &[]).once(&key).await;
        let bobs = plan.call(&street.bob, &[], &[]).once(&key).await;
        assert!(!adas.replayed() && !bobs.replayed(), "{}: {bobs:?}", plan.operation.name);
        assert_ne!(code(&bobs), "IDEMPOTENCY_KEY_REUSED", "{}", plan.operation.name);
        assert_eq!(adas.status, bobs.status, "{}: {adas:?} {bobs:?}", plan.operation.name);
        let leak = marks.iter().find(|mark| bobs.text.contains(mark.as_str()));
        assert_eq!(leak, None, "{}: {bobs:?}", plan.operation.name);
        done += usize::from(adas.status.is_success());
        // Each has its own again.
        for (household, first) in [(&street.ada, &adas), (&street.bob, &bobs)] {
            let again = plan.call(household, &[], &[]).once(&key).await;
            assert_eq!((again.status, &again.text, again.replayed()), (first.status, &first.text, true));
        }
    }
    assert!(done > 15, "only {done} changes were made");
}

fn code(answer: &Answer) -> String {
    let body: Value = serde_json::from_str(&answer.text).unwrap_or_default();
    body["error"]["code"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn nothing_is_shown_or_done_without_a_key() {
    let street = Street::open().await;
    let before = everything(&street.ada, &street.plans).await;
    let marks = street.ada.marks(&before);
    let strangers = [
        street.app.stranger(),
        street.app.with_key(&street.ada.client.account, "sk_test_of_nobody"),
        street.app.with_key(&street.ada.client.account, street.ada.client.account.to_string().as_str()),
    ];
    for plan in street.plans() {
        for stranger in &strangers {
            let household = street.ada.as_asked_by(stranger.clone());
            let answer = plan.call(&household, &[], &[]).await;
            assert_eq!(answer.refused(401).code, "UNAUTHORIZED", "{}", plan.operation.name);
            assert!(!marks.iter().any(|mark| answer.text.contains(mark.as_str())), "{answer:?}");
        }
    }
    assert_eq!(everything(&street.ada, &street.plans).await, before);
}

/// These tests try what they know. What they don't know must stop them.
#[tokio::test]
async fn a_route_that_names_something_new_is_not_passed_over() {
    let app = TestApp::start().await;
    let document = serde_json::to_value(&app.document).unwrap();
    let refusal = |change: &dyn Fn(&mut Value)| {
        let mut changed = document.clone();
        change(&mut changed);
        let refused = operations(&changed).iter().find_map(|operation| plan(&changed, operation).err());
        refused.unwrap_or_else(|| panic!("it is passed over"))
    };
    let wire = || {
        json!({"get": {"operationId": "getWire", "parameters": [
        {"name": "id", "in": "path", "required": true, "schema": {"type": "string"}}]}})
    };

    let of_path = refusal(&|document| document["paths"]["/v1/wires/{id}"] = wire());
    assert_eq!(of_path, "getWire: what {id} behind \"wires\" names is not known");
    let of_query = refusal(&|document| {
        let parameters = &mut document["paths"]["/v1/numbers"]["get"]["parameters"];
        parameters.as_array_mut().unwrap().push(json!({"name": "wireId", "in": "query"}));
    });
    assert_eq!(of_query, "listNumbers: whether \"wireId\" names a thing is not known");
    let of_body = refusal(&|document| {
        document["components"]["schemas"]["UpdateNumber"]["properties"]["wireId"] = json!({"type": "string"});
    });
    assert_eq!(of_body, "updateNumber: whether \"wireId\" names a thing is not known");
    let of_new_body = refusal(&|document| {
        document["paths"]["/v1/agents/{id}"]["patch"]["operationId"] = json!("rewireAgent");
    });
    assert_eq!(of_new_body, "rewireAgent: no body for it is known");
}
