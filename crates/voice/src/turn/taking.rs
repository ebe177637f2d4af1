//! The conversation's rules in one machine. In: [`Input`]s with their times. Out: [`Action`]s, and when to be woken.
//!
//! ```text
//!            words, and quiet for long enough           the brain's first sentence
//! Listening ─────────────────────────────────▶ Thinking ─────────────────────────▶ Speaking
//!     ▲  ▲                                         │  they go on: the answer is dropped  │
//!     │  └─────────────────────────────────────────┘                                     │
//!     └───────────────────────────────── all is played, or somebody interrupts ──────────┘
//! ```

use std::collections::VecDeque;
use std::mem;
use std::time::Duration;

use super::barge_in::BargeIn;
use super::endpointing::Endpointing;
use super::heard::{Said, SentenceNumber};
use super::sentences::Sentences;

/// After speech without any words: the transcriber may be slow, and it may have been a cough.
const WORDS_MAY_TAKE: Duration = Duration::from_secs(2);

/// What an agent wants of its calls.
#[derive(Debug, Clone)]
pub struct Manners {
    /// 0 to 1.
    pub interruption_sensitivity: f64,
    /// A call in which nobody says anything for so long is ended.
    pub longest_silence: Duration,
    /// What the caller hears where the brain fails, or speech does.
    pub apology: String,
}

/// The number of a turn of the brain's, from 1. What comes for an earlier one is not looked at.
pub type TurnNumber = u64;

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// The agent's first words, or anything else that is said without being asked.
    Greet(String),
    /// The caller is heard to speak.
    SpeechBegan,
    SpeechEnded,
    /// What the transcriber makes of it, so far.
    Partial(String),
    /// What it was. The next words are others.
    Words {
        text: String,
        confidence: f64,
    },
    /// They said something, and the transcriber failed: nobody knows what.
    Misheard,
    /// All that a caller who types has to say.
    Typed(String),
    Answer(TurnNumber, Answer),
    /// So much of a sentence was played.
    Playing {
        sentence: SentenceId,
        so_far: Duration,
        whole: Duration,
    },
    Played(SentenceId),
    /// The speaker failed: no more of a sentence is heard than was.
    Unspoken(SentenceId),
    /// It is time.
    Woken,
}

/// What a brain answers, in order.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    Text(String),
    /// A chunk is over: what was said in it is a sentence, whatever it ends with.
    ChunkEnded,
    /// Keys to press, when what stands before has been said.
    Digits(String),
    Ended(After),
    /// It did not answer in time, or broke off.
    Failed,
}

/// How a turn goes on once it was spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    Listen,
    Hangup,
    Transfer,
}

/// Why the machine ends a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    AgentHungUp,
    Transferred,
    Silence,
}

/// Which sentence of which turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SentenceId {
    pub turn: TurnNumber,
    pub number: SentenceNumber,
}

/// What is to be done, in this order.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Have the brain answer.
    Ask {
        turn: TurnNumber,
        words: String,
        confidence: f64,
    },
    /// Nobody wants its answer any more: close it.
    Drop(TurnNumber),
    Speak {
        sentence: SentenceId,
        text: String,
    },
    /// Press keys, once what was to be spoken before them was.
    Press(String),
    /// Be quiet at once, and forget what was to be spoken and pressed.
    Hush,
    /// A turn for the transcript: what was said and what was heard.
    Keep(Turn),
    End(Ending),
}

/// One entry of the transcript.
#[derive(Debug, Clone, PartialEq)]
pub struct Turn {
    pub role: Role,
    pub content: String,
    pub confidence: Option<f64>,
    /// The brain's turn it belongs to.
    pub turn: TurnNumber,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    User,
    Agent,
}

/// Who has the floor.
#[derive(Debug)]
enum Floor {
    Listening,
    /// The brain was asked, and nothing of its answer is spoken yet.
    Thinking,
    Speaking,
    Over,
}

/// One call's conversation.
#[derive(Debug)]
pub struct TurnTaking {
    manners: Manners,
    barge_in: BargeIn,
    endpointing: Endpointing,
    floor: Floor,
    actions: VecDeque<Action>,
    turn: TurnNumber,
    caller: Caller,
    agent: Agent,
    /// Since when nobody has said anything.
    quiet_since: Duration,
}

