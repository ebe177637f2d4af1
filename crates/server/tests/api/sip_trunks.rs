//! `/v1/sip-trunks`, and the list of trunks that every node has.

use std::sync::Arc;

use offhook_carriers::sip::SipCarrier;
use offhook_domain::routing::Terms;
use offhook_domain::sip_trunk::MediaEncryption;
use offhook_server::app::App;
use offhook_server::app::carriers::Placed;
use offhook_server::app::trunks::{self, Trunk, WayOut};
use offhook_server::guarded_http::{EgressPolicy, GuardedClient};
use offhook_server::jobs::follow_trunks;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::app::{Client, ScriptedCarrier, Setup, TestApp, id, shape};
use crate::routing::comes_to;

const OURS: &str = "+14155550100";
const ADA: &str = "+14152011234";

async fn made(client: &Client, wish: Value) -> Value {
    client.post("/v1/sip-trunks").json(wish).await.created()
}

fn path(trunk: &Value) -> String {
    format!("/v1/sip-trunks/{}", id(trunk))
}

fn login(trunk: &Value) -> (String, Option<String>) {
    let one = &trunk["credentials"][0];
    let text = |name: &str| one[name].as_str().map(str::to_owned);
    let (password, last4) = (text("password"), text("passwordLast4").unwrap());
    assert!(password.as_ref().is_none_or(|password| password.ends_with(&last4)), "{one}");
    (text("username").unwrap(), password)
}

fn names(trunks: &[Trunk]) -> Vec<&str> {
    trunks.iter().map(|trunk| trunk.name.as_str()).collect()
}

#[tokio::test]
async fn a_trunk_is_made_changed_and_deleted() {
    let app = Setup::default()
        .setting("OFFHOOK__VOICE__SIP__LISTEN", "udp:127.0.0.1:5070")
        .setting("OFFHOOK__VOICE__SIP__DOMAIN", "phone.example.com")
        .setting("OFFHOOK__VOICE__PUBLIC_ADDRESS", "192.0.2.9")
        .start()
        .await;
    let wish = json!({
        "name": "Office",
        "transfers": "sip",
        "transferCallerId": "transferor",
        "origination": {"uris": [
            {"sip_uri": "sip:pbx.example.com;transport=tls", "name": "first", "priority": 1, "weight": 30},
            {"sip_uri": "sip:pbx2.example.com"},
        ]},
        "allowedIps": [{"cidr": "203.0.113.7", "name": "office"}, {"cidr": "203.0.113.77/28"}],
    });
    let office = made(&app, wish).await;
    let random = "(random)";
    insta::assert_json_snapshot!(shape(&office), {
        ".credentials[].username" => random,
        ".credentials[].password" => random,
        ".credentials[].passwordLast4" => random,
    });

    let seen = app.get(&path(&office)).await.ok();
    assert_eq!(login(&seen), (login(&office).0, None), "its password is shown once");
    let plain = made(&app, json!({})).await;
    assert_eq!((&plain["name"], &plain["transfers"]), (&json!("SIP trunk"), &json!("none")));
    assert_eq!((&plain["originationUris"], &plain["allowedIps"]), (&json!([]), &json!([])));
    let listed = app.get("/v1/sip-trunks").await.ok();
    let ids: Vec<String> = listed["data"].as_array().unwrap().iter().map(id).collect();
    assert_eq!((ids, listed["data"][1].clone()), (vec![id(&plain), id(&office)], seen.clone()), "the newest first");

    let change = json!({"transfer_caller_id": "transferee", "origination": {"uris": []}});
    let changed = app.patch(&path(&office)).json(change).await.ok();
    let mut expected = seen;
    (expected["transferCallerId"], expected["originationUris"]) = (json!("transferee"), json!([]));
    assert_eq!(changed, expected, "what isn't sent stays, the password too");

    let gone = app.delete(&path(&office)).await.ok();
    assert_eq!(gone, json!({"success": true, "id": id(&office)}));
    for again in [app.get(&path(&office)).await, app.delete(&path(&office)).await, app.patch(&path(&office)).await] {
        assert_eq!(again.refused(404).code, "SIP_TRUNK_NOT_FOUND");
    }
}

