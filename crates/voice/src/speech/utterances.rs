//! Listening for who transcribes one utterance at a time. In: sound, and when speech begins and ends. Out: the words of each
//! utterance, in their order.

use std::time::Duration;

use async_trait::async_trait;
use offhook_media::resample::Resampler;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use super::{Listening, SpeechError, Understood};

/// Samples in a second of what is transcribed.
pub const HEARD_RATE: u32 = 16_000;
/// What is said without a pause for longer is transcribed in pieces.
const LONGEST: Duration = Duration::from_secs(60);

/// Listens utterance by utterance: what is said between a beginning and an end is transcribed as a whole.
pub struct Utterances<T> {
    transcribe: T,
    tasks: TaskTracker,
    /// Ends when the utterance before has been told: a later one may be transcribed sooner.
    before: Option<oneshot::Receiver<()>>,
    /// What was heard of this utterance, with its rates.
    heard: Vec<(u32, Vec<i16>)>,
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
    pub fn new(tasks: TaskTracker, transcribe: T) -> Self {
        let (tell, told) = mpsc::unbounded_channel();
        let stop = CancellationToken::new();
        let guard = stop.clone().drop_guard();
        Self { transcribe, tasks, before: None, heard: Vec::new(), speaking: false, tell, told, stop, _stop: guard }
    }

    fn length(&self) -> Duration {
        let of = |(rate, samples): &(u32, Vec<i16>)| samples.len() as f64 / f64::from((*rate).max(1));
        Duration::from_secs_f64(self.heard.iter().map(of).sum())
    }

    /// Has what was heard transcribed.
    fn hand_in(&mut self) {
        let utterance = at_heard_rate(std::mem::take(&mut self.heard));
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
}

#[async_trait]
impl<T, F> Listening for Utterances<T>
where
    T: Fn(Vec<i16>) -> F + Send,
    F: Future<Output = Result<(String, f64), SpeechError>> + Send + 'static,
{
    fn hear(&mut self, samples: &[i16], rate: u32) {
        if !self.speaking {
            return;
        }
        match self.heard.last_mut() {
            Some((last, heard)) if *last == rate => heard.extend_from_slice(samples),
            _ => self.heard.push((rate, samples.to_vec())),
        }
        if self.length() >= LONGEST {
            self.hand_in();
        }
    }

    fn speech_began(&mut self) {
        self.speaking = true;
    }

    fn speech_ended(&mut self) {
        if std::mem::take(&mut self.speaking) && !self.heard.is_empty() {
            self.hand_in();
        }
    }

    async fn next(&mut self) -> Understood {
        match self.told.recv().await {
            Some(understood) => understood,
            // We hold a sender ourselves.
            None => std::future::pending().await,
        }
    }
}

/// Once for each utterance, and for nothing that is silence.
fn at_heard_rate(heard: Vec<(u32, Vec<i16>)>) -> Vec<i16> {
    let mut all = Vec::new();
    for (rate, samples) in heard {
        match Resampler::new(rate, HEARD_RATE).filter(|_| rate != HEARD_RATE) {
            Some(mut resampler) => resampler.push(&samples, &mut all),
            None => all.extend(samples),
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_never_pauses_is_understood_in_pieces() {
        let transcribe = |samples: Vec<i16>| async move { Ok((samples.len().to_string(), 1.0)) };
        let mut listening = Utterances::new(TaskTracker::new(), transcribe);
        listening.hear(&[0; 1_000], HEARD_RATE);
        listening.speech_began();
        for _ in 0..70 {
            listening.hear(&vec![0; HEARD_RATE as usize], HEARD_RATE);
        }
        listening.speech_ended();
        for seconds in [60, 10] {
            let text = (seconds * HEARD_RATE as usize).to_string();
            assert_eq!(listening.next().await, Understood::Words { text, confidence: 1.0 });
        }
    }

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
        let mut listening = Utterances::new(TaskTracker::new(), transcribe);
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
