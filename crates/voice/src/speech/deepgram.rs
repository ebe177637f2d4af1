//! Deepgram's streaming transcriber: sound goes over a WebSocket as it is heard, and words come back while somebody speaks
//! (Deepgram, "Live Audio", `/v1/listen`).
//!
//! In: sound, and when speech begins and ends. Out: words, so far and for good. A connection that fails is opened once more, and
//! what was said since the last words is sent again; what is then still not understood has failed, and the next utterance tries
//! anew.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{FutureExt, SinkExt, StreamExt};
use offhook_media::resample::Resampler;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tokio_rustls::TlsConnector;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error as SocketError, Message};
use tokio_util::task::TaskTracker;
use tracing::Instrument;
use url::Url;

use super::{Listening, Patience, SpeechError, Transcriber, Understood, Wishes};

/// Speech begins before it is noticed.
const BEFORE: Duration = Duration::from_millis(300);
/// Nobody says more without a word of it being understood.
const LONGEST: Duration = Duration::from_secs(60);
/// Words that end so much before speech does are its last.
const NEARLY: Duration = Duration::from_millis(250);
/// A connection on which nothing is sent for ten seconds is closed by the service.
const KEEP_ALIVE: Duration = Duration::from_secs(4);
const LONGEST_MESSAGE: usize = 1 << 20;

/// The service.
#[derive(Clone)]
pub struct DeepgramSettings {
    /// `wss://api.deepgram.com`; `ws` for one of yours.
    pub base_url: Url,
    pub api_key: Option<SecretString>,
    pub model: String,
    pub patience: Patience,
}

/// Listens through it. Cheap to clone.
#[derive(Clone)]
pub struct Deepgram {
    settings: Arc<DeepgramSettings>,
    tls: TlsConnector,
    tasks: TaskTracker,
}

impl Deepgram {
    /// Trusts whom the machine trusts.
    #[must_use]
    pub fn new(settings: DeepgramSettings, tasks: TaskTracker) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        Self { settings: Arc::new(settings), tls: Arc::new(config).into(), tasks }
    }
}

#[async_trait]
impl Transcriber for Deepgram {
    fn name(&self) -> &str {
        &self.settings.model
    }

    /// It goes by the time of what it hears.
    fn hears_silence(&self) -> bool {
        true
    }

    /// The connection is opened beside the call, which does not wait for it.
    async fn listen(&self, wishes: &Wishes, rate: u32) -> Result<Box<dyn Listening>, SpeechError> {
        let (to, heard) = mpsc::unbounded_channel();
        let (tell, told) = mpsc::unbounded_channel();
        let url = url_of(&self.settings, &wishes.language, rate)
            .ok_or_else(|| SpeechError::Refused(self.settings.model.clone(), "its URL is no base".to_owned()))?;
        let ear = Ear {
            settings: self.settings.clone(),
            tls: self.tls.clone(),
            url,
            heard,
            tell,
            unsaid: Unsaid::new(rate),
            open: true,
        };
        let span = tracing::info_span!("transcribe", model = self.settings.model);
        self.tasks.spawn(ear.listen().instrument(span));
        Ok(Box::new(Streamed { rate, resampler: None, to, told }))
    }
}

/// The address of one caller's connection.
fn url_of(settings: &DeepgramSettings, language: &str, rate: u32) -> Option<Url> {
    let mut url = settings.base_url.clone();
    url.path_segments_mut().ok()?.pop_if_empty().extend(["v1", "listen"]);
    url.query_pairs_mut()
        .append_pair("model", &settings.model)
        .append_pair("language", language)
        .append_pair("encoding", "linear16")
        .append_pair("sample_rate", &rate.to_string())
        .append_pair("channels", "1")
        .append_pair("interim_results", "true")
        .append_pair("punctuate", "true");
    Some(url)
}

/// What goes to the task that holds the connection.
enum Heard {
    Sound(Vec<i16>),
    Began,
    Ended,
}

