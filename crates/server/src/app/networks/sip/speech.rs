//! Who understands and who speaks, as `[voice.speech]` says.

use std::sync::Arc;

use offhook_voice::speech::{
    Deepgram, DeepgramSettings, Espeak, Flite, OpenAi, OpenAiSettings, Patience, PocketSphinx, Speaker, Speech,
    SpeechError, Transcriber,
};
use tokio_util::task::TaskTracker;

use crate::config::voice::{Listen, OpenAi as Service, Speak, Speech as Configured};

/// # Errors
/// TLS can't be set up.
pub fn of(configured: &Configured, tasks: &TaskTracker) -> Result<Speech, SpeechError> {
    let wait = configured.patience;
    let patience = Patience { connect: wait.connect, first: wait.first, gap: wait.gap };
    let openai = |service: &Service, voice: &str| {
        let settings = OpenAiSettings {
            base_url: service.base_url.clone(),
            api_key: service.api_key.clone(),
            model: service.model.clone(),
            voice: voice.to_owned(),
            patience,
        };
        OpenAi::new(settings, tasks.clone())
    };
    let transcriber: Option<Arc<dyn Transcriber>> = match &configured.listen {
        Listen::Nobody => None,
        Listen::OpenAi(service) => Some(Arc::new(openai(service, "")?)),
        Listen::Deepgram(service) => {
            let settings = DeepgramSettings {
                base_url: service.base_url.clone(),
                api_key: service.api_key.clone(),
                model: service.model.clone(),
                patience,
            };
            Some(Arc::new(Deepgram::new(settings, tasks.clone())))
        }
        Listen::Offline(offline) => Some(Arc::new(PocketSphinx {
            program: offline.program.clone(),
            grammar: offline.grammar.clone(),
            tasks: tasks.clone(),
        })),
    };
    let speaker: Option<Arc<dyn Speaker>> = match &configured.speak {
        Speak::Nobody => None,
        Speak::OpenAi { service, voice } => Some(Arc::new(openai(service, voice)?)),
        Speak::Flite(program) => Some(Arc::new(Flite { program: program.clone() })),
        Speak::Espeak(program) => Some(Arc::new(Espeak { program: program.clone() })),
    };
    Ok(Speech { transcriber, speaker })
}
