//! Registration with the US carriers: what is asked for, who decides, and what numbers may do meanwhile.

use std::time::Duration;

use offhook_server::app::registration::{self, CampaignCommand, CampaignReport};
use offhook_server::config::Config;
use serde_json::{Value, json};

use crate::app::{Setup, TestApp, id};

/// A form with nothing wrong in it.
pub fn form(registration_type: &str) -> Value {
    let mut form = json!({
        "registration_type": registration_type,
        "first_name": "Ada",
        "last_name": "Baker",
        "email": "ada@example.com",
        "phone_number": "(415) 555-0100",
        "street_address": "1 Main Street",
        "city": "San Francisco",
        "state": "CA",
        "zip_code": "94103",
        "description": "Order updates and answers to questions for customers of a bakery.",
        "use_cases": ["customer_care", "delivery_notification"],
        "message_samples": ["Ada's Bakery: your order is ready.", "Ada's Bakery: we are closed tomorrow."],
        "consent_flow": "Customers tick a box at the counter that asks for text messages.",
        "opt_in_image_url": "https://example.com/opt-in.png",
        "create_sub_account": false,
    });
    if registration_type != "sole_proprietor" {
        let brand = json!({
            "business_name": "Ada's Bakery LLC",
            "organization_type": "llc",
            "contact_title": "ceo",
            "ein": "12-3456789",
            "website_url": "https://example.com",
            "industry": "food",
        });
        form.as_object_mut().unwrap().extend(brand.as_object().unwrap().clone());
    }
    form
}

fn with(mut form: Value, field: &str, value: Value) -> Value {
    form[field] = value;
    form
}

/// The sandbox, where US numbers need a registration.
async fn strict() -> TestApp {
    Setup::default().setting("OFFHOOK__REGISTRATION__REQUIRED_IN_SANDBOX", true).sandbox().start().await
}

impl TestApp {
    /// Lets the carrier decide.
    async fn decide(&self) -> Value {
        self.later(Duration::from_secs(10));
        registration::ask_carriers(&self.app).await.unwrap();
        self.get("/v1/register/status").await.ok()
    }

    async fn operator(&self, command: CampaignCommand) -> CampaignReport {
        registration::run(&self.app.store, &*self.app.clock, command).await
    }
}

#[tokio::test]
async fn a_number_sends_once_the_carrier_has_approved() {
    let app = strict().await;
    let number = app.post("/v1/numbers").await.ok();
    assert_eq!(number["outboundSms"], "registration_required");
    let send = || {
        let text = json!({"number_id": id(&number), "to_number": "+12015550199", "body": "hello"});
        app.post("/v1/messages").json(text)
    };
    let refused = send().await.refused(400);
    assert!(refused.message.contains("/v1/register"), "{}", refused.message);
    assert_eq!(app.get("/v1/register/status").await.ok()["campaign_status"], "none");

    let handed = app.post("/v1/register").json(form("sole_proprietor")).await.ok();
    assert_eq!(handed["campaign_status"], "pending");
    assert_eq!(handed["sub_account_id"], Value::Null);
    let path = format!("/v1/numbers/{}", id(&number));
    assert_eq!(app.get(&path).await.ok()["outboundSms"], "activating");
    assert!(send().await.refused(400).message.contains("looked at"));
    app.is_texted("+12015550199", number["phoneNumber"].as_str().unwrap(), "are you there?").await;

    assert_eq!(app.decide().await["campaign_status"], "approved");
    assert_eq!(app.get(&path).await.ok()["outboundSms"], "enabled");
    assert_eq!(app.get("/v1/numbers").await.ok()["data"][0]["outboundSms"], "enabled");
    let sent = send().await.ok();
    assert!(sent["estimated_send_at"].is_string(), "{sent}");
    let detail = app.get("/v1/register").await.ok();
    assert_eq!((&detail["messages_per_second"], &detail["segments_per_day"]), (&json!(2.25), &json!(3000)));
    assert_eq!(detail["phone_number"], "+14155550100");
}

#[tokio::test]
async fn every_rule_that_is_broken_is_named_in_one_answer() {
    let app = strict().await;
    let fields =
        app.post("/v1/register").json(json!({"registration_type": "standard_brand"})).await.refused(422).bad_fields;
    for field in ["first_name", "email", "state", "use_cases", "message_samples", "consent_flow", "ein", "website_url"]
    {
        assert!(fields.iter().any(|one| one == field), "{field} in {fields:?}");
    }
    let bad = [
        ("email", json!("nobody")),
        ("phone_number", json!("123")),
        ("ein", json!("12-345678")),
        ("website_url", json!("http://example.com")),
        ("use_cases", json!(["gossip"])),
        ("message_samples", json!(["Only one that is long enough."])),
        ("description", json!("short")),
        ("state", json!("California")),
        ("zip_code", json!("9410")),
        ("contact_title", json!("other")),
        ("includes", json!(["links"])),
        ("volume", json!("high")),
        ("planned_numbers", json!(50)),
    ];
    let all = bad.iter().fold(form("standard_brand"), |form, (field, value)| with(form, field, value.clone()));
    let mut fields = app.post("/v1/register").json(all).await.refused(422).bad_fields;
    fields.sort();
    fields.dedup();
    let mut wanted: Vec<_> = bad.iter().map(|(field, _)| (*field).to_owned()).collect();
    wanted.retain(|field| field != "contact_title" && field != "includes");
    wanted.extend(["contact_title_other".to_owned(), "link_sample".to_owned()]);
    wanted.sort();
    assert_eq!(fields, wanted);
    let sole = with(form("sole_proprietor"), "ein", json!("123456789"));
    assert_eq!(app.post("/v1/register").json(sole).await.refused(422).bad_fields, ["ein"]);
}

