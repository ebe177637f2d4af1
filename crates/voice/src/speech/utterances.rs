//! Listening for who transcribes one utterance at a time. In: sound, and when speech begins and ends. Out: the words of each
//! utterance, in their order.

use std::collections::VecDeque;

use async_trait::async_trait;
use offhook_media::resample::Resampler;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use super::{Listening, SpeechError, Understood};

/// Samples in a second of what is transcribed.
pub const HEARD_RATE: u32 = 16_000;
/// Speech begins before it is noticed.
const BEFORE: usize = HEARD_RATE as usize * 3 / 10;
/// Nobody says more without a pause.
const LONGEST: usize = HEARD_RATE as usize * 60;

/// Listens utterance by utterance: what is said between a beginning and an end is transcribed as a whole.
pub struct Utterances<T> {
    transcribe: T,
    tasks: TaskTracker,
    rate: u32,
    resampler: Option<Resampler>,
    /// Ends when the utterance before has been told: a later one may be transcribed sooner.
    before: Option<oneshot::Receiver<()>>,
    /// What was heard lately, at 16 kHz; while somebody speaks, all since a moment before.
    heard: VecDeque<i16>,
    speaking: bool,
    tell: mpsc::UnboundedSender<Understood>,
    told: mpsc::UnboundedReceiver<Understood>,
    stop: CancellationToken,
    _stop: DropGuard,
}

impl<T, F> Utterances<T>
where
    T: Fn(Vec<i16>) -> F + Send,
    F: Future<Output = Result<(String, f64), SpeechError>> + Send + 'static,
{
    pub fn new(rate: u32, tasks: TaskTracker, transcribe: T) -> Self {
        let (tell, told) = mpsc::unbounded_channel();
        let stop = CancellationToken::new();
        let resampler = resampler_from(rate);
        let guard = stop.clone().drop_guard();
        Self {
            transcribe,
            tasks,
            rate,
            resampler,
            before: None,
            heard: VecDeque::new(),
            speaking: false,
            tell,
            told,
            stop,
            _stop: guard,
        }
    }
}

#[async_trait]
impl<T, F> Listening for Utterances<T>
where
    T: Fn(Vec<i16>) -> F + Send,
    F: Future<Output = Result<(String, f64), SpeechError>> + Send + 'static,
{
    fn hear(&mut self, samples: &[i16], rate: u32) {
        if rate != self.rate {
            (self.rate, self.resampler) = (rate, resampler_from(rate));
        }
        match &mut self.resampler {
            Some(resampler) => {
                let mut out = Vec::with_capacity(samples.len() * HEARD_RATE as usize / self.rate.max(1) as usize + 8);
                resampler.push(samples, &mut out);
                self.heard.extend(out);
            }
            None => self.heard.extend(samples),
        }
        let most = if self.speaking { LONGEST } else { BEFORE };
        let surplus = self.heard.len().saturating_sub(most);
        self.heard.drain(..surplus);
    }

    fn speech_began(&mut self) {
        self.speaking = true;
    }

    fn speech_ended(&mut self) {
        if !std::mem::take(&mut self.speaking) {
            return;
        }
        let utterance: Vec<i16> = std::mem::take(&mut self.heard).into();
        let (tell, stop) = (self.tell.clone(), self.stop.clone());
        let (told, next) = oneshot::channel();
        let before = self.before.replace(next);
        let transcribing = (self.transcribe)(utterance).instrument(tracing::info_span!("transcribe"));
        let transcribed = async move {
            let Some(done) = stop.run_until_cancelled(transcribing).await else { return };
            let understood = match done {
                Ok((text, confidence)) => Understood::Words { text, confidence },
                Err(error) => Understood::Failed(error),
            };
            if let Some(before) = before {
                // It ends without a word, too.
                let _ = before.await;
            }
            // Who no longer listens has hung up.
            let _ = tell.send(understood);
            drop(told);
        };
        self.tasks.spawn(transcribed.in_current_span());
    }

    async fn next(&mut self) -> Understood {
        match self.told.recv().await {
            Some(understood) => understood,
            // We hold a sender ourselves.
            None => std::future::pending().await,
        }
    }
}

fn resampler_from(rate: u32) -> Option<Resampler> {
    Resampler::new(rate, HEARD_RATE).filter(|_| rate != HEARD_RATE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn utterances_are_told_in_the_order_they_were_said() {
        let (slow, quick) = (oneshot::channel(), oneshot::channel());
        let waits = std::sync::Mutex::new(vec![quick.1, slow.1]);
        let transcribe = move |samples: Vec<i16>| {
            let wait = waits.lock().unwrap().pop().unwrap();
            async move {
                wait.await.unwrap();
                Ok((format!("{} ms", samples.len() * 1_000 / HEARD_RATE as usize), 1.0))
            }
        };
        let mut listening = Utterances::new(HEARD_RATE, TaskTracker::new(), transcribe);
        for (length, rate) in [(HEARD_RATE / 10, HEARD_RATE), (8_000 / 5, 8_000)] {
            listening.speech_began();
            listening.hear(&vec![0; length as usize], rate);
            listening.speech_ended();
        }
        quick.0.send(()).unwrap();
        tokio::task::yield_now().await;
        slow.0.send(()).unwrap();
        let said = |text: &str| Understood::Words { text: text.to_owned(), confidence: 1.0 };
        assert_eq!(listening.next().await, said("100 ms"));
        let Understood::Words { text, .. } = listening.next().await else { panic!("words") };
        let length: u32 = text.trim_end_matches(" ms").parse().unwrap();
        assert!((180..=200).contains(&length), "a fifth of a second, at another rate: {length}");
    }
}
