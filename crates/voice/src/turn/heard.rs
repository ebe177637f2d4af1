//! What of the agent's words was heard. In: sentences, and how far each was played. Out: the words, cut where it broke off.

use std::time::Duration;

/// A sentence's number in its turn, from 0.
pub type SentenceNumber = usize;

/// One turn of the agent's.
#[derive(Debug, Clone, Default)]
pub struct Said {
    sentences: Vec<Sentence>,
}

#[derive(Debug, Clone)]
struct Sentence {
    text: String,
    part: Part,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Part {
    None,
    /// Of the whole, from 0 to 1.
    Some(f64),
    All,
    /// No more of it comes than this part.
    BrokenOff(f64),
}

impl Said {
    pub fn say(&mut self, text: String) -> SentenceNumber {
        self.sentences.push(Sentence { text, part: Part::None });
        self.sentences.len() - 1
    }

    /// So much of a sentence was played; `whole` is how long it is, or will be at least.
    pub fn played(&mut self, number: SentenceNumber, so_far: Duration, whole: Duration) {
        if let Some(sentence) = self.sentences.get_mut(number)
            && matches!(sentence.part, Part::None | Part::Some(_))
            && !whole.is_zero()
        {
            sentence.part = Part::Some((so_far.as_secs_f64() / whole.as_secs_f64()).min(1.0));
        }
    }

    pub fn played_all(&mut self, number: SentenceNumber) {
        if let Some(sentence) = self.sentences.get_mut(number)
            && !matches!(sentence.part, Part::BrokenOff(_))
        {
            sentence.part = Part::All;
        }
    }

    /// No more of a sentence will be played.
    pub fn broke_off(&mut self, number: SentenceNumber) {
        if let Some(sentence) = self.sentences.get_mut(number) {
            sentence.part = match sentence.part {
                Part::None => Part::BrokenOff(0.0),
                Part::Some(part) => Part::BrokenOff(part),
                over => over,
            };
        }
    }

    /// Whether everything was played to its end.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.sentences.iter().all(|sentence| matches!(sentence.part, Part::All | Part::BrokenOff(_)))
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sentences.is_empty()
    }

    /// The words that were heard.
    #[must_use]
    pub fn heard(&self) -> String {
        let mut all = String::new();
        for sentence in &self.sentences {
            let part = match sentence.part {
                Part::None => "",
                Part::Some(part) | Part::BrokenOff(part) => words_of(&sentence.text, part),
                Part::All => &sentence.text,
            };
            if !all.is_empty() && !part.is_empty() {
                all.push(' ');
            }
            all.push_str(part);
        }
        all
    }
}

/// The whole words that are within the first `part` of a text.
fn words_of(text: &str, part: f64) -> &str {
    let total = text.chars().count() as f64;
    let (mut end, mut chars) = (0, 0);
    for word in text.split_inclusive(char::is_whitespace) {
        let bare = word.trim_end();
        // By half a character, for the arithmetic.
        if (chars + bare.chars().count()) as f64 > total * part + 0.5 {
            break;
        }
        chars += word.chars().count();
        end += word.len();
    }
    text[..end].trim_end()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_broke_off_is_cut_at_a_word() {
        let mut said = Said::default();
        let first = said.say("Hello there.".to_owned());
        let second = said.say("Your order will be ready at noon.".to_owned());
        said.say("Anything else?".to_owned());
        said.played_all(first);
        said.played(second, Duration::from_millis(500), Duration::from_secs(1));
        assert_eq!(said.heard(), "Hello there. Your order will");
        assert!(!said.is_over());
    }

    #[test]
    fn a_sentence_that_could_not_be_spoken_is_over_and_was_not_heard() {
        let mut said = Said::default();
        let [first, second] = ["Good morning to you.", "What can I do?"].map(|text| said.say(text.to_owned()));
        said.played(first, Duration::from_millis(500), Duration::from_secs(1));
        said.broke_off(first);
        said.broke_off(second);
        said.played_all(first);
        assert_eq!(said.heard(), "Good");
        assert!(said.is_over());
    }

    #[test]
    fn what_was_not_begun_was_not_heard() {
        let mut said = Said::default();
        said.say("Hello.".to_owned());
        assert_eq!(said.heard(), "");
    }

    proptest! {
        #[test]
        fn what_was_heard_is_how_it_began(text in "\\PC{0,80}", part in 0.0..=1.0_f64) {
            let heard = words_of(&text, part);
            prop_assert!(text.starts_with(heard));
            let rest = &text[heard.len()..];
            prop_assert!(heard.is_empty() || rest.is_empty() || rest.starts_with(char::is_whitespace));
        }

        #[test]
        fn the_whole_is_heard_in_the_end(text in "[a-zäß .,]{0,80}") {
            prop_assert_eq!(words_of(&text, 1.0), text.trim_end());
        }
    }
}