/// One caller's ear, as the call has it. Dropping it ends the connection.
struct Streamed {
    /// Of what the service is sent, whatever comes in.
    rate: u32,
    resampler: Option<(u32, Resampler)>,
    to: mpsc::UnboundedSender<Heard>,
    told: mpsc::UnboundedReceiver<Understood>,
}

#[async_trait]
impl Listening for Streamed {
    fn hear(&mut self, samples: &[i16], rate: u32) {
        let samples = if rate == self.rate {
            samples.to_vec()
        } else {
            if self.resampler.as_ref().is_none_or(|(known, _)| *known != rate) {
                self.resampler = Resampler::new(rate, self.rate).map(|resampler| (rate, resampler));
            }
            let Some((_, resampler)) = &mut self.resampler else { return };
            let mut out = Vec::with_capacity(samples.len() * self.rate as usize / rate.max(1) as usize + 8);
            resampler.push(samples, &mut out);
            out
        };
        let _ = self.to.send(Heard::Sound(samples));
    }

    fn speech_began(&mut self) {
        let _ = self.to.send(Heard::Began);
    }

    fn speech_ended(&mut self) {
        let _ = self.to.send(Heard::Ended);
    }

    async fn next(&mut self) -> Understood {
        match self.told.recv().await {
            Some(understood) => understood,
            // The task ends with us, or with the node.
            None => std::future::pending().await,
        }
    }
}

/// What was heard and is not understood yet: it is sent again where a connection breaks.
struct Unsaid {
    rate: u32,
    samples: VecDeque<i16>,
    /// The place of the first of them in what this connection was sent.
    place: u64,
    speaking: bool,
    waits: Option<Wait>,
}

/// Speech has ended, and its last words did not come yet.
struct Wait {
    /// Since then nothing was understood.
    since: Instant,
    /// Its end, in what this connection was sent.
    until: u64,
    /// How often the service was asked to come to an end, and has not said that it did: it says so not always.
    asked: u32,
}

impl Unsaid {
    const fn new(rate: u32) -> Self {
        Self { rate, samples: VecDeque::new(), place: 0, speaking: false, waits: None }
    }

    const fn samples_in(&self, span: Duration) -> usize {
        (span.as_millis() as u64 * self.rate as u64 / 1_000) as usize
    }

    fn hear(&mut self, samples: &[i16]) {
        self.samples.extend(samples);
        let kept = if self.is_pending() { LONGEST } else { BEFORE };
        let surplus = self.samples.len().saturating_sub(self.samples_in(kept));
        self.forget(surplus);
    }

    fn forget(&mut self, count: usize) {
        self.samples.drain(..count);
        self.place += count as u64;
    }

    /// Whether there is speech whose words are still to come.
    const fn is_pending(&self) -> bool {
        self.speaking || self.waits.is_some()
    }

    fn ended(&mut self, now: Instant) {
        self.speaking = false;
        let until = self.place + self.samples.len() as u64;
        let wait = self.waits.get_or_insert(Wait { since: now, until, asked: 0 });
        (wait.until, wait.asked) = (until, wait.asked + 1);
    }

    /// Words came for good, up to so many seconds of what was sent.
    fn came(&mut self, until: f64, from_finalize: bool, now: Instant) {
        self.understood(until);
        let nearly = self.place + self.samples_in(NEARLY) as u64;
        let Some(wait) = &mut self.waits else { return };
        wait.since = now;
        if from_finalize {
            wait.asked = wait.asked.saturating_sub(1);
        }
        if nearly >= wait.until || from_finalize && wait.asked == 0 {
            self.waits = None;
        }
    }

    /// Another connection hears from the beginning what is kept.
    fn begin_again(&mut self, now: Instant) {
        let sent_before = std::mem::take(&mut self.place);
        if let Some(wait) = &mut self.waits {
            *wait = Wait { since: now, until: wait.until.saturating_sub(sent_before), asked: 1 };
        }
    }

    /// All up to so many seconds of what was sent is understood.
    fn understood(&mut self, until: f64) {
        let end = (until.max(0.0) * f64::from(self.rate)) as u64;
        let count = usize::try_from(end.saturating_sub(self.place)).unwrap_or(usize::MAX);
        self.forget(count.min(self.samples.len()));
    }

