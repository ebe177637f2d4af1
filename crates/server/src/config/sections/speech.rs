//! `[voice.speech]`: who understands callers, and who speaks to them. In: the reader. Out: the checked section. Never here:
//! asking anybody.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use url::Url;

use super::Reader;
use super::voice::file;

/// `[voice.speech]`
#[derive(Debug)]
pub struct Speech {
    pub listen: Listen,
    pub speak: Speak,
    pub patience: SpeechPatience,
}

/// Who makes words of sound.
#[derive(Debug)]
pub enum Listen {
    Nobody,
    OpenAi(OpenAi),
    Deepgram(OpenAi),
    Offline(Offline),
}

/// Who makes sound of words.
#[derive(Debug)]
pub enum Speak {
    Nobody,
    OpenAi {
        service: OpenAi,
        /// Of agents that name none.
        voice: String,
    },
    /// The programs.
    Flite(PathBuf),
    Espeak(PathBuf),
}

/// A service with a base URL, a key, where it wants one, and a model.
#[derive(Debug)]
pub struct OpenAi {
    pub base_url: Url,
    pub api_key: Option<SecretString>,
    pub model: String,
}

/// pocketsphinx, on this machine.
#[derive(Debug)]
pub struct Offline {
    pub program: PathBuf,
    /// A JSGF grammar: without one everything is listened for, and little understood.
    pub grammar: Option<PathBuf>,
}

/// How long a service may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpeechPatience {
    pub connect: Duration,
    pub first: Duration,
    pub gap: Duration,
}

impl Speech {
    pub(super) fn read(reader: &mut Reader) -> Self {
        Self {
            listen: listen(reader),
            speak: speak(reader),
            patience: SpeechPatience {
                connect: reader.seconds("voice.speech.connect_timeout_seconds", 1..=60),
                first: reader.seconds("voice.speech.first_answer_seconds", 1..=60),
                gap: reader.seconds("voice.speech.gap_seconds", 1..=60),
            },
        }
    }
}

fn listen(reader: &mut Reader) -> Listen {
    let rule = "must be \"none\", \"openai\", \"deepgram\" or \"pocketsphinx\"";
    let provider = reader.required("voice.speech.stt", rule, |text| {
        matches!(text, "none" | "openai" | "deepgram" | "pocketsphinx").then(|| text.to_owned())
    });
    let provider = provider.unwrap_or_default();
    let service = service(reader, "stt", matches!(provider.as_str(), "openai" | "deepgram").then_some(&provider));
    let program = file(reader, "voice.speech.pocketsphinx");
    let grammar = file(reader, "voice.speech.pocketsphinx_grammar");
    match (provider.as_str(), service) {
        ("openai", Some(service)) => Listen::OpenAi(service),
        ("deepgram", Some(service)) => Listen::Deepgram(service),
        ("pocketsphinx", _) => {
            Listen::Offline(Offline { program: wanted(reader, "voice.speech.pocketsphinx", program), grammar })
        }
        _ => Listen::Nobody,
    }
}

fn speak(reader: &mut Reader) -> Speak {
    let rule = "must be \"none\", \"openai\", \"flite\" or \"espeak\"";
    let provider = reader.required("voice.speech.tts", rule, |text| {
        matches!(text, "none" | "openai" | "flite" | "espeak").then(|| text.to_owned())
    });
    let provider = provider.unwrap_or_default();
    let service = service(reader, "tts", (provider == "openai").then_some(&provider));
    let voice = short(reader, "voice.speech.tts_voice").unwrap_or_default();
    let (flite, espeak) = (file(reader, "voice.speech.flite"), file(reader, "voice.speech.espeak"));
    match (provider.as_str(), service) {
        ("openai", Some(service)) => Speak::OpenAi { service, voice },
        ("flite", _) => Speak::Flite(wanted(reader, "voice.speech.flite", flite)),
        ("espeak", _) => Speak::Espeak(wanted(reader, "voice.speech.espeak", espeak)),
        _ => Speak::Nobody,
    }
}

/// What is said of a service; `wanted_by` is the provider that needs it, where one does. The keys are read in any case, so that
/// every bad one is named.
fn service(reader: &mut Reader, what: &str, wanted_by: Option<&String>) -> Option<OpenAi> {
    let key = |name: &str| format!("voice.speech.{what}_{name}");
    let base_url = reader.optional(&key("base_url"), "must be an http, https, ws or wss URL, or \"\"", |text| {
        Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https" | "ws" | "wss") && url.has_host())
    });
    let api_key = reader.referenced_or_none(&key("api_key"));
    let model = short(reader, &key("model"));
    let provider = wanted_by?;
    let usual = match provider.as_str() {
        "deepgram" => "wss://api.deepgram.com",
        _ => "https://api.openai.com/v1",
    };
    let is_usual = base_url.is_none();
    let base_url = base_url.or_else(|| Url::parse(usual).ok())?;
    if is_usual && api_key.is_none() {
        let rule = format!("must say where the key for {usual} is: \"env:NAME\" or \"file:/path\"");
        reader.refuse::<()>(&key("api_key"), &rule, None);
    }
    let Some(model) = model else {
        return reader.refuse(&key("model"), &format!("must be set: {provider} is asked for one"), None);
    };
    Some(OpenAi { base_url, api_key, model })
}

fn short(reader: &mut Reader, key: &str) -> Option<String> {
    reader.optional(key, "must be at most 100 characters in one line", |text| {
        (text.chars().count() <= 100 && !text.contains(char::is_control)).then(|| text.to_owned())
    })
}

fn wanted(reader: &mut Reader, key: &str, program: Option<PathBuf>) -> PathBuf {
    program.unwrap_or_else(|| reader.refuse(key, "must name the program", None))
}
