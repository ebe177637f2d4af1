//! Any server that speaks as OpenAI's does: `/audio/speech`, and `/audio/transcriptions` for one utterance at a time.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::FutureExt;
use reqwest::multipart::{Form, Part};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;
use url::Url;

use super::utterances::{HEARD_RATE, Utterances};
use super::wav::{self, Pcm};
use super::{Listening, Patience, Speaker, Speaking, SpeechError, Transcriber, Wishes};

/// What `pcm` is (OpenAI, "Create speech").
const PCM_RATE: u32 = 24_000;
/// Pieces of sound that may wait.
const WAITING: usize = 16;
const LONGEST_ANSWER: usize = 64 * 1024;

/// One server.
#[derive(Clone)]
pub struct OpenAiSettings {
    /// With the version: `https://api.openai.com/v1`.
    pub base_url: Url,
    pub api_key: Option<SecretString>,
    pub model: String,
    /// Of agents that name none.
    pub voice: String,
    pub patience: Patience,
}

/// Speaks and listens through such a server. Cheap to clone.
#[derive(Clone)]
#[expect(clippy::disallowed_types, reason = "the operator's own servers, not a customer's")]
pub struct OpenAi {
    settings: Arc<OpenAiSettings>,
    client: reqwest::Client,
    tasks: TaskTracker,
}

impl OpenAi {
    /// # Errors
    /// TLS can't be set up.
    #[expect(
        clippy::disallowed_methods,
        clippy::disallowed_types,
        reason = "the operator's own servers, not a customer's"
    )]
    pub fn new(settings: OpenAiSettings, tasks: TaskTracker) -> Result<Self, SpeechError> {
        let built = reqwest::Client::builder()
            .connect_timeout(settings.patience.connect)
            // A key must not follow a redirect.
            .redirect(reqwest::redirect::Policy::none())
            .build();
        let client = built.map_err(|error| SpeechError::Unreachable(settings.model.clone(), error.to_string()))?;
        Ok(Self { settings: Arc::new(settings), client, tasks })
    }

    fn post(&self, path: &str) -> reqwest::RequestBuilder {
        let url = format!("{}/{path}", self.settings.base_url.as_str().trim_end_matches('/'));
        let request = self.client.post(url);
        match &self.settings.api_key {
            Some(key) => request.bearer_auth(key.expose_secret()),
            None => request,
        }
    }

    async fn sent(&self, request: reqwest::RequestBuilder) -> Result<reqwest::Response, SpeechError> {
        let name = || self.settings.model.clone();
        let unreachable = |error: reqwest::Error| SpeechError::Unreachable(name(), error.without_url().to_string());
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        if status.is_success() {
            Ok(response)
        } else if status.is_server_error() || status == http::StatusCode::TOO_MANY_REQUESTS {
            Err(SpeechError::Unreachable(name(), status.to_string()))
        } else {
            Err(SpeechError::Refused(name(), status.to_string()))
        }
    }

    /// Until its first sound is there: who has not said anything yet may be asked again.
    async fn begin_to_speak(&self, body: &serde_json::Value) -> Result<(reqwest::Response, Sound, Bytes), SpeechError> {
        let mut response = self.sent(self.post("audio/speech").json(body)).await?;
        let kind = response.headers().get(http::header::CONTENT_TYPE).map(|kind| kind.to_str().unwrap_or_default());
        let sound = sound_of(kind).ok_or_else(|| SpeechError::Garbled(self.settings.model.clone()))?;
        let first = response.chunk().await;
        let lost = |error: reqwest::Error| {
            SpeechError::Unreachable(self.settings.model.clone(), error.without_url().to_string())
        };
        Ok((response, sound, first.map_err(lost)?.unwrap_or_default()))
    }

    async fn transcribe(&self, samples: &[i16], language: &str) -> Result<(String, f64), SpeechError> {
        let file = wav::write(HEARD_RATE, samples);
        let language = language.split('-').next().unwrap_or("en").to_ascii_lowercase();
        let attempt = || self.transcribe_once(file.clone(), language.clone()).boxed();
        self.settings.patience.twice(&self.settings.model, attempt).await
    }

    async fn transcribe_once(&self, file: Vec<u8>, language: String) -> Result<(String, f64), SpeechError> {
        let garbled = || SpeechError::Garbled(self.settings.model.clone());
        let file = Part::bytes(file).file_name("speech.wav");
        let file = file.mime_str("audio/wav").map_err(|_| garbled())?;
        let form = Form::new()
            .part("file", file)
            .text("model", self.settings.model.clone())
            .text("response_format", "json")
            .text("language", language);
        let mut response = self.sent(self.post("audio/transcriptions").multipart(form)).await?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|_| garbled())? {
            body.extend_from_slice(&chunk);
            if body.len() > LONGEST_ANSWER {
                return Err(garbled());
            }
        }
        let answer: Transcription = serde_json::from_slice(&body).map_err(|_| garbled())?;
        Ok((answer.text.trim().to_owned(), 1.0))
    }
}

#[derive(Deserialize)]
struct Transcription {
    text: String,
}

#[async_trait]
impl Speaker for OpenAi {
    fn name(&self) -> &str {
        &self.settings.model
    }

