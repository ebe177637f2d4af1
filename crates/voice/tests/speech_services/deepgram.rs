//! A streaming transcriber as Deepgram's is, whose every move is the test's.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use offhook_voice::speech::{Deepgram, DeepgramSettings, Listening, SpeechError, Transcriber, Understood};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_util::task::TaskTracker;

use super::{BRIEF, RATE, next, says, sound, wishes};

struct Service {
    listener: TcpListener,
}

/// One connection, as the service has it.
struct Connection {
    socket: WebSocketStream<TcpStream>,
    /// The path with its query, and who asked.
    path: String,
    authorization: String,
}

impl Service {
    async fn open() -> (Self, Deepgram) {
        super::with_tls();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let settings = DeepgramSettings {
            base_url: format!("ws://{}", listener.local_addr().unwrap()).parse().unwrap(),
            api_key: Some("a secret".into()),
            model: "nova-3".to_owned(),
            patience: BRIEF,
        };
        (Self { listener }, Deepgram::new(settings, TaskTracker::new()))
    }

    #[expect(clippy::result_large_err, reason = "the library's own callback")]
    async fn connection(&self) -> Connection {
        let accepting = async {
            let (stream, _) = self.listener.accept().await.unwrap();
            let (mut path, mut authorization) = (String::new(), String::new());
            let look = |request: &Request, response: Response| {
                path = request.uri().to_string();
                authorization = request.headers()["authorization"].to_str().unwrap().to_owned();
                Ok::<_, ErrorResponse>(response)
            };
            let socket = tokio_tungstenite::accept_hdr_async(stream, look).await.unwrap();
            Connection { socket, path, authorization }
        };
        tokio::time::timeout(Duration::from_secs(20), accepting).await.expect("connected in time")
    }
}

impl Connection {
    /// Samples until they ask for what there is; none where they say that it is over.
    async fn until_finalize(&mut self) -> Option<Vec<i16>> {
        tokio::time::timeout(Duration::from_secs(20), self.finalize()).await.expect("asked in time")
    }

    async fn finalize(&mut self) -> Option<Vec<i16>> {
        let mut samples = Vec::new();
        loop {
            match self.socket.next().await?.unwrap() {
                Message::Binary(octets) => {
                    samples.extend(octets.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])));
                }
                Message::Text(text) => match serde_json::from_str::<Value>(&text).unwrap()["type"].as_str().unwrap() {
                    "Finalize" => return Some(samples),
                    "CloseStream" => return None,
                    "KeepAlive" => {}
                    other => panic!("{other} is no message of theirs"),
                },
                _ => {}
            }
        }
    }

    async fn tells(&mut self, what: Value) {
        self.socket.send(Message::text(what.to_string())).await.unwrap();
    }

    async fn understands(&mut self, text: &str, is_final: bool, from_finalize: bool, until: f64) {
        self.tells(json!({
            "type": "Results", "channel_index": [0, 1], "start": 0.0, "duration": until, "is_final": is_final,
            "speech_final": is_final, "from_finalize": from_finalize,
            "channel": {"alternatives": [{"transcript": text, "confidence": 0.75, "words": []}]},
        }))
        .await;
    }
}

fn words(text: &str) -> Understood {
    Understood::Words { text: text.to_owned(), confidence: 0.75 }
}

async fn ear(transcriber: &Deepgram) -> Box<dyn Listening> {
    transcriber.listen(&wishes(), RATE).await.unwrap()
}

#[tokio::test]
async fn words_come_while_somebody_speaks_and_for_good_when_they_stop() {
    let (service, transcriber) = Service::open().await;
    let mut ear = ear(&transcriber).await;
    says(&mut *ear, &sound(0, 1_600));
    let mut connection = service.connection().await;
    assert_eq!(connection.authorization, "Token a secret");
    assert!(connection.path.starts_with("/v1/listen?model=nova-3&language=en-US&encoding=linear16&sample_rate=8000"));
    assert_eq!(connection.until_finalize().await, Some(sound(0, 1_600)));
    connection.tells(json!({"type": "Metadata", "request_id": "1"})).await;
    connection.understands("good", false, false, 0.1).await;
    connection.understands("Good morning.", true, true, 0.2).await;
    assert_eq!(next(&mut *ear).await, Understood::Partial("good".to_owned()));
    assert_eq!(next(&mut *ear).await, words("Good morning."));
}

