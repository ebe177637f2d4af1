//! What goes on while both can hear each other: line and brain are inputs to the turn machine, and its actions are their
//! orders. In: a connected line. Out: why it ended.

use std::time::Duration;

use offhook_domain::call::EndReason;
use tokio::time::{Instant, sleep_until};

use super::notes::Notes;
use super::{Stop, after_answer, stopped};
use crate::answering_party::{AnsweringParty, Machine};
use crate::brain::{Answers, Brain, Question};
use crate::host::{Job, Plan};
use crate::line::{Line, LineEvent, LineOrder};
use crate::timeline::Mark;
use crate::turn::taking::{Action, After, Answer, Ending, Input, SentenceId, Turn, TurnNumber, TurnTaking};

/// Keys that are pressed one after the other are one answer, until `#` or so long a pause.
const BETWEEN_KEYS: Duration = Duration::from_millis(1_500);
/// Nobody presses more on purpose.
const MOST_KEYS: usize = 64;

pub(super) struct Conversation<'a> {
    plan: Plan,
    brain: Box<dyn Brain>,
    party: AnsweringParty,
    line: &'a mut dyn Line,
    notes: &'a mut Notes,
    taking: TurnTaking,
    answered: Instant,
    /// The brain's answer that is listened to.
    answers: Option<(TurnNumber, Answers)>,
    /// Whether anything of it came.
    first: bool,
    /// From the question to the end of its answer, for who traces.
    asking: Option<tracing::Span>,
    so_far: Vec<Turn>,
    keys: String,
    key_at: Instant,
    /// Which turn was heard last.
    heard: TurnNumber,
    /// The sentence that could not be spoken lately.
    unspoken: Option<SentenceId>,
    /// The transfer that is under way, until when it is waited for.
    transfer: Option<Instant>,
    /// What it turns out to be, whatever the machine says.
    reason: Option<EndReason>,
}

impl<'a> Conversation<'a> {
    pub(super) fn begin(
        job: Job,
        party: AnsweringParty,
        line: &'a mut dyn Line,
        notes: &'a mut Notes,
        answered: Instant,
    ) -> Self {
        let Job { plan, brain } = job;
        let taking = TurnTaking::new(plan.manners.clone());
        Self {
            plan,
            brain,
            party,
            line,
            notes,
            taking,
            answered,
            answers: None,
            first: false,
            asking: None,
            so_far: Vec::new(),
            keys: String::new(),
            key_at: answered,
            heard: 0,
            unspoken: None,
            transfer: None,
            reason: None,
        }
    }

    /// Until it ends, for whatever reason.
    pub(super) async fn hold(mut self, stop: &mut Stop) -> EndReason {
        if let Some(greeting) = self.plan.greeting.clone() {
            self.input(Input::Greet(greeting));
        }
        let reason = loop {
            if let Some(reason) = self.act() {
                break reason;
            }
            let wake = self.wake();
            let ended = tokio::select! {
                biased;
                reason = stopped(stop) => Some(reason),
                event = self.line.next() => self.on_line(event),
                (turn, answer) = next_answer(&mut self.answers) => {
                    self.on_answer(turn, answer);
                    None
                }
                () = sleep_until(wake) => self.on_time(),
            };
            if let Some(reason) = ended {
                break reason;
            }
        };
        self.answers = None;
        self.taking.finish();
        // Only what is for the transcript is left to be done.
        while let Some(action) = self.taking.next_action() {
            if let Action::Keep(turn) = action {
                self.keep(turn);
            }
        }
        self.reason.unwrap_or(reason)
    }

    fn input(&mut self, input: Input) {
        self.taking.handle(input, self.answered.elapsed());
    }

    /// When something is due that nobody brings.
    fn wake(&self) -> Instant {
        let turns = self.taking.deadline().map(|at| self.answered + at);
        let keys = (!self.keys.is_empty()).then(|| self.key_at + BETWEEN_KEYS);
        let longest = self.answered + self.plan.longest;
        [turns, keys, self.transfer].into_iter().flatten().fold(longest, Instant::min)
    }

    fn on_time(&mut self) -> Option<EndReason> {
        let now = Instant::now();
        if now >= self.answered + self.plan.longest {
            return Some(EndReason::MaxDuration);
        }
        if self.transfer.is_some_and(|until| until <= now) {
            self.not_transferred();
        }
        if !self.keys.is_empty() && now >= self.key_at + BETWEEN_KEYS {
            self.keys_are_words();
        }
        self.input(Input::Woken);
        None
    }

    fn on_line(&mut self, event: LineEvent) -> Option<EndReason> {
        match event {
            LineEvent::Turn(input) => {
                self.note_input(&input);
                self.input(input);
            }
            LineEvent::Key(key) => self.on_key(key),
            LineEvent::Mark(mark) => self.notes.mark(mark),
            LineEvent::Transferred => return Some(EndReason::Transferred),
            LineEvent::TransferFailed => self.not_transferred(),
            LineEvent::Over(why) => return Some(after_answer(&why)),
            LineEvent::Ringing | LineEvent::Answered => {}
        }
        None
    }

