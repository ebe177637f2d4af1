//! The voices an agent can speak with, without any account elsewhere: what runs on this machine, and typing.
//!
//! The first one speaks where an agent names none. An agent may name a voice that is not listed, such as one of the
//! reference service or of a speech server an operator adds: it is kept, and the first one speaks in its place.

/// A voice and who makes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Voice {
    pub id: &'static str,
    pub name: &'static str,
    pub provider: &'static str,
    pub gender: Option<&'static str>,
    pub accent: Option<&'static str>,
}

/// The voice of an agent that names none.
pub const DEFAULT: &str = VOICES[0].id;

/// flite and espeak-ng are programs of the machine; `text` is the sandbox's: nothing is heard, the words are typed.
pub const VOICES: &[Voice] = &[
    voice("flite-slt", "Slt", "flite", Some("female"), Some("American")),
    voice("flite-rms", "Rms", "flite", Some("male"), Some("American")),
    voice("flite-kal16", "Kal", "flite", Some("male"), Some("American")),
    voice("flite-awb", "Awb", "flite", Some("male"), Some("Scottish")),
    voice("espeak-en-us", "English (America)", "espeak-ng", Some("male"), Some("American")),
    voice("espeak-en-gb", "English (Great Britain)", "espeak-ng", Some("male"), Some("British")),
    voice("espeak-de", "German", "espeak-ng", Some("male"), None),
    voice("espeak-es", "Spanish", "espeak-ng", Some("male"), None),
    voice("espeak-fr", "French", "espeak-ng", Some("male"), None),
    voice("text", "Text", "text", None, None),
];

const fn voice(
    id: &'static str,
    name: &'static str,
    provider: &'static str,
    gender: Option<&'static str>,
    accent: Option<&'static str>,
) -> Voice {
    Voice { id, name, provider, gender, accent }
}
