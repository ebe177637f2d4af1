//! Speech to text, and text to speech, behind two small traits. In: samples, or text. Out: words, or samples. Never here: SIP,
//! RTP, or who speaks when.

mod deepgram;
mod offline;
mod openai;
mod patient;
mod utterances;
pub mod wav;

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::mpsc;

pub use crate::host::Wishes;
pub use deepgram::{Deepgram, DeepgramSettings};
pub use offline::{Espeak, Flite, PocketSphinx};
pub use openai::{OpenAi, OpenAiSettings};
pub use patient::Patience;

/// Understands callers.
#[async_trait]
pub trait Transcriber: Send + Sync {
    /// For logs and traces.
    fn name(&self) -> &str;

    /// Whether it wants what is between what callers say, too.
    fn hears_silence(&self) -> bool {
        false
    }

    /// Begins to listen to one caller, whose sound has so many samples in a second.
    ///
    /// # Errors
    /// [`SpeechError`]: it can't be reached, or does not want to.
    async fn listen(&self, wishes: &Wishes, rate: u32) -> Result<Box<dyn Listening>, SpeechError>;
}

/// Listens to one caller.
#[async_trait]
pub trait Listening: Send {
    /// What they say, at so many samples a second: another codec may have been agreed on meanwhile. Never waits.
    fn hear(&mut self, samples: &[i16], rate: u32);

    /// They are heard to begin to speak, and to have stopped: what one transcribes utterance by utterance goes by it.
    fn speech_began(&mut self);
    fn speech_ended(&mut self);

    /// What comes next; waits for as long as nothing does. Cancel safe.
    async fn next(&mut self) -> Understood;
}

/// What was understood.
#[derive(Debug, Clone, PartialEq)]
pub enum Understood {
    /// So far; what comes replaces it.
    Partial(String),
    /// For good. Nothing was said where it is empty.
    Words { text: String, confidence: f64 },
    /// Of this utterance nothing will come. It goes on listening.
    Failed(SpeechError),
}

/// Speaks.
#[async_trait]
pub trait Speaker: Send + Sync {
    /// For logs and traces.
    fn name(&self) -> &str;

    /// Begins to say something.
    ///
    /// # Errors
    /// [`SpeechError`]: nothing of it was said.
    async fn speak(&self, text: &str, wishes: &Wishes) -> Result<Speaking, SpeechError>;
}

/// Something that is being said. Dropping it ends the request, or the program.
#[derive(Debug)]
pub struct Speaking {
    /// Samples in a second.
    pub rate: u32,
    /// In pieces; an error is the last of them.
    pub samples: mpsc::Receiver<Result<Vec<i16>, SpeechError>>,
}

impl Speaking {
    /// What is there all at once.
    fn whole(rate: u32, whole: Vec<i16>) -> Self {
        let (to, samples) = mpsc::channel(1);
        // It has just been made, and holds one.
        let _ = to.try_send(Ok(whole));
        Self { rate, samples }
    }
}

/// Why speech failed. Never the key, or what was said.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpeechError {
    #[error("{0} can't be reached: {1}")]
    Unreachable(String, String),
    #[error("{0} refused: {1}")]
    Refused(String, String),
    #[error("{0} took too long")]
    TooSlow(String),
    #[error("{0} answered what can't be understood")]
    Garbled(String),
    #[error("the program {0} can't be run: {1}")]
    Program(String, String),
}

/// Who understands, and who speaks, on this node.
#[derive(Clone, Default)]
pub struct Speech {
    pub transcriber: Option<Arc<dyn Transcriber>>,
    pub speaker: Option<Arc<dyn Speaker>>,
}