    /// Nothing of it will be understood any more.
    fn give_up(&mut self) {
        self.waits = None;
    }
}

/// The task that holds one caller's connection.
struct Ear {
    settings: Arc<DeepgramSettings>,
    tls: TlsConnector,
    url: Url,
    heard: mpsc::UnboundedReceiver<Heard>,
    tell: mpsc::UnboundedSender<Understood>,
    unsaid: Unsaid,
    /// The caller is still there.
    open: bool,
}

/// Either kind of stream.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}
type Socket = WebSocketStream<Box<dyn Stream>>;

impl Ear {
    async fn listen(mut self) {
        let mut tries = 0;
        while self.open {
            let failed = match self.connect().await {
                Ok(mut socket) => match self.talk(&mut socket, &mut tries).await {
                    Ok(()) => return,
                    Err(error) => error,
                },
                // It was tried twice.
                Err(error) => {
                    tries += 1;
                    error
                }
            };
            tracing::info!(error = %failed, "a transcriber's connection is lost");
            tries += 1;
            if tries > 1 {
                tries = 0;
                // Who has said nothing has not been misheard.
                if self.unsaid.is_pending() {
                    let _ = self.tell.send(Understood::Failed(failed));
                }
                self.unsaid.give_up();
                self.await_speech().await;
            }
        }
    }

    /// Until somebody speaks again: before that there is nothing to understand.
    async fn await_speech(&mut self) {
        while let Some(heard) = self.heard.recv().await {
            match heard {
                Heard::Sound(samples) => self.unsaid.hear(&samples),
                Heard::Began => {
                    self.unsaid.speaking = true;
                    return;
                }
                Heard::Ended => self.unsaid.speaking = false,
            }
        }
        self.open = false;
    }

    async fn connect(&self) -> Result<Socket, SpeechError> {
        let attempt = || self.connect_once().boxed();
        self.settings.patience.twice(&self.settings.model, attempt).await
    }

    #[expect(clippy::disallowed_methods, reason = "the operator's own service, not a customer's")]
    async fn connect_once(&self) -> Result<Socket, SpeechError> {
        let name = || self.settings.model.clone();
        let unreachable = |why: String| SpeechError::Unreachable(name(), why);
        let host = self.url.host_str().unwrap_or_default().to_owned();
        let port = self.url.port_or_known_default().unwrap_or(443);
        let stream = TcpStream::connect((host.trim_matches(['[', ']']), port))
            .await
            .map_err(|error| unreachable(error.to_string()))?;
        let _ = stream.set_nodelay(true);
        let stream: Box<dyn Stream> = if self.url.scheme() == "wss" || self.url.scheme() == "https" {
            let server = ServerName::try_from(host).map_err(|error| unreachable(error.to_string()))?;
            let stream = self.tls.connect(server, stream).await.map_err(|error| unreachable(error.to_string()))?;
            Box::new(stream)
        } else {
            Box::new(stream)
        };
        let mut url = self.url.clone();
        let scheme = if matches!(url.scheme(), "wss" | "https") { "wss" } else { "ws" };
        // From one special scheme to another, which is always allowed.
        let _ = url.set_scheme(scheme);
        let mut request = url.as_str().into_client_request().map_err(|error| unreachable(error.to_string()))?;
        if let Some(key) = &self.settings.api_key {
            let value = http::HeaderValue::try_from(format!("Token {}", key.expose_secret()));
            let mut value =
                value.map_err(|_| SpeechError::Refused(name(), "the key is no header's value".to_owned()))?;
            value.set_sensitive(true);
            request.headers_mut().insert(http::header::AUTHORIZATION, value);
        }
        let config = WebSocketConfig::default().max_message_size(Some(LONGEST_MESSAGE));
        match tokio_tungstenite::client_async_with_config(request, stream, Some(config)).await {
            Ok((socket, _)) => Ok(socket),
            Err(SocketError::Http(answer)) if answer.status().is_client_error() => {
                Err(SpeechError::Refused(name(), answer.status().to_string()))
            }
            Err(SocketError::Http(answer)) => Err(unreachable(answer.status().to_string())),
            Err(error) => Err(unreachable(error.to_string())),
        }
    }

