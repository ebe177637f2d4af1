//! The receiver is real enough to test others with: each mode, as a client sees it.

use std::time::Duration;

use super::{Mode, WebhookReceiver};

async fn post(receiver: &WebhookReceiver, body: &'static str) -> Result<reqwest::Response, reqwest::Error> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build()?;
    client.post(receiver.url()).body(body).send().await
}

#[tokio::test]
async fn records_what_came_and_answers_as_told() {
    let receiver = WebhookReceiver::start().await;
    receiver.once(Mode::status(503));
    receiver.answer_with(r#"{"text":"hi"}"#);
    assert_eq!(post(&receiver, r#"{"n":1}"#).await.unwrap().status(), 503);
    assert_eq!(post(&receiver, "not json").await.unwrap().text().await.unwrap(), r#"{"text":"hi"}"#);

    let received = receiver.wait_for(2).await;
    assert_eq!(received[0].json["n"], 1);
    assert_eq!(received[1].body, "not json");
    assert!(received[1].json.is_null());
    assert!(received[0].at < received[1].at);
    assert_eq!(receiver.connections_opened(), 2);
}

#[tokio::test]
async fn each_request_can_have_an_answer_of_its_own() {
    let receiver = WebhookReceiver::start().await;
    receiver.answer_each(|received| Mode::status(if received.body == "bad" { 500 } else { 204 }));
    assert_eq!(post(&receiver, "good").await.unwrap().status(), 204);
    assert_eq!(post(&receiver, "bad").await.unwrap().status(), 500);
    receiver.once(Mode::status(503));
    assert_eq!(post(&receiver, "good").await.unwrap().status(), 503);
    receiver.answer(200);
    assert_eq!(post(&receiver, "bad").await.unwrap().status(), 200);
}

#[tokio::test]
async fn resets_redirects_and_refuses_forgeries() {
    let receiver = WebhookReceiver::start().await;
    receiver.reset();
    assert!(post(&receiver, "").await.is_err());
    receiver.set_mode(Mode::ResetMidway);
    assert!(post(&receiver, "").await.unwrap().bytes().await.is_err());
    receiver.redirect("http://127.0.0.1:1/");
    assert_eq!(post(&receiver, "").await.unwrap().headers()["location"], "http://127.0.0.1:1/");
    receiver.answer(200);
    receiver.set_secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    assert_eq!(post(&receiver, "").await.unwrap().status(), 401);
}

#[tokio::test]
async fn bodies_can_be_endless_or_exactly_so_long() {
    let receiver = WebhookReceiver::start().await;
    receiver.huge(40_000);
    assert_eq!(post(&receiver, "").await.unwrap().bytes().await.unwrap().len(), 40_000);
    receiver.stream_forever();
    let mut response = post(&receiver, "").await.unwrap();
    let mut read = 0;
    while read < 1_000_000 {
        read += response.chunk().await.unwrap().unwrap().len();
    }
    drop(response);
    receiver.wait_for_closed(2).await;
}

#[tokio::test]
async fn a_hanging_answer_ends_with_the_client() {
    let receiver = WebhookReceiver::start().await;
    receiver.hang();
    let waiting = tokio::time::timeout(Duration::from_millis(100), post(&receiver, ""));
    assert!(waiting.await.is_err());
    receiver.wait_for_closed(1).await;
    assert_eq!(receiver.received().len(), 1);
}

#[tokio::test]
#[should_panic(expected = "POST /hook")]
async fn a_wait_in_vain_says_what_came() {
    let receiver = WebhookReceiver::start().await.with_deadline(Duration::from_millis(50));
    post(&receiver, "here").await.unwrap();
    receiver.wait_until(|received| received.iter().any(|one| one.body == "elsewhere")).await;
}