#[tokio::test]
async fn a_rejected_one_is_corrected_and_handed_in_again() {
    let app = strict().await;
    app.post("/v1/register").json(with(form("high_volume"), "business_name", json!("REJECT me"))).await.ok();
    app.post("/v1/register").json(form("high_volume")).await.refused(409);
    let changed = app.patch("/v1/register").json(json!({"city": "Oakland"})).await.ok();
    assert_eq!((&changed["campaign_status"], &changed["fee_cents"]), (&json!("pending"), &json!(0)));
    assert_eq!(app.get("/v1/register").await.ok()["city"], "Oakland");
    let status = app.decide().await;
    assert_eq!((&status["campaign_status"], &status["stage"]), (&json!("rejected"), &json!("action_required")));
    assert!(status["message"].as_str().unwrap().contains("REJECT"), "{status}");

    let bad = app.patch("/v1/register").json(json!({"ein": "nine", "state": "XX"})).await.refused(422);
    assert_eq!(bad.bad_fields, ["ein"]);
    let again = app.patch("/v1/register").json(json!({"business_name": "HIGHEST TRUST Inc"})).await.ok();
    assert_eq!((&again["campaign_status"], &again["fee_cents"]), (&json!("pending"), &json!(0)));
    assert_eq!(app.decide().await["campaign_status"], "approved");
    let detail = app.get("/v1/register").await.ok();
    assert_eq!((&detail["messages_per_second"], &detail["campaign_class"]), (&json!(225.0), &json!("highest_trust")));
    assert_eq!(detail["ein"], "**-***6789");
}

#[tokio::test]
async fn an_approved_one_changes_its_links_and_nothing_that_it_was_judged_by() {
    let app = strict().await;
    app.patch("/v1/register").json(json!({"city": "Oakland"})).await.refused(404);
    app.post("/v1/register").json(form("sole_proprietor")).await.ok();
    app.decide().await;
    app.post("/v1/register").json(form("sole_proprietor")).await.refused(409);
    assert!(app.patch("/v1/register").json(json!({"city": "Oakland"})).await.refused(400).message.contains("city"));
    let changed = app.patch("/v1/register").json(json!({"email": "new@example.com"})).await.ok();
    assert_eq!(changed["campaign_status"], "approved");
    assert_eq!(app.get("/v1/register").await.ok()["email"], "new@example.com");
}

#[tokio::test]
async fn five_an_hour() {
    let app = strict().await;
    for _ in 0..5 {
        app.patch("/v1/register").json(json!({})).await.refused(404);
    }
    let answer = app.post("/v1/register").json(form("sole_proprietor")).await;
    assert_eq!(answer.refused(429).code, "RATE_LIMIT_EXCEEDED");
    let wait: u64 = answer.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((3_590..=3_601).contains(&wait), "{wait}");
    app.later(Duration::from_secs(wait));
    app.post("/v1/register").json(form("sole_proprietor")).await.ok();
}

#[tokio::test]
async fn the_fee_is_taken_once_and_what_it_is_not_covered_for_leaves_nothing() {
    let app = Setup::default().setting("OFFHOOK__PRICES__SANDBOX_FREE", false).sandbox().start().await;
    app.credit(60).await;
    app.post("/v1/register").json(form("high_volume")).await.refused(402);
    assert_eq!(app.get("/v1/register/status").await.ok()["campaign_status"], "none");
    let handed = app.post("/v1/register").json(with(form("standard_brand"), "ein", json!("000000000"))).await.ok();
    assert_eq!(handed["fee_cents"], 2500);
    assert_eq!(app.wallet().await, "$35.00");
    assert_eq!(app.decide().await["campaign_status"], "rejected");
    app.credit(20).await;
    // High volume costs 70: what was paid counts.
    let again = app.post("/v1/register").json(with(form("high_volume"), "ein", json!("12-3456780"))).await.ok();
    assert_eq!(again["fee_cents"], 4500);
    assert_eq!(app.wallet().await, "$10.00");
    app.check_books().await;
}

#[tokio::test]
async fn an_account_is_made_for_it_by_default() {
    let app = strict().await;
    let mut brand = form("standard_brand");
    brand.as_object_mut().unwrap().remove("create_sub_account");
    let handed = app.post("/v1/register").json(brand).await.ok();
    assert!(handed["sub_account_id"].as_str().unwrap().starts_with("acct_"), "{handed}");
    assert_eq!(app.decide().await["campaign_status"], "approved");
    assert_eq!(app.get("/v1/register").await.ok()["sub_account_id"], handed["sub_account_id"]);
    // It is for that account's numbers, not for these.
    assert_eq!(app.post("/v1/numbers").await.ok()["outboundSms"], "registration_required");
}