    fn note_input(&mut self, input: &Input) {
        match input {
            Input::SpeechBegan => self.notes.mark(Mark::SpeechBegan),
            Input::SpeechEnded => self.notes.mark(Mark::SpeechEnded),
            Input::Unspoken(sentence) => self.unspoken = Some(*sentence),
            Input::Playing { sentence, .. } | Input::Played(sentence)
                if sentence.turn > self.heard && self.unspoken != Some(*sentence) =>
            {
                self.heard = sentence.turn;
                self.notes.mark(Mark::TurnHeard { turn: sentence.turn });
            }
            _ => {}
        }
    }

    fn on_key(&mut self, key: char) {
        if key == '#' && self.keys.is_empty() || key != '#' && self.keys.len() < MOST_KEYS {
            self.keys.push(key);
            self.key_at = Instant::now();
        }
        if key == '#' {
            self.keys_are_words();
        }
    }

    fn keys_are_words(&mut self) {
        let keys = std::mem::take(&mut self.keys);
        self.notes.mark(Mark::Keys(keys.len()));
        self.input(Input::Typed(keys));
    }

    fn on_answer(&mut self, turn: TurnNumber, answer: Answer) {
        if !std::mem::replace(&mut self.first, true) && answer != Answer::Failed {
            self.notes.mark(Mark::BrainFirst { turn });
        }
        if matches!(answer, Answer::Ended(_) | Answer::Failed) {
            self.asking = None;
        }
        match answer {
            Answer::Ended(_) => {
                self.answers = None;
                self.notes.mark(Mark::BrainEnded { turn });
            }
            Answer::Failed => {
                self.answers = None;
                self.notes.mark(Mark::BrainFailed { turn });
            }
            Answer::Text(_) | Answer::ChunkEnded | Answer::Digits(_) => {}
        }
        self.input(Input::Answer(turn, answer));
    }

    /// What the machine wants done. Some: the call is over.
    fn act(&mut self) -> Option<EndReason> {
        while let Some(action) = self.taking.next_action() {
            match action {
                Action::Ask { turn, words, confidence } => self.ask(turn, words, confidence),
                Action::Drop(turn) => self.drop_answer(turn),
                Action::Speak { sentence, text } => self.speak(sentence, text),
                Action::Press(keys) => self.line.order(LineOrder::Press(keys)),
                Action::Hush => self.hush(),
                Action::Keep(turn) => self.keep(turn),
                Action::End(Ending::AgentHungUp) => return Some(EndReason::AgentHangup),
                Action::End(Ending::Silence) => return Some(EndReason::Silence),
                Action::End(Ending::Transferred) => self.transfer(),
            }
        }
        None
    }

    fn ask(&mut self, turn: TurnNumber, words: String, confidence: f64) {
        match self.party.takes(&words) {
            Some(Machine::Voicemail(message)) => {
                self.reason = Some(EndReason::Voicemail);
                return self.answer_machine(turn, message, After::Hangup);
            }
            Some(Machine::Screener(message)) => return self.answer_machine(turn, Some(message), After::Listen),
            None => {}
        }
        self.notes.mark(Mark::BrainAsked { turn });
        self.first = false;
        self.asking = Some(tracing::info_span!("brain", turn));
        // The last of them is the question itself.
        let so_far = self.so_far.iter().filter(|one| one.turn < turn).cloned().collect();
        let answers = self.brain.ask(Question { turn, words, confidence, so_far });
        self.answers = Some((turn, answers));
    }

    /// A machine gets what the plan has for it; no brain is asked.
    fn answer_machine(&mut self, turn: TurnNumber, message: Option<String>, after: After) {
        if let Some(message) = message {
            self.input(Input::Answer(turn, Answer::Text(message)));
        }
        self.input(Input::Answer(turn, Answer::Ended(after)));
    }

    fn drop_answer(&mut self, turn: TurnNumber) {
        if self.answers.as_ref().is_some_and(|(asked, _)| *asked == turn) {
            self.answers = None;
            self.asking = None;
        }
    }

    fn speak(&mut self, sentence: SentenceId, text: String) {
        let SentenceId { turn, number } = sentence;
        self.notes.mark(Mark::SpeakerAsked { turn, sentence: number });
        self.line.order(LineOrder::Speak { sentence, text });
    }

    fn hush(&mut self) {
        self.notes.mark(Mark::BargeIn { turn: self.heard });
        self.line.order(LineOrder::Hush);
    }

    fn keep(&mut self, turn: Turn) {
        self.so_far.push(turn.clone());
        self.notes.said(turn);
    }

    fn transfer(&mut self) {
        let Some(to) = self.plan.transfer_to.clone() else {
            self.notes.mark(Mark::Transfer("the agent has no transfer number".to_owned()));
            return self.go_on();
        };
        self.notes.mark(Mark::Transfer("ordered".to_owned()));
        self.transfer = Some(Instant::now() + self.plan.ring_for);
        self.line.order(LineOrder::Transfer(to));
    }

    fn not_transferred(&mut self) {
        if self.transfer.take().is_some() {
            self.notes.mark(Mark::Transfer("failed".to_owned()));
            self.go_on();
        }
    }

    /// Nobody took the caller over: they are still ours, and hear that something went wrong.
    fn go_on(&mut self) {
        self.taking.resume(self.answered.elapsed());
        let apology = self.plan.manners.apology.clone();
        self.input(Input::Greet(apology));
    }
}

async fn next_answer(answers: &mut Option<(TurnNumber, Answers)>) -> (TurnNumber, Answer) {
    match answers {
        Some((turn, answers)) => (*turn, answers.next().await),
        None => std::future::pending().await,
    }
}
