//! Has sentences spoken, one after the other, each as its sound comes. In: sentences and keys. Out: samples for the stream,
//! what was the first of each sentence, and what failed. A hush forgets all that is not spoken yet.

use std::sync::Arc;

use offhook_media::resample::Resampler;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use crate::sound::Mouth;
use crate::speech::{Speaker, SpeechError, Wishes};
use crate::turn::taking::SentenceId;

enum Say {
    Sentence(SentenceId, String),
    Keys(String),
}

/// What is told of it.
pub enum Told {
    /// Its sound has begun.
    First(SentenceId),
    /// No more of it comes.
    Failed(SentenceId, String),
}

/// One call's speech. Dropping it ends what is being said.
pub struct Speaking {
    speaker: Arc<dyn Speaker>,
    wishes: Wishes,
    mouth: Mouth,
    tasks: TaskTracker,
    to: mpsc::UnboundedSender<Say>,
    tell: mpsc::UnboundedSender<Told>,
    told: mpsc::UnboundedReceiver<Told>,
    stop: CancellationToken,
}

impl Speaking {
    pub fn begin(speaker: Arc<dyn Speaker>, wishes: Wishes, mouth: Mouth, tasks: &TaskTracker) -> Self {
        let (tell, told) = mpsc::unbounded_channel();
        let (to, says) = mpsc::unbounded_channel();
        let stop = CancellationToken::new();
        let speaking = Self { speaker, wishes, mouth, tasks: tasks.clone(), to, tell, told, stop };
        speaking.work(says);
        speaking
    }

    pub fn say(&self, sentence: SentenceId, text: String) {
        let _ = self.to.send(Say::Sentence(sentence, text));
    }

    pub fn press(&self, keys: String) {
        let _ = self.to.send(Say::Keys(keys));
    }

    /// What is being said is not said any further, and what waits never.
    pub fn hush(&mut self) {
        self.stop.cancel();
        self.stop = CancellationToken::new();
        let (to, says) = mpsc::unbounded_channel();
        self.to = to;
        self.work(says);
    }

    pub async fn next(&mut self) -> Told {
        match self.told.recv().await {
            Some(told) => told,
            // We hold a sender ourselves.
            None => std::future::pending().await,
        }
    }

    fn work(&self, mut says: mpsc::UnboundedReceiver<Say>) {
        let (speaker, wishes) = (self.speaker.clone(), self.wishes.clone());
        let (mouth, tell, stop) = (self.mouth.clone(), self.tell.clone(), self.stop.clone());
        let saying = async move {
            while let Some(say) = says.recv().await {
                match say {
                    Say::Keys(keys) => mouth.press(&keys),
                    Say::Sentence(sentence, text) => {
                        let span = tracing::info_span!("speak", turn = sentence.turn, sentence = sentence.number);
                        let said = speak(&*speaker, &wishes, &mouth, sentence, &text, &tell).instrument(span).await;
                        if let Err(error) = said {
                            let _ = tell.send(Told::Failed(sentence, error.to_string()));
                        }
                        // Also of one that failed: what comes behind it is another sentence.
                        mouth.said_all(sentence);
                    }
                }
            }
        };
        let spoken = async move {
            stop.run_until_cancelled(saying).await;
        };
        self.tasks.spawn(spoken.in_current_span());
    }
}

impl Drop for Speaking {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn speak(
    speaker: &dyn Speaker,
    wishes: &Wishes,
    mouth: &Mouth,
    sentence: SentenceId,
    text: &str,
    tell: &mpsc::UnboundedSender<Told>,
) -> Result<(), SpeechError> {
    let mut sound = speaker.speak(text, wishes).await?;
    let mut first = true;
    let mut resampler: Option<(u32, Resampler)> = None;
    while let Some(piece) = sound.samples.recv().await {
        let piece = piece?;
        if std::mem::take(&mut first) {
            let _ = tell.send(Told::First(sentence));
        }
        let rate = mouth.rate();
        if rate == sound.rate {
            mouth.say(sentence, piece).await;
            continue;
        }
        if resampler.as_ref().is_none_or(|(known, _)| *known != rate) {
            resampler = Resampler::new(sound.rate, rate).map(|resampler| (rate, resampler));
        }
        if let Some((_, resampler)) = &mut resampler {
            let mut out = Vec::with_capacity(piece.len());
            resampler.push(&piece, &mut out);
            mouth.say(sentence, out).await;
        }
    }
    Ok(())
}