    /// Until the caller is gone, or the connection is.
    async fn talk(&mut self, socket: &mut Socket, tries: &mut u32) -> Result<(), SpeechError> {
        self.say_again(socket).await?;
        let mut quiet_since = Instant::now();
        loop {
            let late = self.unsaid.waits.as_ref().map(|wait| wait.since + self.settings.patience.first);
            tokio::select! {
                heard = self.heard.recv() => {
                    let Some(heard) = heard else {
                        let bye = async {
                            let _ = socket.send(Message::text(r#"{"type":"CloseStream"}"#)).await;
                            let _ = socket.close(None).await;
                        };
                        let _ = tokio::time::timeout(self.settings.patience.gap, bye).await;
                        return Ok(());
                    };
                    self.pass_on(socket, heard).await?;
                    quiet_since = Instant::now();
                }
                came = socket.next() => match came {
                    Some(Ok(Message::Text(text))) => {
                        if self.understand(&text)? {
                            *tries = 0;
                        }
                    }
                    Some(Ok(Message::Close(_))) | None => return Err(self.lost("it closed the connection")),
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return Err(self.lost(&error.to_string())),
                },
                () = sleep_until(quiet_since + KEEP_ALIVE) => {
                    self.send(socket, Message::text(r#"{"type":"KeepAlive"}"#)).await?;
                    quiet_since = Instant::now();
                }
                () = sleep_until(late.unwrap_or_else(Instant::now)), if late.is_some() => {
                    return Err(SpeechError::TooSlow(self.settings.model.clone()));
                }
            }
        }
    }

    /// What a former connection did not give the words of.
    async fn say_again(&mut self, socket: &mut Socket) -> Result<(), SpeechError> {
        self.unsaid.begin_again(Instant::now());
        let samples: Vec<i16> = self.unsaid.samples.iter().copied().collect();
        if !samples.is_empty() {
            self.send(socket, Message::Binary(octets(&samples))).await?;
        }
        if self.unsaid.waits.is_some() {
            self.send(socket, Message::text(FINALIZE)).await?;
        }
        Ok(())
    }

    async fn pass_on(&mut self, socket: &mut Socket, heard: Heard) -> Result<(), SpeechError> {
        match heard {
            Heard::Sound(samples) => {
                self.unsaid.hear(&samples);
                self.send(socket, Message::Binary(octets(&samples))).await
            }
            Heard::Began => {
                self.unsaid.speaking = true;
                Ok(())
            }
            Heard::Ended => {
                self.unsaid.ended(Instant::now());
                // What was heard of it is to be told now, not when the service thinks that it is over.
                self.send(socket, Message::text(FINALIZE)).await
            }
        }
    }

    /// One that does not read what it is sent is as good as gone.
    async fn send(&self, socket: &mut Socket, message: Message) -> Result<(), SpeechError> {
        match tokio::time::timeout(self.settings.patience.gap, socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(self.lost(&error.to_string())),
            Err(_) => Err(SpeechError::TooSlow(self.settings.model.clone())),
        }
    }

    /// Whether words came for good.
    fn understand(&mut self, text: &str) -> Result<bool, SpeechError> {
        let told: Told = serde_json::from_str(text).map_err(|_| SpeechError::Garbled(self.settings.model.clone()))?;
        match told {
            Told::Results(results) => {
                let best = results.channel.alternatives.into_iter().next().unwrap_or_default();
                let text = best.transcript.trim().to_owned();
                if !results.is_final {
                    // What has no words yet is no news.
                    if !text.is_empty() {
                        let _ = self.tell.send(Understood::Partial(text));
                    }
                    return Ok(false);
                }
                self.unsaid.came(results.start + results.duration, results.from_finalize, Instant::now());
                if results.from_finalize || !text.is_empty() {
                    let _ = self.tell.send(Understood::Words { text, confidence: best.confidence.clamp(0.0, 1.0) });
                }
                Ok(true)
            }
            Told::Error(error) => Err(self.lost(error.description.as_deref().unwrap_or("an error"))),
            Told::Other => Ok(false),
        }
    }

    fn lost(&self, why: &str) -> SpeechError {
        SpeechError::Unreachable(self.settings.model.clone(), why.chars().take(200).collect())
    }
}

const FINALIZE: &str = r#"{"type":"Finalize"}"#;

/// 16 bits, the lower first.
fn octets(samples: &[i16]) -> Bytes {
    samples.iter().flat_map(|sample| sample.to_le_bytes()).collect()
}

/// What the service says.
#[derive(Deserialize)]
#[serde(tag = "type")]
enum Told {
    Results(Results),
    Error(Failure),
    /// Metadata, and what is not asked for.
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct Results {
    #[serde(default)]
    start: f64,
    #[serde(default)]
    duration: f64,
    #[serde(default)]
    is_final: bool,
    #[serde(default)]
    from_finalize: bool,
    channel: Channel,
}

#[derive(Deserialize)]
struct Channel {
    #[serde(default)]
    alternatives: Vec<Alternative>,
}

#[derive(Default, Deserialize)]
struct Alternative {
    #[serde(default)]
    transcript: String,
    #[serde(default)]
    confidence: f64,
}

#[derive(Deserialize)]
struct Failure {
    description: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_understood_is_not_sent_again() {
        let mut unsaid = Unsaid::new(8_000);
        unsaid.speaking = true;
        unsaid.hear(&[1; 16_000]);
        unsaid.understood(1.5);
        assert_eq!(unsaid.samples.len(), 4_000);
        unsaid.understood(1.0);
        unsaid.understood(9.0);
        assert_eq!((unsaid.samples.len(), unsaid.place), (0, 16_000));
    }

    #[test]
    fn the_last_words_are_known_whether_the_service_says_so_or_not() {
        let now = Instant::now();
        let spoken = || {
            let mut unsaid = Unsaid::new(8_000);
            unsaid.speaking = true;
            unsaid.hear(&[1; 8_000]);
            unsaid.ended(now);
            unsaid
        };
        let mut unsaid = spoken();
        unsaid.came(0.5, false, now);
        assert!(unsaid.is_pending());
        unsaid.came(0.9, false, now);
        assert!(!unsaid.is_pending(), "all but a moment of silence is understood");
        let mut unsaid = spoken();
        unsaid.came(0.2, true, now);
        assert!(!unsaid.is_pending(), "there were no more words");
        // They went on: the first end that is told is not the last.
        let mut unsaid = spoken();
        unsaid.hear(&[1; 8_000]);
        unsaid.ended(now);
        unsaid.came(1.0, true, now);
        assert!(unsaid.is_pending());
        unsaid.came(1.2, true, now);
        assert!(!unsaid.is_pending());
    }

    #[test]
    fn of_silence_only_a_moment_is_kept() {
        let mut unsaid = Unsaid::new(8_000);
        unsaid.hear(&[0; 80_000]);
        assert_eq!((unsaid.samples.len(), unsaid.place), (2_400, 77_600));
    }

    #[test]
    fn an_address_keeps_what_stands_before_it() {
        let settings = |base_url: &str| DeepgramSettings {
            base_url: Url::parse(base_url).unwrap(),
            api_key: None,
            model: "nova-3".to_owned(),
            patience: Patience::default(),
        };
        let query = "model=nova-3&language=en-US&encoding=linear16&sample_rate=8000&channels=1&interim_results=true&punctuate=true";
        for (base, whole) in [
            ("wss://api.deepgram.com", "wss://api.deepgram.com/v1/listen"),
            ("ws://127.0.0.1:9/ears/", "ws://127.0.0.1:9/ears/v1/listen"),
        ] {
            assert_eq!(url_of(&settings(base), "en-US", 8_000).unwrap().as_str(), format!("{whole}?{query}"));
        }
    }
}
