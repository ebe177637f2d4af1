//! `/v1/calls`: calls over the sandbox's network, led and answered for real.

mod ends;
mod inbound;
mod outbound;
mod refusals;

use offhook_testkit::webhook_receiver::{Mode, Received, WebhookReceiver};
use serde_json::{Value, json};

use crate::app::{TestApp, id};

/// An agent with a number that a webhook of the account answers.
pub struct Stage {
    pub app: TestApp,
    pub customer: WebhookReceiver,
    pub agent: String,
    pub number: Value,
}

impl Stage {
    pub async fn open(profile: Value) -> Self {
        let app = TestApp::with_sandbox().await;
        let customer = WebhookReceiver::start().await;
        customer.answer_each(|received| answer_to(&received.json));
        app.post("/v1/webhooks").json(json!({"url": customer.url()})).await.ok();
        let mut wanted = json!({"name": "Desk"});
        wanted.as_object_mut().unwrap().extend(profile.as_object().unwrap().clone());
        let agent = id(&app.post("/v1/agents").json(wanted).await.ok());
        let number = app.post("/v1/numbers").json(json!({"areaCode": "415", "agentId": agent})).await.ok();
        Self { app, customer, agent, number }
    }

    pub fn phone(&self) -> &str {
        self.number["phoneNumber"].as_str().unwrap()
    }

    /// A handset calls the agent's number, and does this.
    pub async fn handset(&self, script: Value) -> Value {
        self.app.post("/sandbox/calls").json(json!({"to": self.phone(), "script": script})).await.ok()
    }

    /// The agent calls somebody, and it is waited for the end.
    pub async fn call(&self, to: &str) -> Value {
        let wanted = json!({"agentId": self.agent, "toNumber": to, "waitForCompletion": true, "maxWaitSeconds": 30});
        self.app.post("/v1/calls").json(wanted).await.ok()
    }

    /// The only call there is.
    pub async fn only_call(&self) -> Value {
        let calls = self.app.get("/v1/calls").await.ok();
        assert_eq!(calls["total"], 1, "{calls:#}");
        let call = id(&calls["data"][0]);
        self.app.get(&format!("/v1/calls/{call}?wait=true&timeout=30")).await.ok()
    }

    /// The event of a call's end.
    pub async fn ended_event(&self) -> Value {
        let is_end = |received: &Received| received.json["event"] == "agent.call_ended";
        let all = self.customer.wait_until(|all| all.iter().any(is_end)).await;
        all.iter().find(|received| is_end(received)).unwrap().json.clone()
    }
}

/// What was heard by a handset, in one line each.
pub fn heard(call: &Value) -> Vec<String> {
    let show = |one: &Value| {
        let (kind, text) = (one["type"].as_str().unwrap(), one["text"].as_str().unwrap_or_default());
        format!("{kind} {text}").trim().to_owned()
    };
    call["heard"].as_array().unwrap().iter().map(show).collect()
}

/// What was said, as pairs of a user's words and the answer.
pub fn exchanges(call: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let transcripts = call["transcripts"].as_array().unwrap();
    transcripts.iter().map(|one| (text(&one["transcript"]), text(&one["response"]))).collect()
}

pub fn pair(user: &str, agent: &str) -> (String, String) {
    (user.to_owned(), agent.to_owned())
}

/// An agent that answers by what it is asked.
fn answer_to(event: &Value) -> Mode {
    let json =
        |body: Value| Mode::Answer { status: 200, content_type: "application/json", body: body.to_string().into() };
    match event["data"]["transcript"].as_str() {
        Some("Bye") => json(json!({"text": "Goodbye.", "hangup": true})),
        Some("Transfer me") => json(json!({"text": "One moment.", "action": "transfer"})),
        Some("Press something") => json(json!({"text": "Pressing.", "digits": "1w2#"})),
        Some("Fail") => Mode::status(500),
        Some("Say nothing") => json(json!({"ok": true})),
        Some("Count") => Mode::Answer {
            status: 200,
            content_type: "application/x-ndjson",
            body: "{\"text\":\"One.\",\"interim\":true}\n{\"text\":\"Two.\",\"interim\":true}\n{\"text\":\"Three.\"}\n"
                .into(),
        },
        Some(words) => json(json!({"text": format!("You said {words}.")})),
        None => Mode::status(200),
    }
}
