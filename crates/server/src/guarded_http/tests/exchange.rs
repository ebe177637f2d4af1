//! What servers do to their callers.

use std::time::Instant;

use offhook_testkit::webhook_receiver::{Mode, WebhookReceiver};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

async fn post_to(receiver: &WebhookReceiver, timeout: Duration) -> Result<Answer, FetchFailed> {
    let client = sandbox();
    client.post(Request { timeout, ..request(&client, &receiver.url()) }).await
}

const PATIENT: Duration = Duration::from_secs(10);
const HASTY: Duration = Duration::from_millis(200);

#[tokio::test]
async fn sends_what_it_is_given_and_reads_the_answer() {
    let receiver = WebhookReceiver::start().await;
    receiver.set_mode(Mode::Answer { status: 500, content_type: "text/plain", body: "no luck".into() });
    let client = sandbox();
    let mut outgoing = request(&client, &format!("{}?a=b", receiver.url()));
    outgoing.headers.insert("x-webhook-id", "dlv_1".parse().unwrap());
    // Neither of these may reach the wire: one lies about the destination, the other about the length.
    outgoing.headers.insert("host", "metadata.internal".parse().unwrap());
    outgoing.headers.insert("content-length", "1".parse().unwrap());
    outgoing.body = Bytes::from_static(br#"{"event":"agent.message"}"#);

    let answer = client.post(outgoing).await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.body_prefix.as_slice()), (500, b"no luck".as_slice()));
    assert!(!answer.truncated && answer.elapsed < PATIENT);
    assert_eq!(answer.headers["content-type"], "text/plain");
    let received = receiver.wait_for(1).await;
    assert_eq!(received[0].uri, "/hook?a=b");
    assert_eq!(received[0].header("x-webhook-id"), "dlv_1");
    assert_eq!(received[0].header("host"), receiver.address().to_string());
    assert_eq!(received[0].json["event"], "agent.message");
}

#[tokio::test]
async fn connections_are_kept_where_they_are_worth_it() {
    let receiver = WebhookReceiver::start().await;
    receiver.answer_with("{}");
    let client = sandbox();
    for _ in 0..20 {
        client.post(request(&client, &receiver.url())).await.unwrap();
    }
    assert_eq!(receiver.connections_opened(), 1);
    for _ in 0..20 {
        client.post(Request { keep_connection: false, ..request(&client, &receiver.url()) }).await.unwrap();
    }
    receiver.wait_for_closed(20).await;
    assert_eq!(receiver.connections_opened(), 21);
}

#[tokio::test]
async fn no_more_connections_are_kept_than_may_be() {
    let client = sandbox();
    client.keep_at_most(3);
    let mut receivers = Vec::new();
    for _ in 0..10 {
        let receiver = WebhookReceiver::start().await;
        client.post(request(&client, &receiver.url())).await.unwrap();
        receivers.push(receiver);
    }
    for receiver in &receivers[..9] {
        receiver.wait_for_closed(1).await;
    }
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let (receiver, elsewhere) = (WebhookReceiver::start().await, WebhookReceiver::start().await);
    receiver.redirect(&elsewhere.url());
    let answer = post_to(&receiver, PATIENT).await.unwrap();
    assert_eq!(answer.status, 307);
    assert!(elsewhere.received().is_empty());
}

#[tokio::test]
async fn an_endless_answer_costs_two_kilobytes() {
    let receiver = WebhookReceiver::start().await;
    for mode in [Mode::StreamForever, Mode::Huge(1 << 30)] {
        receiver.once(mode);
        let answer = post_to(&receiver, PATIENT).await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.body_prefix.len(), answer.truncated), (200, 2048, true));
    }
    receiver.wait_for_closed(2).await;
}

#[tokio::test]
async fn an_answer_of_exactly_the_limit_is_whole() {
    let receiver = WebhookReceiver::start().await;
    receiver.huge(2048);
    let answer = post_to(&receiver, PATIENT).await.unwrap();
    assert_eq!((answer.body_prefix.len(), answer.truncated), (2048, false));
}

#[tokio::test]
async fn slow_answers_are_cut_off() {
    let receiver = WebhookReceiver::start().await;
    // Headers that do not come, an answer that comes too late.
    receiver.once(Mode::Hang);
    let started = Instant::now();
    assert_eq!(post_to(&receiver, HASTY).await.unwrap_err(), FetchFailed::Timeout(HASTY));
    receiver.delay(Duration::from_secs(5));
    assert_eq!(post_to(&receiver, HASTY).await.unwrap_err(), FetchFailed::Timeout(HASTY));
    assert!(started.elapsed() < Duration::from_secs(4));
    receiver.wait_for_closed(2).await;
}

/// The head says what became of the request; nobody waits long for the rest.
#[tokio::test]
async fn a_body_that_does_not_end_does_not_take_the_answer_back() {
    let receiver = WebhookReceiver::start().await;
    for mode in [Mode::Drip(Duration::from_millis(5)), Mode::ResetMidway] {
        receiver.once(mode);
        let client = sandbox();
        let dripped = Request { body_timeout: HASTY, ..request(&client, &receiver.url()) };
        let answer = client.post(dripped).await.unwrap();
        assert_eq!((answer.status.as_u16(), answer.truncated), (200, true));
        assert!(!answer.body_prefix.is_empty(), "its beginning is kept");
    }
    receiver.wait_for_closed(2).await;
}

#[tokio::test]
async fn broken_connections_are_told_apart_from_silence() {
    let receiver = WebhookReceiver::start().await;
    receiver.set_mode(Mode::Reset);
    assert_eq!(post_to(&receiver, PATIENT).await.unwrap_err(), FetchFailed::Reset);
    // Once: a request that may have arrived must not be sent again behind the caller's back.
    assert_eq!(receiver.received().len(), 1);
}

#[tokio::test]
async fn a_closed_port_refuses_the_connection() {
    let client = sandbox();
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let failed = client.post(request(&client, &format!("http://{closed}/"))).await.unwrap_err();
    assert_eq!(failed, FetchFailed::Connect(ConnectProblem::RefusedByHost));
    assert_eq!(failed.to_string(), "no connection: the host refused it");
}

#[tokio::test]
async fn plain_http_where_tls_is_expected_is_a_tls_failure() {
    let receiver = WebhookReceiver::start().await;
    let client = sandbox();
    let url = receiver.url().replace("http://", "https://");
    let failed = client.post(request(&client, &url)).await.unwrap_err();
    assert_eq!(failed.to_string(), "the TLS handshake failed: the server does not speak TLS");
}

#[tokio::test]
async fn what_is_not_http_is_named_so() {
    let client = sandbox();
    for speaks_first in [true, false] {
        let mail_server = raw_server(b"220 mail.example ESMTP\r\n", speaks_first).await;
        assert_eq!(client.post(request(&client, &mail_server)).await.unwrap_err(), FetchFailed::NotHttp);
    }
    let mut headers = b"HTTP/1.1 200 OK\r\n".to_vec();
    headers.extend(b"x: y\r\n".repeat(5000));
    let bloated = raw_server(headers.leak(), false).await;
    assert_eq!(client.post(request(&client, &bloated)).await.unwrap_err(), FetchFailed::HeadersTooLarge);
}

/// Says `bytes` to whoever calls, and nothing more.
async fn raw_server(bytes: &'static [u8], speaks_first: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        if !speaks_first {
            // `readable()` would do, were it not allowed to be wrong.
            assert!(stream.read(&mut [0; 64]).await.unwrap() > 0);
        }
        let _ = stream.write_all(bytes).await;
        std::future::pending::<()>().await;
    });
    format!("http://{address}/")
}
