//! Two calls of this platform that are one on the network: what one says, the other hears. In: the far ends of both lines.
//! Never here: what is said.

use std::time::Duration;

use offhook_voice::line::{LineEnd, Refusal};
use offhook_voice::text_line::{TextPeer, Told};
use offhook_voice::turn::taking::Input;
use tokio::time::{Instant, sleep_until};

/// Who says nothing for so long behind a sentence has finished, as a listener hears it.
const PAUSE: Duration = Duration::from_millis(250);

/// One side's speech, as the other hears it.
#[derive(Default)]
struct Speech {
    /// What is being said.
    sentence: Option<String>,
    speaking: bool,
    /// Nothing follows by then.
    quiet_at: Option<Instant>,
}

/// Joins a caller's far end with a callee's until either hangs up.
pub async fn join(mut caller: TextPeer, mut callee: TextPeer) {
    let (mut of_caller, mut of_callee) = (Speech::default(), Speech::default());
    loop {
        let wake = [of_caller.quiet_at, of_callee.quiet_at].into_iter().flatten().min();
        tokio::select! {
            told = caller.next() => if of_caller.pass_on(told, &callee) { break },
            told = callee.next() => if of_callee.pass_on(told, &caller) { break },
            () = sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => {
                of_caller.look(&callee);
                of_callee.look(&caller);
            }
        }
    }
}

impl Speech {
    /// Whether that was the end.
    fn pass_on(&mut self, told: Option<Told>, to: &TextPeer) -> bool {
        match told {
            Some(Told::Ringing) => to.ring(),
            Some(Told::Answered) => to.answer(),
            Some(Told::Says(text)) => {
                self.quiet_at = None;
                if !std::mem::replace(&mut self.speaking, true) {
                    to.speaks(Input::SpeechBegan);
                }
                self.sentence = Some(text);
            }
            Some(Told::Said) => {
                if let Some(text) = self.sentence.take() {
                    to.speaks(Input::Words { text, confidence: 1.0 });
                }
                self.quiet_at = Some(Instant::now() + PAUSE);
            }
            Some(Told::Hushed) => {
                self.sentence = None;
                self.stop(to);
            }
            Some(Told::Pressed(keys)) => keys.chars().filter(|key| *key != 'w').for_each(|key| to.press(key)),
            Some(Told::Refused(why)) => {
                to.end(refused(why));
                return true;
            }
            Some(Told::Transferred(_) | Told::HungUp) | None => {
                to.end(LineEnd::TheyHungUp);
                return true;
            }
        }
        false
    }

    fn look(&mut self, to: &TextPeer) {
        if self.quiet_at.is_some_and(|at| at <= Instant::now()) {
            self.stop(to);
        }
    }

    fn stop(&mut self, to: &TextPeer) {
        self.quiet_at = None;
        if std::mem::take(&mut self.speaking) {
            to.speaks(Input::SpeechEnded);
        }
    }
}

/// What a caller's network makes of a refusal.
fn refused(why: Refusal) -> LineEnd {
    match why {
        Refusal::NoSuchNumber => LineEnd::Unknown,
        Refusal::NobodyThere => LineEnd::NoAnswer,
        Refusal::Busy => LineEnd::Busy,
        Refusal::NotAllowed => LineEnd::Rejected,
        Refusal::Broken => LineEnd::Unreachable(503),
    }
}
