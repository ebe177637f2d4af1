//! A line without sound: somebody types, and reads what the agent says. The sandbox's network, tests, and two numbers of the
//! platform that call each other are made of it.
//!
//! In: orders on one side, what the other types on the other. Out: the same events as those of a line with sound, so that the
//! conversation can't tell. Speech takes its time where a pace is given, and can so be interrupted.

use std::collections::VecDeque;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use crate::line::{Line, LineEnd, LineEvent, LineOrder, Refusal};
use crate::turn::taking::{Input, SentenceId};

/// How often it is told how far a sentence is.
const PROGRESS: Duration = Duration::from_millis(100);

/// The platform's end.
#[derive(Debug)]
pub struct TextLine {
    comes: mpsc::UnboundedReceiver<LineEvent>,
    told: mpsc::UnboundedSender<Told>,
    pace: Option<u32>,
    speaking: VecDeque<Spoken>,
    /// What our own orders brought about.
    ours: VecDeque<LineEvent>,
    over: bool,
}

/// The other end: a handset, or another call.
#[derive(Debug)]
pub struct TextPeer {
    told: mpsc::UnboundedReceiver<Told>,
    does: mpsc::UnboundedSender<LineEvent>,
}

/// What is read at the other end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// It rings at ours.
    Ringing,
    /// Our side took the call.
    Answered,
    /// Our side does not take it.
    Refused(Refusal),
    /// The agent begins to say this.
    Says(String),
    /// It said the last of them to its end.
    Said,
    /// It broke off, and forgot what it had still to say.
    Hushed,
    Pressed(String),
    /// The other side is to call there instead.
    Transferred(String),
    HungUp,
}

#[derive(Debug)]
enum Spoken {
    Sentence { sentence: SentenceId, text: String, began: Option<Instant>, told: Instant },
    Keys(String),
}

/// Both ends of a line. `pace` is how many characters are said in a second; none: all at once.
#[must_use]
pub fn text_line(pace: Option<u32>) -> (TextLine, TextPeer) {
    let (does, comes) = mpsc::unbounded_channel();
    let (tell, told) = mpsc::unbounded_channel();
    let line = TextLine { comes, told: tell, pace, speaking: VecDeque::new(), ours: VecDeque::new(), over: false };
    (line, TextPeer { told, does })
}

#[async_trait]
impl Line for TextLine {
    async fn next(&mut self) -> LineEvent {
        loop {
            if self.over {
                return std::future::pending().await;
            }
            if let Some(event) = self.ours.pop_front() {
                self.over = matches!(event, LineEvent::Over(_));
                return event;
            }
            if let Some(event) = self.spoken(Instant::now()) {
                return event;
            }
            let wake = self.wake();
            tokio::select! {
                biased;
                event = self.comes.recv() => {
                    let event = event.unwrap_or(LineEvent::Over(LineEnd::TheyHungUp));
                    self.over = matches!(event, LineEvent::Over(_));
                    return event;
                }
                () = sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => {}
            }
        }
    }

    fn is_over(&self) -> bool {
        self.over
    }

    fn order(&mut self, order: LineOrder) {
        let told = match order {
            LineOrder::Ring => Told::Ringing,
            LineOrder::Answer => {
                self.tell(Told::Answered);
                return self.happens(LineEvent::Answered);
            }
            LineOrder::Refuse(why) => {
                self.tell(Told::Refused(why));
                return self.happens(LineEvent::Over(LineEnd::WeHungUp));
            }
            LineOrder::Speak { sentence, text } => {
                let now = Instant::now();
                return self.speaking.push_back(Spoken::Sentence { sentence, text, began: None, told: now });
            }
            LineOrder::Press(keys) => return self.speaking.push_back(Spoken::Keys(keys)),
            LineOrder::Hush => {
                self.speaking.clear();
                Told::Hushed
            }
            LineOrder::Transfer(to) => {
                self.tell(Told::Transferred(to));
                return self.happens(LineEvent::Transferred);
            }
            LineOrder::HangUp => {
                self.tell(Told::HungUp);
                return self.happens(LineEvent::Over(LineEnd::WeHungUp));
            }
        };
        self.tell(told);
    }
}

impl TextLine {
    fn tell(&self, told: Told) {
        // Who has gone away is told of as an event.
        let _ = self.told.send(told);
    }

    /// What follows from our own orders comes before what they do.
    fn happens(&mut self, event: LineEvent) {
        self.ours.push_back(event);
    }

    /// What is due of what is spoken.
    fn spoken(&mut self, now: Instant) -> Option<LineEvent> {
        loop {
            match self.speaking.front_mut()? {
                Spoken::Keys(_) => {
                    let Some(Spoken::Keys(keys)) = self.speaking.pop_front() else { return None };
                    self.tell(Told::Pressed(keys));
                }
                Spoken::Sentence { began: began @ None, text, told, .. } => {
                    (*began, *told) = (Some(now), now);
                    let text = text.clone();
                    self.tell(Told::Says(text));
                }
                Spoken::Sentence { sentence, text, began: Some(began), told } => {
                    let (sentence, so_far) = (*sentence, now.duration_since(*began));
                    let whole = takes(text, self.pace);
                    if so_far >= whole {
                        self.speaking.pop_front();
                        self.tell(Told::Said);
                        return Some(LineEvent::Turn(Input::Played(sentence)));
                    }
                    if now.duration_since(*told) >= PROGRESS {
                        *told = now;
                        return Some(LineEvent::Turn(Input::Playing { sentence, so_far, whole }));
                    }
                    return None;
                }
            }
        }
    }

    fn wake(&self) -> Option<Instant> {
        match self.speaking.front()? {
            Spoken::Sentence { text, began: Some(began), told, .. } => {
                Some((*began + takes(text, self.pace)).min(*told + PROGRESS))
            }
            Spoken::Sentence { began: None, .. } | Spoken::Keys(_) => Some(Instant::now()),
        }
    }
}

/// How long it takes to say something.
fn takes(text: &str, pace: Option<u32>) -> Duration {
    let letters = u32::try_from(text.chars().count()).unwrap_or(u32::MAX);
    pace.map_or(Duration::ZERO, |pace| Duration::from_secs(1) * letters / pace.max(1))
}

impl TextPeer {
    /// What is told next; nothing any more once the call is over. Cancel safe.
    pub async fn next(&mut self) -> Option<Told> {
        self.told.recv().await
    }

    /// It rings here.
    pub fn ring(&self) {
        self.does(LineEvent::Ringing);
    }

    pub fn answer(&self) {
        self.does(LineEvent::Answered);
    }

    /// Says something, all at once.
    pub fn types(&self, text: &str) {
        self.does(LineEvent::Turn(Input::Typed(text.to_owned())));
    }

    /// Says something as it is spoken: [`Input::SpeechBegan`], [`Input::Words`], [`Input::SpeechEnded`].
    pub fn speaks(&self, input: Input) {
        self.does(LineEvent::Turn(input));
    }

    pub fn press(&self, key: char) {
        self.does(LineEvent::Key(key));
    }

    /// Hangs up, or does not take the call. Nothing that is done later is looked at.
    pub fn end(&self, why: LineEnd) {
        self.does(LineEvent::Over(why));
    }

    fn does(&self, event: LineEvent) {
        // Of a call that is over nobody hears any more.
        let _ = self.does.send(event);
    }
}