#[tokio::test]
async fn without_a_carrier_that_decides_the_operator_does() {
    let app = TestApp::start().await;
    app.post("/v1/register").json(form("high_volume")).await.ok();
    assert_eq!(app.decide().await["campaign_status"], "pending");
    let CampaignReport::Listed { campaigns } = app.operator(CampaignCommand::List { all: false }).await else {
        panic!()
    };
    let id = campaigns[0].id.clone();
    let wrong = CampaignCommand::Approve { id: id.clone(), class: Some("low_volume".to_owned()) };
    assert!(matches!(app.operator(wrong).await, CampaignReport::Failed { .. }));
    let approve = CampaignCommand::Approve { id: id.clone(), class: Some("high_trust".to_owned()) };
    assert!(matches!(app.operator(approve).await, CampaignReport::Decided { .. }));
    assert_eq!(app.get("/v1/register").await.ok()["messages_per_second"], 120.0);
    let reject = CampaignCommand::Reject { id: id.clone(), reason: "too late".to_owned() };
    assert!(matches!(app.operator(reject).await, CampaignReport::Failed { .. }));
    let log = app.get("/v1/audit-log").await.ok();
    let decided = &log["data"][0];
    assert_eq!((&decided["action"], &decided["actor"]), (&json!("approveRegistration"), &json!("command_line")));
    assert_eq!(decided["target"], format!("{id} as high_trust"));
    assert_eq!(log["data"][1]["action"], "submitRegistration", "what failed decided nothing");
}

#[tokio::test]
async fn a_form_of_blanks_says_nothing() {
    let app = strict().await;
    for blank in [" ", "\u{200b}", "\n"] {
        let blanks = blank.repeat(60);
        let mut bad = with(form("sole_proprietor"), "description", json!(blanks));
        bad = with(bad, "consent_flow", json!(format!("{blanks}yes{blanks}")));
        bad = with(bad, "first_name", json!(blank));
        bad = with(bad, "message_samples", json!([blanks, blanks]));
        let mut names = app.post("/v1/register").json(bad).await.bad_fields();
        names.sort_unstable();
        assert_eq!(names, ["consent_flow", "description", "first_name", "message_samples"]);
    }
    app.post("/v1/register").json(form("sole_proprietor")).await.ok();
}

#[tokio::test]
async fn what_is_kept_of_a_form_is_sealed() {
    let app = strict().await;
    app.post("/v1/register").json(form("standard_brand")).await.ok();
    let account = app.client().account.clone();
    let kept = app.app.store.read(async move |tx: &mut offhook_store::Tx| tx.of(&account).own_campaign().await).await;
    let sealed = kept.unwrap().unwrap().sealed_form;
    assert!(!sealed.contains("3456789") && !sealed.contains("Baker"), "{sealed}");
}

#[test]
fn live_us_numbers_need_one_by_default() {
    let config = Config::load(&|_| None).unwrap();
    assert!(config.registration.required && !config.registration.required_in_sandbox);
}

#[tokio::test]
async fn a_conversation_says_whether_it_can_be_answered() {
    let app = strict().await;
    let agent = id(&app.post("/v1/agents").json(json!({"name": "Desk"})).await.ok());
    let number = app.post("/v1/numbers").json(json!({"agentId": agent})).await.ok();
    app.is_texted("+12015550199", number["phoneNumber"].as_str().unwrap(), "are you there?").await;
    let listed = app.get("/v1/conversations").await.ok();
    let path = format!("/v1/conversations/{}", id(&listed["data"][0]));
    let says = async || {
        let capabilities = app.get(&path).await.ok()["capabilities"].clone();
        for list in ["/v1/conversations", &format!("/v1/agents/{agent}/conversations")] {
            assert_eq!(app.get(list).await.ok()["data"][0]["capabilities"], capabilities, "{list}");
        }
        let text = json!({"number_id": id(&number), "to_number": "+12015550199", "body": "yes"});
        let answer = app.post("/v1/messages").json(text).await;
        assert_eq!(answer.status == 200, capabilities["canSendMessages"] == true, "{}", answer.text);
        assert_eq!(capabilities["canSendMessages"], capabilities["media"]);
        capabilities["sendDisabledReason"].clone()
    };

    assert_eq!(says().await, "registration_required");
    app.post("/v1/register").json(with(form("high_volume"), "business_name", json!("REJECT me"))).await.ok();
    assert_eq!(says().await, "activating");
    assert_eq!(app.decide().await["campaign_status"], "rejected");
    assert_eq!(says().await, "registration_required");
    app.patch("/v1/register").json(json!({"business_name": "Ada's Bakery LLC"})).await.ok();
    assert_eq!(app.decide().await["campaign_status"], "approved");
    assert_eq!(says().await, Value::Null);
    app.is_texted("+12015550199", number["phoneNumber"].as_str().unwrap(), "STOP").await;
    assert_eq!(says().await, "recipient_opted_out");
}
