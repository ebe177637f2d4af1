//! `/v1/opt-outs`, and what texting STOP, START and HELP does.

use std::time::Duration;

use futures_util::future::join_all;
use offhook_domain::{Id, MessageId};
use offhook_store::{StoreError, Tx};
use serde_json::{Value, json};

use crate::app::{Setup, TestApp, id};

const OURS: &str = "+14155550100";
const OTHER: &str = "+14155550101";
const HANDSET: &str = "+14152011234";

async fn until<T, F: Future<Output = Option<T>>>(what: &str, look: impl Fn() -> F) -> T {
    let found = tokio::time::timeout(Duration::from_secs(20), async {
        loop {
            match look().await {
                Some(found) => return found,
                None => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    });
    found.await.unwrap_or_else(|_| panic!("{what} did not come"))
}

/// Without workers: what is queued stays queued.
async fn still() -> TestApp {
    let app = Setup::default().sandbox().start().await;
    app.number(OURS).await;
    app
}

async fn send(app: &TestApp, from: &str, body: &str) -> crate::app::Answer {
    app.post("/v1/messages").json(json!({"from_number": from, "to_number": HANDSET, "body": body})).await
}

/// The bodies of a conversation, oldest first, with direction and status.
async fn said(app: &TestApp) -> Vec<(String, String, String)> {
    let list = app.get("/v1/conversations").await.ok();
    let Some(conversation) = list["data"].as_array().and_then(|all| all.first()) else { return Vec::new() };
    let path = format!("/v1/conversations/{}/messages", id(conversation));
    let messages = app.get(&path).await.ok();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let each = messages["data"].as_array().unwrap().iter().rev();
    each.map(|m| (text(&m["direction"]), text(&m["status"]), text(&m["body"]))).collect()
}

async fn answers(app: &TestApp) -> Vec<String> {
    said(app).await.into_iter().filter(|(direction, ..)| direction == "outbound").map(|(.., body)| body).collect()
}

async fn state(app: &TestApp, message: &str) -> (String, Option<String>) {
    let message = MessageId::parse(message).unwrap();
    let state = app.app.store.read::<_, StoreError>(async move |tx: &mut Tx| tx.message_state(&message).await).await;
    let (status, code) = state.unwrap().unwrap();
    (status.as_str().to_owned(), code)
}

#[tokio::test]
async fn who_texts_stop_gets_one_answer_and_nothing_more() {
    let app = still().await;
    app.is_texted(HANDSET, OURS, "“Stop!”").await;
    app.is_texted(HANDSET, OURS, "STOP").await;
    let answered = answers(&app).await;
    assert_eq!(answered.len(), 1, "{answered:?}");
    assert!(answered[0].contains("unsubscribed"), "{answered:?}");

    let refused = send(&app, OURS, "one more thing").await.refused(400);
    assert_eq!(refused.code, "RECIPIENT_OPTED_OUT");
    assert!(refused.message.contains("START"), "{}", refused.message);
    let list = app.get("/v1/conversations").await.ok();
    let capabilities = &list["data"][0]["capabilities"];
    assert_eq!(
        (&capabilities["canSendMessages"], &capabilities["sendDisabledReason"]),
        (&json!(false), &json!("recipient_opted_out"))
    );

    // Yes: they are opted out, so it means START.
    app.is_texted(HANDSET, OURS, "Yes").await;
    send(&app, OURS, "welcome back").await.ok();
    app.is_texted(HANDSET, OURS, "yes").await;
    assert_eq!(answers(&app).await.len(), 3, "STOP's answer, START's answer, ours");
    let list = app.get("/v1/conversations").await.ok();
    assert_eq!(list["data"][0]["capabilities"]["canSendMessages"], true);
}

#[tokio::test]
async fn an_ordinary_text_is_no_keyword() {
    let app = still().await;
    for text in ["Please stop by", "yes", "the end", "I need help"] {
        app.is_texted(HANDSET, OURS, text).await;
    }
    assert_eq!(answers(&app).await, Vec::<String>::new());
    assert_eq!(app.get("/v1/opt-outs/log").await.ok()["total"], 0);
    send(&app, OURS, "hello").await.ok();
}

#[tokio::test]
async fn stop_is_one_numbers_and_may_be_the_accounts() {
    let app = still().await;
    app.number(OTHER).await;
    app.is_texted(HANDSET, OURS, "stop").await;
    assert_eq!(send(&app, OURS, "a").await.refused(400).code, "RECIPIENT_OPTED_OUT");
    send(&app, OTHER, "b").await.ok();

    let app = Setup::default().sandbox().setting("OFFHOOK__OPT_OUT__SCOPE", "account").start().await;
    app.number(OURS).await;
    app.number(OTHER).await;
    let waiting = id(&send(&app, OTHER, "waits").await.ok());
    app.is_texted(HANDSET, OURS, "stop").await;
    for number in [OURS, OTHER] {
        assert_eq!(send(&app, number, "a").await.refused(400).code, "RECIPIENT_OPTED_OUT");
    }
    assert_eq!(state(&app, &waiting).await, ("failed".to_owned(), Some("21610".to_owned())));
    app.is_texted(HANDSET, OTHER, "START").await;
    send(&app, OURS, "b").await.ok();
}

#[tokio::test]
async fn what_waits_when_stop_comes_fails_and_is_paid_back() {
    let app = Setup::default()
        .sandbox()
        .setting("OFFHOOK__PRICES__SANDBOX_FREE", "false")
        .setting("OFFHOOK__OPT_OUT__STOP_ANSWERS", "en:Gone.")
        .start()
        .await;
    app.number(OURS).await;
    app.credit(1).await;
    let waiting = id(&send(&app, OURS, "waits").await.ok());
    app.is_texted(HANDSET, OURS, "stop").await;
    assert_eq!(state(&app, &waiting).await, ("failed".to_owned(), Some("21610".to_owned())));
    // The text that came in and our answer are paid for; what did not go is not.
    assert_eq!(app.wallet().await, "$0.96");
    app.books_agree().await;
}

#[tokio::test]
async fn help_is_answered_once_in_a_while_also_to_who_is_opted_out() {
    let app = still().await;
    app.is_texted(HANDSET, OURS, "STOP").await;
    for _ in 0..3 {
        app.is_texted(HANDSET, OURS, "help").await;
    }
    assert_eq!(answers(&app).await.len(), 2);
    app.later(Duration::from_secs(301));
    app.is_texted(HANDSET, OURS, "Info?").await;
    assert_eq!(answers(&app).await.len(), 3);
    assert_eq!(send(&app, OURS, "a").await.refused(400).code, "RECIPIENT_OPTED_OUT");
}

#[tokio::test]
async fn answers_are_in_the_language_of_the_word_and_may_be_the_accounts_own() {
    let app = still().await;
    app.is_texted(HANDSET, OURS, "¡ALTO!").await;
    app.is_texted(HANDSET, OURS, "START").await;
    assert!(answers(&app).await[0].contains("baja"));
    let body = json!({"optedOut": "Desk & Co: no more texts. START to come back.", "help": null});
    let kept = app.patch("/v1/opt-outs/answers").json(body).await.ok();
    assert_eq!(app.get("/v1/opt-outs/answers").await.ok(), kept);
    app.is_texted(HANDSET, OURS, "baja").await;
    assert_eq!(answers(&app).await[2], "Desk & Co: no more texts. START to come back.");
    app.patch("/v1/opt-outs/answers").json(json!({"help": "Stop"})).await.refused(400);
    let other = app.second_account().await;
    assert_eq!(other.get("/v1/opt-outs/answers").await.ok()["optedOut"], Value::Null);
}

#[tokio::test]
async fn a_key_opts_out_and_in_with_proof_and_all_is_logged() {
    let app = still().await;
    let waiting = id(&send(&app, OURS, "waits").await.ok());
    let body = json!({"phoneNumber": "(415) 201-1234", "note": "asked by mail"});
    let added = app.post("/v1/opt-outs").json(body.clone()).await.ok();
    assert_eq!((&added["phoneNumber"], &added["numberId"]), (&json!(HANDSET), &Value::Null));
    assert_eq!(app.post("/v1/opt-outs").json(body).await.ok(), added);
    assert_eq!(state(&app, &waiting).await.0, "failed");
    assert_eq!(answers(&app).await, ["waits"], "nothing is answered");
    send(&app, OURS, "a").await.refused(400);

    let path = format!("/v1/opt-outs/{}", id(&added));
    app.delete(&path).await.refused(422);
    let other = app.second_account().await;
    other.delete(&format!("{path}?consent=mine")).await.refused(404);
    assert_eq!(other.get("/v1/opt-outs").await.ok()["total"], 0);
    app.delete(&format!("{path}?consent=form%20of%20May%201")).await.no_content();
    app.delete(&format!("{path}?consent=again")).await.refused(404);
    send(&app, OURS, "a").await.ok();

    app.is_texted(HANDSET, OURS, "STOP").await;
    let of_one = app.get("/v1/opt-outs?phone_number=%2B14152011234").await.ok();
    assert_eq!((&of_one["total"], &of_one["data"][0]["keyword"]), (&json!(1), &json!("stop")));
    assert_eq!(app.get("/v1/opt-outs?phone_number=%2B14152019999").await.ok()["total"], 0);
    let log = app.get("/v1/opt-outs/log").await.ok();
    let lines: Vec<_> = log["data"].as_array().unwrap().iter().rev().collect();
    let told: Vec<_> = lines.iter().map(|l| (l["action"].as_str().unwrap(), l["changed"].as_bool().unwrap())).collect();
    assert_eq!(told, [("opted_out", true), ("opted_out", false), ("opted_in", true), ("opted_out", true)]);
    assert_eq!((&lines[2]["note"], lines[2]["keyId"].is_string()), (&json!("form of May 1"), true));
    assert!(lines[3]["messageId"].is_string() && lines[3]["keyId"].is_null());
}

#[tokio::test]
async fn a_handset_of_the_sandbox_opts_out_and_its_answer_arrives() {
    let app = TestApp::with_sandbox().await;
    app.number(OURS).await;
    app.sell_in_sandbox(OURS).await;
    let text = async |body: &str| {
        app.stranger().post("/sandbox/messages").json(json!({"from": HANDSET, "to": OURS, "body": body})).await.ok();
    };
    let inbox = async |wanted: usize| {
        let path = format!("/sandbox/handsets/{}/messages?limit=100", HANDSET.replace('+', "%2B"));
        until("the inbox", || async {
            let all = app.stranger().get(&path).await.ok()["data"].as_array().unwrap().clone();
            let came: Vec<_> = all.into_iter().filter(|one| one["from"] == OURS).collect();
            (came.len() >= wanted).then_some(came)
        })
        .await
    };
    text("STOP").await;
    let came = inbox(1).await;
    assert!(came[0]["body"].as_str().unwrap().contains("unsubscribed"), "{came:?}");
    send(&app, OURS, "psst").await.refused(400);
    text("START").await;
    send(&app, OURS, "hello again").await.ok();
    assert_eq!(inbox(3).await.len(), 3);
}

#[tokio::test]
async fn two_numbers_of_the_platform_do_not_answer_each_other_for_ever() {
    let app = TestApp::with_sandbox().await;
    for number in [OURS, OTHER] {
        app.number(number).await;
        app.sell_in_sandbox(number).await;
    }
    for body in ["STOP", "HELP"] {
        for (from, to) in [(OURS, OTHER), (OTHER, OURS)] {
            // The second STOP's sender is opted out by then; what it says does not go.
            app.post("/v1/messages").json(json!({"from_number": from, "to_number": to, "body": body})).await;
        }
    }
    until("an end", || async {
        let depth = app.app.store.read::<_, StoreError>(async |tx: &mut Tx| tx.send_queue_depth().await).await.unwrap();
        (depth.0 == 0).then_some(())
    })
    .await;
    let list = app.get("/v1/conversations").await.ok();
    for conversation in list["data"].as_array().unwrap() {
        assert!(conversation["messageCount"].as_i64().unwrap() <= 12, "{conversation}");
    }
}

/// Whatever is accepted after STOP was kept is refused, and of what was accepted before nothing goes that was not on its
/// way.
#[tokio::test]
async fn stop_crosses_with_sends() {
    let app = TestApp::with_sandbox().await;
    app.number(OURS).await;
    app.sell_in_sandbox(OURS).await;
    let other_node = app.on_another_node();
    for round in 0..4 {
        let sends = (0..12).map(|n| {
            let client = if n % 2 == 0 { app.client() } else { &other_node };
            let body = json!({"from_number": OURS, "to_number": HANDSET, "body": format!("{round}.{n}")});
            async move { client.post("/v1/messages").json(body).await }
        });
        let (sent, ()) = tokio::join!(join_all(sends), app.is_texted(HANDSET, OURS, "STOP"));
        for answer in &sent {
            if answer.status == 200 {
                let message = id(&answer.ok());
                until("an end", || async {
                    let (status, code) = state(&app, &message).await;
                    let ended =
                        status == "delivered" || (status, code) == ("failed".to_owned(), Some("21610".to_owned()));
                    ended.then_some(())
                })
                .await;
            } else {
                assert_eq!(answer.refused(400).code, "RECIPIENT_OPTED_OUT");
            }
        }
        // The answer to STOP is behind all that went.
        send(&app, OURS, "late").await.refused(400);
        let spoken = said(&app).await;
        let stop = spoken.iter().rposition(|(direction, ..)| direction == "inbound").unwrap();
        for (direction, status, body) in &spoken[stop + 1..] {
            let ours = body.contains("unsubscribed");
            assert!(direction == "outbound" && (ours || status == "failed"), "{body} {status} after STOP");
        }
        app.is_texted(HANDSET, OURS, "START").await;
    }
    app.books_agree().await;
}