#[tokio::test]
async fn a_patch_with_nothing_in_it_makes_a_new_password() {
    let app = TestApp::start().await;
    let office = made(&app, json!({"name": "Office"})).await;
    let (username, first) = login(&office);
    let rotated = app.patch(&path(&office)).once("rotate").await;
    let (same, second) = login(&rotated.ok());
    assert_eq!(same, username);
    assert!(second.is_some() && second != first);
    let again = app.patch(&path(&office)).once("rotate").await;
    assert_eq!((again.replayed(), login(&again.ok()).1), (true, second.clone()), "who lost the answer gets it again");
    let (_, third) = login(&app.patch(&path(&office)).json(json!({"name": null})).await.ok());
    assert!(third.is_some() && third != second, "null is nothing");
    let mistyped = app.patch(&path(&office)).json(json!({"nmae": "Lobby"})).await.ok();
    assert_eq!((login(&mistyped).1, &mistyped["name"]), (None, &json!("Office")), "a slip costs no password");

    trunks::refresh(&app.app).await.unwrap();
    let known = app.app.trunks.now();
    let kept = known[0].login.as_ref().map(|login| login.password.expose_secret().to_owned());
    assert_eq!(kept, third, "calls are let in by the last one");
}

#[tokio::test]
async fn every_bad_field_is_named() {
    let app = TestApp::start().await;
    let bad = json!({
        "name": "", "transfers": "some", "transferCallerId": 7,
        "origination": {"uris": [{"sip_uri": "tel:+14155550100", "priority": -1, "weight": 0}, "sip:pbx.example.com", {}]},
        "allowedIps": [{"cidr": "0.0.0.0/0"}, {"cidr": "2001:db8::/32"}, {"cidr": "pbx.example.com"}],
    });
    let fields = [
        "name",
        "transfers",
        "transferCallerId",
        "origination.uris.0.sip_uri",
        "origination.uris.0.priority",
        "origination.uris.0.weight",
        "origination.uris.1",
        "origination.uris.2.sip_uri",
        "allowedIps.0.cidr",
        "allowedIps.1.cidr",
        "allowedIps.2.cidr",
    ];
    assert_eq!(app.post("/v1/sip-trunks").json(bad).await.bad_fields(), fields);
    let office = made(&app, json!({})).await;
    for (wish, field) in [
        (json!({"origination": {}}), "origination.uris"),
        (json!({"origination": []}), "origination"),
        (json!({"origination": {"uris": vec![json!({"sip_uri": "sip:a.example.com"}); 21]}}), "origination.uris"),
        (json!({"allowedIps": vec![json!({"cidr": "203.0.113.7"}); 21]}), "allowedIps"),
    ] {
        assert_eq!(app.patch(&path(&office)).json(wish).await.bad_fields(), [field]);
    }
}

#[tokio::test]
async fn the_operators_own_network_is_no_place_to_call() {
    let calls = |uri: &str| json!({"origination": {"uris": [{"sip_uri": uri}]}});
    let strict = GuardedClient::new(EgressPolicy::default()).unwrap();
    let app = Setup::default().guard(strict).start().await;
    for inside in ["sip:127.0.0.1", "sip:localhost", "sip:10.0.0.5:5080", "sip:[::1]", "sip:169.254.169.254"] {
        let refused = app.post("/v1/sip-trunks").json(calls(inside)).await.refused(400);
        assert_eq!(refused.bad_fields, ["origination"], "{inside}");
    }
    let opened = TestApp::start().await;
    made(&opened, calls("sip:127.0.0.1:5080")).await;
}

#[tokio::test]
async fn an_account_has_twenty() {
    let app = TestApp::start().await;
    for _ in 0..20 {
        made(&app, json!({})).await;
    }
    let refused = app.post("/v1/sip-trunks").json(json!({})).await.refused(400);
    assert!(refused.message.contains("limit of 20"), "{}", refused.message);
    made(&app.second_account().await, json!({})).await;
}

#[tokio::test]
async fn another_node_hears_of_every_change() {
    let app = TestApp::start().await;
    let (other, stop) = (app.next_process(), CancellationToken::new());
    let mut told = other.trunks.subscribe();
    let mut workers = JoinSet::new();
    workers.spawn(follow_trunks::run(other.clone(), stop.clone()));

    let office = made(&app, json!({"allowedIps": [{"cidr": "203.0.113.7"}]})).await;
    told.changed().await.unwrap();
    let known = other.trunks.now();
    assert_eq!(names(&known), [id(&office)]);
    let ways: Vec<_> = known[0].ways_in.iter().map(|way| (way.networks.len(), way.login.is_some())).collect();
    assert_eq!(ways, [(1, false), (0, true)], "by its network or by its login, either is enough");
    app.delete(&path(&office)).await.ok();
    told.changed().await.unwrap();
    assert_eq!(*other.trunks.now(), []);

    stop.cancel();
    assert!(matches!(workers.join_next().await, Some(Ok(Ok(())))));
}