    async fn speak(&self, text: &str, wishes: &Wishes) -> Result<Speaking, SpeechError> {
        let voice = wishes.voice.as_deref().filter(|voice| is_theirs(voice)).unwrap_or(&self.settings.voice);
        let body = json!({
            "model": self.settings.model,
            "input": text,
            "voice": voice,
            "response_format": "pcm",
            "speed": wishes.speed,
        });
        let attempt = || self.begin_to_speak(&body).boxed();
        let (response, sound, first) = self.settings.patience.twice(&self.settings.model, attempt).await?;
        let (name, gap) = (self.settings.model.clone(), self.settings.patience.gap);
        if sound == Sound::Wav {
            let (rate, whole) = whole_wav(response, first, &name, gap).await?;
            return Ok(Speaking::whole(rate, whole));
        }
        let (to, samples) = mpsc::channel(WAITING);
        self.tasks.spawn(stream_pcm(response, first, to, name, gap));
        Ok(Speaking { rate: PCM_RATE, samples })
    }
}

/// A voice of the server, as far as we know: not one that the platform's list has of the machine's own programs, which an
/// agent that names none is shown with.
fn is_theirs(voice: &str) -> bool {
    !voice.is_empty() && voice != "text" && !["flite-", "espeak-"].iter().any(|program| voice.starts_with(program))
}

/// How what is spoken comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sound {
    Pcm,
    Wav,
}

/// By its content type, which not every server tells; `None`: what must not be played, such as an error's text.
fn sound_of(content_type: Option<&str>) -> Option<Sound> {
    let Some(content_type) = content_type else { return Some(Sound::Pcm) };
    let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match kind.as_str() {
        "audio/wav" | "audio/x-wav" | "audio/wave" | "audio/vnd.wave" => Some(Sound::Wav),
        "audio/pcm" | "audio/x-pcm" | "audio/l16" | "audio/raw" | "application/octet-stream" => Some(Sound::Pcm),
        _ => None,
    }
}

async fn stream_pcm(
    mut response: reqwest::Response,
    first: Bytes,
    to: mpsc::Sender<Result<Vec<i16>, SpeechError>>,
    name: String,
    gap: Duration,
) {
    let mut pcm = Pcm::default();
    if !first.is_empty() && to.send(Ok(pcm.push(&first))).await.is_err() {
        return;
    }
    loop {
        let chunk = tokio::select! {
            // Nobody listens any more.
            () = to.closed() => return,
            chunk = tokio::time::timeout(gap, response.chunk()) => chunk,
        };
        let piece = match chunk {
            Ok(Ok(Some(bytes))) => Ok(pcm.push(&bytes)),
            Ok(Ok(None)) => return,
            Ok(Err(error)) => Err(SpeechError::Unreachable(name.clone(), error.without_url().to_string())),
            Err(_) => Err(SpeechError::TooSlow(name.clone())),
        };
        let failed = piece.is_err();
        if to.send(piece).await.is_err() || failed {
            return;
        }
    }
}

async fn whole_wav(
    mut response: reqwest::Response,
    first: Bytes,
    name: &str,
    gap: Duration,
) -> Result<(u32, Vec<i16>), SpeechError> {
    const LONGEST_FILE: usize = 32 * 1024 * 1024;
    let mut body = first.to_vec();
    loop {
        match tokio::time::timeout(gap, response.chunk()).await {
            Ok(Ok(Some(chunk))) if body.len() + chunk.len() <= LONGEST_FILE => body.extend_from_slice(&chunk),
            Ok(Ok(None)) => break,
            Err(_) => return Err(SpeechError::TooSlow(name.to_owned())),
            Ok(_) => return Err(SpeechError::Garbled(name.to_owned())),
        }
    }
    wav::read(&body).ok_or_else(|| SpeechError::Garbled(name.to_owned()))
}

#[async_trait]
impl Transcriber for OpenAi {
    fn name(&self) -> &str {
        &self.settings.model
    }

    async fn listen(&self, wishes: &Wishes, _: u32) -> Result<Box<dyn Listening>, SpeechError> {
        let (server, language) = (self.clone(), wishes.language.clone());
        let transcribe = move |samples: Vec<i16>| {
            let (server, language) = (server.clone(), language.clone());
            async move { server.transcribe(&samples, &language).await }
        };
        Ok(Box::new(Utterances::new(self.tasks.clone(), transcribe)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_is_no_sound_is_not_played() {
        assert_eq!(sound_of(None), Some(Sound::Pcm));
        assert_eq!(sound_of(Some("audio/pcm; rate=24000")), Some(Sound::Pcm));
        assert_eq!(sound_of(Some("Audio/WAV")), Some(Sound::Wav));
        for other in ["application/json", "text/html; charset=utf-8", "audio/mpeg", ""] {
            assert_eq!(sound_of(Some(other)), None, "{other}");
        }
    }

    #[test]
    fn a_voice_of_the_machines_programs_is_not_asked_of_a_server() {
        assert!(is_theirs("alloy") && is_theirs("af_heart"));
        assert!(!is_theirs("") && !is_theirs("flite-slt") && !is_theirs("espeak-de") && !is_theirs("text"));
    }
}
