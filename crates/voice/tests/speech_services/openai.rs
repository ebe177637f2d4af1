//! A server that speaks as OpenAI's does, or does not.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use offhook_voice::speech::{OpenAi, OpenAiSettings, Patience, Speaker, SpeechError, Transcriber, Understood};
use tokio_util::task::TaskTracker;

use super::{BRIEF, next, says, sound, wishes};

/// What is asked for the first time, the second time, and so on.
async fn server(answer: impl Fn(usize) -> Response + Clone + Send + Sync + 'static) -> (OpenAi, Arc<AtomicUsize>) {
    server_with(BRIEF, answer).await
}

async fn server_with(
    patience: Patience,
    answer: impl Fn(usize) -> Response + Clone + Send + Sync + 'static,
) -> (OpenAi, Arc<AtomicUsize>) {
    super::with_tls();
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = asked.clone();
    let handle = move |request: Request| {
        let answer = answer.clone();
        let counted = counted.clone();
        async move {
            // All of what is sent is taken, so that nobody waits to be rid of it.
            let mut body = request.into_body().into_data_stream();
            while let Some(Ok(_)) = body.next().await {}
            answer(counted.fetch_add(1, Ordering::SeqCst))
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    TaskTracker::new().spawn(async move { axum::serve(listener, Router::new().fallback(handle)).await.unwrap() });
    let settings = OpenAiSettings {
        base_url: format!("http://{address}/v1").parse().unwrap(),
        api_key: None,
        model: "speech".to_owned(),
        voice: "alloy".to_owned(),
        patience,
    };
    (OpenAi::new(settings, TaskTracker::new()).unwrap(), asked)
}

fn status(code: u16) -> Response {
    StatusCode::from_u16(code).unwrap().into_response()
}

/// Begins, and then nothing more comes.
fn stalls(first: &'static [u8]) -> Response {
    let first = futures_util::stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(first))]);
    Response::new(Body::from_stream(first.chain(futures_util::stream::pending())))
}

async fn heard(server: &OpenAi) -> Understood {
    let mut listening = server.listen(&wishes(), super::RATE).await.unwrap();
    says(&mut *listening, &sound(0, 800));
    next(&mut *listening).await
}

#[tokio::test]
async fn what_fails_once_is_understood_all_the_same() {
    let (server, asked) = server(|nth| match nth {
        0 => status(503),
        _ => r#"{"text": " Good morning. "}"#.into_response(),
    })
    .await;
    let understood = heard(&server).await;
    assert_eq!(understood, Understood::Words { text: "Good morning.".to_owned(), confidence: 1.0 });
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn what_fails_twice_has_failed_and_the_next_utterance_is_tried_anew() {
    let (server, asked) = server(|nth| match nth {
        0 | 1 => status(500),
        _ => r#"{"text": "Hello?"}"#.into_response(),
    })
    .await;
    let mut listening = server.listen(&wishes(), super::RATE).await.unwrap();
    says(&mut *listening, &sound(0, 800));
    assert!(matches!(next(&mut *listening).await, Understood::Failed(SpeechError::Unreachable(..))));
    says(&mut *listening, &sound(0, 800));
    assert!(matches!(next(&mut *listening).await, Understood::Words { text, .. } if text == "Hello?"));
    assert_eq!(asked.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_transcriber_that_stalls_is_asked_twice() {
    let (server, asked) = server(|_| stalls(b"{\"te")).await;
    assert_eq!(heard(&server).await, Understood::Failed(SpeechError::TooSlow("speech".to_owned())));
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn who_is_refused_is_not_asked_again() {
    let (server, asked) = server(|_| status(401)).await;
    assert!(matches!(heard(&server).await, Understood::Failed(SpeechError::Refused(..))));
    assert!(matches!(server.speak("Hi.", &wishes()).await, Err(SpeechError::Refused(..))));
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_speaker_that_fails_once_is_heard_whole() {
    let (server, asked) = server(|nth| if nth == 0 { status(502) } else { vec![1_u8, 0, 2, 0].into_response() }).await;
    let mut speaking = server.speak("Hello.", &wishes()).await.unwrap();
    let mut all = Vec::new();
    while let Some(piece) = speaking.samples.recv().await {
        all.extend(piece.unwrap());
    }
    assert_eq!((all, speaking.rate), (vec![1, 2], 24_000));
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_speaker_that_answers_and_then_says_nothing_is_asked_again() {
    let (server, asked) = server(|nth| if nth == 0 { stalls(b"") } else { vec![7_u8, 0].into_response() }).await;
    let mut speaking = server.speak("Hello.", &wishes()).await.unwrap();
    assert_eq!(speaking.samples.recv().await, Some(Ok(vec![7])));
    assert_eq!(speaking.samples.recv().await, None);
    assert_eq!(asked.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_speaker_that_breaks_off_has_failed_where_it_did() {
    let (server, asked) = server(|_| stalls(&[1, 0, 2, 0])).await;
    let mut speaking = server.speak("Hello.", &wishes()).await.unwrap();
    assert_eq!(speaking.samples.recv().await, Some(Ok(vec![1, 2])));
    assert_eq!(speaking.samples.recv().await, Some(Err(SpeechError::TooSlow("speech".to_owned()))));
    // Half of it was heard: saying it again from its beginning would be worse.
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn an_error_page_is_not_played() {
    let (server, _) = server(|_| axum::Json("no such voice").into_response()).await;
    assert_eq!(server.speak("Hello.", &wishes()).await.unwrap_err(), SpeechError::Garbled("speech".to_owned()));
}