#[tokio::test]
async fn a_customers_trunk_is_for_its_own_account_only() {
    let app = TestApp::start().await;
    let (ada, bob) = (app.account.clone(), app.second_account().await);
    let office = made(&app, json!({"origination": {"uris": [{"sip_uri": "sip:pbx.example.com"}]}})).await;
    trunks::refresh(&app.app).await.unwrap();
    let known = &app.app.trunks;
    let way = |home: &str, account| match known.way_out(home, account) {
        WayOut::Trunks(trunks) => names(&trunks).join(","),
        other => format!("{other:?}"),
    };
    assert_eq!(way("twilio", &ada), id(&office));
    assert_eq!(way("twilio", &bob.account), "None");
    assert_eq!(way("sandbox", &ada), "Sandbox", "of the sandbox's numbers nothing goes out");
    let over = [id(&office)];
    assert!(known.may_bring(&over, "twilio", &ada) && !known.may_bring(&over, "twilio", &bob.account));
    assert!(!known.may_bring(&[], "twilio", &ada));
}

const CARRIERS: &str = r#"
[voice.sip]
listen = ["udp:127.0.0.1:0"]
[carriers.pbx]
kind = "sip"
carries_for = ["smsc"]
targets = ["sip:sbc.example.com"]
networks = ["192.0.2.0/24"]
inbound_username = "them"
inbound_password = "env:THEIRS"
srtp = "always"
[carriers.smsc]
kind = "smpp"
address = "127.0.0.1:1"
system_id = "offhook"
password = "env:THEIRS"
"#;

async fn with_carriers(sandbox: bool) -> (App, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("offhook.toml");
    std::fs::write(&file, CARRIERS).unwrap();
    let setup = Setup::default()
        .setting("OFFHOOK_CONFIG", file.display())
        .setting("THEIRS", "hunter2")
        .setting("OFFHOOK__MODE__SANDBOX", sandbox);
    let app = setup.start().await;
    trunks::refresh(&app.app).await.unwrap();
    let found = app.app.clone();
    app.forget().await;
    (found, folder)
}

#[tokio::test]
async fn the_operators_carriers_carry_calls_of_their_numbers_and_of_those_they_carry_for() {
    let (app, _folder) = with_carriers(false).await;
    let known = app.trunks.now();
    assert_eq!(names(&known), ["pbx"]);
    assert_eq!(known[0].srtp, MediaEncryption::Always);
    let [way] = known[0].ways_in.as_slice() else { panic!("{:?}", known[0].ways_in) };
    assert_eq!((way.networks.len(), way.login.is_some()), (1, true), "its network and its login");
    assert!(!format!("{known:?}").contains("hunter2"));
    let anybody = offhook_domain::Id::generate(app.now());
    for home in ["pbx", "smsc"] {
        assert!(matches!(app.trunks.way_out(home, &anybody), WayOut::Trunks(trunks) if names(&trunks) == ["pbx"]));
        assert!(app.trunks.may_bring(&["pbx".to_owned()], home, &anybody));
    }
    assert_eq!(app.trunks.way_out("other", &anybody), WayOut::None);
    assert!(!app.trunks.may_bring(&["pbx".to_owned()], "other", &anybody));
}

#[tokio::test]
async fn in_a_sandbox_no_carrier_carries_calls() {
    let (app, _folder) = with_carriers(true).await;
    assert_eq!(*app.trunks.now(), []);
}

#[tokio::test]
async fn a_number_that_only_calls_says_so_before_anything_is_charged() {
    let app = Setup::default().carriers_of(vec![Arc::new(SipCarrier::new("sandbox"))]).start().await;
    let number = app.number(OURS).await;
    let text = json!({"number_id": number.to_string(), "to_number": ADA, "body": "hello"});
    let wallet = app.wallet().await;
    let refused = app.post("/v1/messages").json(text).await.refused(400);
    assert_eq!((refused.code.as_str(), app.wallet().await), ("TEXTS_UNSUPPORTED", wallet));
}

#[tokio::test]
async fn texts_of_a_number_that_only_calls_go_by_who_carries_them_for_it() {
    let second = ScriptedCarrier::named("second");
    let other = second.clone();
    let setup = Setup::default().placed(move |_, _| {
        let calls = Terms { calls_only: true, ..Terms::default() };
        let carries = Terms { carries_for: vec!["sandbox".to_owned()], ..Terms::default() };
        vec![
            Placed { terms: calls, ..Placed::anywhere(Arc::new(SipCarrier::new("sandbox"))) },
            Placed { terms: carries, ..Placed::anywhere(other) },
        ]
    });
    let app = setup.start().await;
    let number = app.number(OURS).await;
    let app = app.working();
    let text = json!({"number_id": number.to_string(), "to_number": ADA, "body": "hello"});
    let sent = id(&app.post("/v1/messages").json(text).await.ok());
    comes_to(&app.app, &sent, "sent").await;
    assert_eq!(second.asked().len(), 1);
}