/// What the caller has said and was not answered.
#[derive(Debug, Default)]
struct Caller {
    words: Vec<String>,
    /// The least of all.
    confidence: Option<f64>,
    partial: String,
    speaking_since: Option<Duration>,
    /// When speech ended that was not taken for a turn yet.
    ended_at: Option<Duration>,
    /// The words changed then.
    words_at: Duration,
    /// The transcriber failed for something of it.
    misheard: bool,
}

/// What the agent has to say in this turn.
#[derive(Debug, Default)]
struct Agent {
    sentences: Sentences,
    said: Said,
    /// The brain has no more to say.
    after: Option<After>,
    /// Once in a turn is enough.
    has_apologised: bool,
}

impl TurnTaking {
    /// A call that is answered at time zero.
    #[must_use]
    pub fn new(manners: Manners) -> Self {
        Self {
            barge_in: BargeIn::new(manners.interruption_sensitivity),
            manners,
            endpointing: Endpointing::default(),
            floor: Floor::Listening,
            actions: VecDeque::new(),
            turn: 0,
            caller: Caller::default(),
            agent: Agent::default(),
            quiet_since: Duration::ZERO,
        }
    }

    /// The next thing to do.
    pub fn next_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When to be [`Input::Woken`], unless something comes before.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        match self.floor {
            Floor::Over | Floor::Thinking => None,
            Floor::Speaking => {
                self.caller.speaking_since.and_then(|since| self.barge_in.takes().map(|takes| since + takes))
            }
            Floor::Listening => {
                if self.caller.speaking_since.is_some() {
                    return None;
                }
                let silence = self.quiet_since + self.manners.longest_silence;
                Some(self.endpoint().map_or(silence, |at| at.min(silence)))
            }
        }
    }

    /// The call was ended from outside: what was heard so far belongs to the transcript.
    pub fn finish(&mut self) {
        if matches!(self.floor, Floor::Thinking | Floor::Speaking) {
            self.break_off();
        }
        self.keep_unanswered();
        self.floor = Floor::Over;
    }

    /// The call was to be handed over and was not: it goes on, and nobody speaks.
    pub fn resume(&mut self, now: Duration) {
        if matches!(self.floor, Floor::Over) {
            self.floor = Floor::Listening;
            self.turn += 1;
            self.agent = Agent::default();
            self.quiet_since = now;
        }
    }

    /// Times must not go back.
    pub fn handle(&mut self, input: Input, now: Duration) {
        if matches!(self.floor, Floor::Over) {
            return;
        }
        match input {
            Input::Greet(text) => self.greet(&text),
            Input::SpeechBegan => self.speech_began(now),
            Input::SpeechEnded => self.speech_ended(now),
            Input::Partial(text) => {
                self.caller.words_at = now;
                self.caller.partial = text;
            }
            Input::Words { text, confidence } => self.words(&text, confidence, now),
            Input::Misheard => self.misheard(),
            Input::Typed(text) => self.typed(&text, now),
            Input::Answer(turn, answer) if turn == self.turn => self.answer(answer),
            Input::Answer(..) => {}
            Input::Playing { sentence, so_far, whole } if sentence.turn == self.turn => {
                self.agent.said.played(sentence.number, so_far, whole);
            }
            Input::Played(sentence) if sentence.turn == self.turn => self.agent.said.played_all(sentence.number),
            Input::Unspoken(sentence) if sentence.turn == self.turn => self.unspoken(sentence.number),
            Input::Playing { .. } | Input::Played(_) | Input::Unspoken(_) | Input::Woken => {}
        }
        self.look(now);
    }

    /// What is due, whatever it was that came.
    fn look(&mut self, now: Duration) {
        match self.floor {
            Floor::Speaking if self.is_interrupted(now) => self.break_off(),
            Floor::Speaking => self.end_of_turn(now),
            Floor::Thinking => self.end_of_turn(now),
            Floor::Listening => {
                if self.endpoint().is_some_and(|at| at <= now) {
                    self.take_turn(now);
                } else if self.caller.speaking_since.is_none() && now >= self.quiet_since + self.manners.longest_silence
                {
                    self.end(Ending::Silence);
                }
            }
            Floor::Over => {}
        }
    }

    fn greet(&mut self, text: &str) {
        if !matches!(self.floor, Floor::Listening) {
            return;
        }
        self.turn += 1;
        self.agent = Agent::default();
        self.answer(Answer::Text(text.to_owned()));
        self.answer(Answer::Ended(After::Listen));
    }

    fn speech_began(&mut self, now: Duration) {
        if let (Floor::Listening, Some(ended)) = (&self.floor, self.caller.ended_at.take())
            && self.caller.has_words()
        {
            self.endpointing.went_on_after(now.saturating_sub(ended));
        }
        self.caller.speaking_since.get_or_insert(now);
        self.quiet_since = now;
        if matches!(self.floor, Floor::Thinking) {
            // They were not finished. What they said stands in the transcript, and what comes is a turn of its own.
            if let Some(ended) = self.caller.ended_at.take() {
                self.endpointing.went_on_after(now.saturating_sub(ended));
            }
            self.break_off();
        }
    }

    fn speech_ended(&mut self, now: Duration) {
        if self.caller.speaking_since.take().is_some() {
            self.caller.ended_at = Some(now);
        }
        self.quiet_since = now;
    }

    fn words(&mut self, text: &str, confidence: f64, now: Duration) {
        let text = text.trim();
        self.caller.partial.clear();
        self.caller.words_at = now;
        if text.is_empty() {
            return;
        }
        self.caller.words.push(text.to_owned());
        self.caller.misheard = false;
        self.caller.confidence = Some(self.caller.confidence.map_or(confidence, |least| least.min(confidence)));
        self.quiet_since = now;
        if self.caller.speaking_since.is_none() && self.caller.ended_at.is_none() {
            // Words without speech: of a transcriber that hears better than we do.
            self.caller.ended_at = Some(now);
        }
    }

    fn typed(&mut self, text: &str, now: Duration) {
        self.caller.speaking_since = None;
        self.words(text, 1.0, now);
        if !self.caller.has_words() {
            return;
        }
        if matches!(self.floor, Floor::Thinking | Floor::Speaking) {
            if self.barge_in.takes().is_none() {
                // Their turn comes when the agent has spoken.
                return;
            }
            self.break_off();
        }
        self.take_turn(now);
    }

    /// When the caller's turn is over, if they say no more.
    fn endpoint(&self) -> Option<Duration> {
        let ended = self.caller.ended_at.filter(|_| self.caller.speaking_since.is_none())?;
        if self.caller.has_words() && self.caller.partial.is_empty() {
            return Some(ended + self.endpointing.wait(&self.caller.all_words()));
        }
        if self.caller.misheard {
            return Some(ended + self.endpointing.wait(""));
        }
        // The transcriber is not done, as it seems.
        Some(ended.max(self.caller.words_at) + WORDS_MAY_TAKE)
    }

    fn take_turn(&mut self, now: Duration) {
        let caller = mem::take(&mut self.caller);
        let words = caller.all_words();
        self.quiet_since = now;
        if words.is_empty() {
            if caller.misheard {
                self.greet(&self.manners.apology.clone());
            }
            // Else a cough.
            return;
        }
        self.turn += 1;
        self.agent = Agent::default();
        self.floor = Floor::Thinking;
        // Until the agent speaks, they may go on.
        self.caller.ended_at = caller.ended_at;
        let (turn, confidence) = (self.turn, caller.confidence.unwrap_or(1.0));
        let kept = Turn { role: Role::User, content: words.clone(), confidence: Some(confidence), turn };
        self.actions.push_back(Action::Keep(kept));
        self.actions.push_back(Action::Ask { turn, words, confidence });
    }

    fn answer(&mut self, answer: Answer) {
        if self.agent.after.is_some() {
            return;
        }
        match answer {
            Answer::Text(text) => {
                for sentence in self.agent.sentences.push(&text) {
                    self.speak(sentence);
                }
            }
            Answer::ChunkEnded => self.flush(),
            Answer::Digits(digits) => {
                self.flush();
                self.actions.push_back(Action::Press(digits));
            }
            Answer::Ended(after) => {
                self.flush();
                self.agent.after = Some(after);
            }
            Answer::Failed => {
                self.flush();
                if self.agent.said.is_empty() {
                    self.apologise();
                }
                self.agent.after = Some(After::Listen);
            }
        }
    }

    fn apologise(&mut self) {
        self.agent.has_apologised = true;
        self.speak(self.manners.apology.clone());
    }

    /// They are asked to say it again, unless there is something to be answered, or they are at it.
    fn misheard(&mut self) {
        self.caller.partial.clear();
        if self.caller.speaking_since.is_some() {
            // When they have finished.
            self.caller.misheard = true;
        } else if matches!(self.floor, Floor::Listening) && !self.caller.has_words() {
            self.caller.ended_at = None;
            self.greet(&self.manners.apology.clone());
        }
    }

    /// The rest of the turn is spoken all the same. Who is about to leave does not ask for more.
    fn unspoken(&mut self, number: SentenceNumber) {
        self.agent.said.broke_off(number);
        if !self.agent.has_apologised && matches!(self.agent.after, None | Some(After::Listen)) {
            self.apologise();
        }
    }

    fn flush(&mut self) {
        if let Some(sentence) = self.agent.sentences.finish() {
            self.speak(sentence);
        }
    }

    fn speak(&mut self, text: String) {
        self.floor = Floor::Speaking;
        self.caller.ended_at = None;
        let number = self.agent.said.say(text.clone());
        self.actions.push_back(Action::Speak { sentence: SentenceId { turn: self.turn, number }, text });
    }

    fn is_interrupted(&self, now: Duration) -> bool {
        let Some(since) = self.caller.speaking_since else { return false };
        let mut words = self.caller.words.join(" ");
        words.push(' ');
        words.push_str(&self.caller.partial);
        self.barge_in.interrupts(now.saturating_sub(since), &words)
    }

    /// The agent has no more to say in this turn, by its own will or not.
    fn end_of_turn(&mut self, now: Duration) {
        let Some(after) = self.agent.after.filter(|_| self.agent.said.is_over()) else { return };
        self.keep_heard();
        self.endpointing.was_right();
        self.floor = Floor::Listening;
        self.quiet_since = now;
        match after {
            After::Listen => self.speech_while_spoken(now),
            After::Hangup => self.end(Ending::AgentHungUp),
            After::Transfer => self.end(Ending::Transferred),
        }
    }

    /// What was said while the agent spoke and did not interrupt: a "yes" is an answer now, a "mhm" was none.
    fn speech_while_spoken(&mut self, now: Duration) {
        if self.caller.has_words() && self.caller.speaking_since.is_none() {
            self.caller.ended_at = Some(now);
        }
    }

    /// Stops the agent in the middle of a turn.
    fn break_off(&mut self) {
        if self.agent.after.is_none() {
            self.actions.push_back(Action::Drop(self.turn));
        }
        if matches!(self.floor, Floor::Speaking) {
            self.actions.push_back(Action::Hush);
        }
        self.keep_heard();
        // What comes for it from now on is for nobody.
        self.turn += 1;
        self.agent = Agent::default();
        self.floor = Floor::Listening;
    }

    fn keep_heard(&mut self) {
        let content = self.agent.said.heard();
        if !content.is_empty() {
            let turn = self.turn;
            self.actions.push_back(Action::Keep(Turn { role: Role::Agent, content, confidence: None, turn }));
        }
    }

    fn keep_unanswered(&mut self) {
        let caller = mem::take(&mut self.caller);
        let content = caller.all_words();
        if !content.is_empty() {
            let turn = self.turn + 1;
            self.actions.push_back(Action::Keep(Turn {
                role: Role::User,
                content,
                confidence: caller.confidence,
                turn,
            }));
        }
    }

    fn end(&mut self, ending: Ending) {
        self.keep_unanswered();
        self.floor = Floor::Over;
        self.actions.push_back(Action::End(ending));
    }
}

impl Caller {
    fn has_words(&self) -> bool {
        !self.words.is_empty() || !self.partial.trim().is_empty()
    }

    fn all_words(&self) -> String {
        let mut all = self.words.join(" ");
        let partial = self.partial.trim();
        if !partial.is_empty() {
            if !all.is_empty() {
                all.push(' ');
            }
            all.push_str(partial);
        }
        all
    }
}

#[cfg(test)]
mod tests;
