//! Who took a call of ours: a person, a machine that takes messages, or one that asks who calls. In: the first words that are
//! heard. Out: what to say to a machine. Only words are looked at, and only those before the conversation has begun.

use crate::call::Origin;
use crate::host::Plan;

/// After so many turns it is a person, whatever they say.
const MACHINES_SPEAK_WITHIN: u32 = 2;

/// What machines say that take messages, in lower case.
const VOICEMAIL: [&str; 14] = [
    "leave a message",
    "leave your message",
    "leave me a message",
    "record your message",
    "after the tone",
    "after the beep",
    "at the tone",
    "voicemail",
    "voice mail",
    "is not available to take your call",
    "can't take your call",
    "cannot take your call",
    "can't come to the phone",
    "mailbox",
];

/// And those that ask for a name before they put anybody through.
const SCREENER: [&str; 8] = [
    "state your name",
    "say your name",
    "record your name",
    "who is calling",
    "who's calling",
    "reason for your call",
    "reason for calling",
    "why you're calling",
];

/// Tells people from machines.
#[derive(Debug)]
pub struct AnsweringParty {
    /// Turns left in which it may be a machine.
    left: u32,
    voicemail_message: Option<String>,
    screening: Option<(String, String)>,
}

/// A machine, and what it is to hear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Machine {
    Voicemail(Option<String>),
    Screener(String),
}

impl AnsweringParty {
    /// Who calls us is nobody's answering machine.
    #[must_use]
    pub fn of(origin: Origin, plan: &Plan) -> Self {
        Self {
            left: if origin == Origin::Ours { MACHINES_SPEAK_WITHIN } else { 0 },
            voicemail_message: plan.voicemail_message.clone(),
            screening: plan.screening.clone(),
        }
    }

    /// Whether a turn of theirs is a machine's.
    pub fn takes(&mut self, words: &str) -> Option<Machine> {
        self.left = self.left.checked_sub(1)?;
        let words = words.to_lowercase();
        let says = |phrases: &[&str]| phrases.iter().any(|phrase| words.contains(phrase));
        if says(&VOICEMAIL) {
            self.left = 0;
            return Some(Machine::Voicemail(self.voicemail_message.clone()));
        }
        let (identity, purpose) = self.screening.clone().filter(|_| says(&SCREENER))?;
        Some(Machine::Screener(format!("{identity}. {purpose}").trim_end_matches([' ', '.']).to_owned() + "."))
    }
}