#[tokio::test]
async fn what_was_said_is_said_again_where_the_connection_breaks_and_told_once() {
    let (service, transcriber) = Service::open().await;
    let mut ear = ear(&transcriber).await;
    says(&mut *ear, &sound(0, 8_000));
    let mut connection = service.connection().await;
    connection.until_finalize().await;
    // A quarter of a second is understood, and then the service goes down.
    connection.understands("Two pizzas", true, false, 0.25).await;
    drop(connection);
    let mut another = service.connection().await;
    assert_eq!(another.until_finalize().await, Some(sound(2_000, 6_000)));
    another.understands("and a salad.", true, true, 0.75).await;
    assert_eq!(next(&mut *ear).await, words("Two pizzas"));
    assert_eq!(next(&mut *ear).await, words("and a salad."));
}

#[tokio::test]
async fn one_that_never_answers_is_asked_twice_and_the_next_utterance_anew() {
    let (service, transcriber) = Service::open().await;
    let mut ear = ear(&transcriber).await;
    says(&mut *ear, &sound(0, 800));
    let (mut first, mut second) = (service.connection().await, None);
    first.until_finalize().await;
    let failed = {
        let (connection, failed) = tokio::join!(service.connection(), next(&mut *ear));
        second.replace(connection);
        failed
    };
    assert_eq!(failed, Understood::Failed(SpeechError::TooSlow("nova-3".to_owned())));
    says(&mut *ear, &sound(0, 900));
    let mut third = service.connection().await;
    third.until_finalize().await.unwrap();
    third.understands("Hello?", true, true, 0.2).await;
    assert_eq!(next(&mut *ear).await, words("Hello?"));
}

#[tokio::test]
async fn a_key_that_is_refused_is_told_when_somebody_has_spoken() {
    let (service, transcriber) = Service::open().await;
    let refuse = async {
        loop {
            let (mut stream, _) = service.listener.accept().await.unwrap();
            tokio::io::AsyncReadExt::read(&mut stream, &mut [0; 4_096]).await.unwrap();
            let answer = b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n";
            tokio::io::AsyncWriteExt::write_all(&mut stream, answer).await.unwrap();
        }
    };
    let hear = async {
        let mut ear = ear(&transcriber).await;
        says(&mut *ear, &sound(0, 800));
        next(&mut *ear).await
    };
    let told = tokio::select! {
        told = hear => told,
        () = refuse => unreachable!(),
    };
    let Understood::Failed(error @ SpeechError::Refused(..)) = told else { panic!("{told:?}") };
    assert!(!error.to_string().contains("secret"), "{error}");
}

#[tokio::test]
async fn who_hangs_up_ends_the_stream() {
    let (service, transcriber) = Service::open().await;
    let ear = ear(&transcriber).await;
    let mut connection = service.connection().await;
    drop(ear);
    assert_eq!(connection.until_finalize().await, None);
}

#[tokio::test]
async fn garbage_is_an_answer_that_is_asked_for_again() {
    let (service, transcriber) = Service::open().await;
    let mut ear = ear(&transcriber).await;
    says(&mut *ear, &sound(0, 800));
    let mut connection = service.connection().await;
    connection.until_finalize().await;
    connection.socket.send(Message::text("<html>")).await.unwrap();
    let mut another = service.connection().await;
    assert_eq!(another.until_finalize().await, Some(sound(0, 800)));
    another.understands("Yes.", true, true, 0.1).await;
    assert_eq!(next(&mut *ear).await, words("Yes."));
}
