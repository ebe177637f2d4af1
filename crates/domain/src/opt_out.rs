//! What a person may text to be left alone, to be texted again, or to be told who this is.
//!
//! In: the text of a message. Out: which keyword it is, if it is one and nothing else. Never here: who is opted out.

use std::borrow::Cow;
use std::collections::BTreeMap;

use unicode_normalization::UnicodeNormalization;

/// The words that carriers ask every sender of the North American networks to know.
const ALWAYS: [(Keyword, &[&str]); 3] = [
    (
        Keyword::Stop,
        &["STOP", "STOPALL", "STOP ALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT", "OPT OUT"],
    ),
    (Keyword::Start, &["START", "YES", "UNSTOP"]),
    (Keyword::Help, &["HELP", "INFO"]),
];
/// The one that is an answer to many another question too.
const AMBIGUOUS: &str = "yes";
/// The language of [`ALWAYS`].
pub const FIRST_LANGUAGE: &str = "en";
/// No keyword is longer.
pub const LONGEST: usize = 40;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Keyword {
    Stop,
    Start,
    Help,
}

/// A keyword as it was said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said<'a> {
    pub keyword: Keyword,
    /// As the table has it.
    pub word: &'a str,
    pub language: &'a str,
    /// It means what it says only to somebody who is opted out; else it is an ordinary answer.
    pub only_if_out: bool,
}

/// The keywords of an installation.
#[derive(Debug, Clone)]
pub struct Keywords {
    known: BTreeMap<String, (Keyword, String)>,
    longest: usize,
}

impl Default for Keywords {
    fn default() -> Self {
        Self::new(std::iter::empty::<(Keyword, &str, &str)>())
    }
}

impl Keywords {
    /// The English ones, which are always known, and those of other languages: what it asks for, its language, the word.
    #[must_use]
    pub fn new<'a>(more: impl IntoIterator<Item = (Keyword, &'a str, &'a str)>) -> Self {
        let always =
            ALWAYS.iter().flat_map(|(keyword, words)| words.iter().map(|word| (*keyword, FIRST_LANGUAGE, *word)));
        let mut known = BTreeMap::new();
        for (keyword, language, word) in always.chain(more) {
            known.entry(plain(word)).or_insert((keyword, language.to_owned()));
        }
        let longest = known.keys().map(|word| word.chars().count()).max().unwrap_or(0);
        Self { known, longest }
    }

    /// The keyword that a text is, where it is one and nothing else.
    #[must_use]
    pub fn read(&self, text: &str) -> Option<Said<'_>> {
        let text = without_keycaps(text);
        let inner = bare(&text);
        // Most texts end here, for one look at their length. Capitals may be longer than small letters, but not so much.
        if inner.is_empty()
            || inner.len() > LONGEST * 16
            || inner.chars().take(self.longest * 3 + 1).count() > self.longest * 3
        {
            return None;
        }
        let spaced = plain(inner);
        let known = |word: &str| self.known.get_key_value(word);
        let (word, (keyword, language)) = known(&spaced)
            .or_else(|| known(said_again(&spaced)?))
            .or_else(|| inner.contains('.').then(|| plain(&inner.replace('.', ""))).and_then(|word| known(&word)))?;
        let only_if_out = *keyword == Keyword::Start && word == AMBIGUOUS;
        Some(Said { keyword: *keyword, word, language, only_if_out })
    }
}

/// Whether a text can be a keyword: it has letters or digits and is short.
#[must_use]
pub fn can_be_keyword(word: &str) -> bool {
    !bare(word).is_empty() && word.chars().count() <= LONGEST
}

/// Without what stands around the words: blanks, punctuation, quotes, pictures.
fn bare(text: &str) -> &str {
    text.trim_matches(|c: char| !c.is_alphanumeric())
}

/// Without digits in boxes, which are pictures.
fn without_keycaps(text: &str) -> Cow<'_, str> {
    const BOX: char = '\u{20e3}';
    if !text.contains(BOX) {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        if c != BOX {
            plain.push(c);
            continue;
        }
        if plain.ends_with('\u{fe0f}') {
            plain.pop();
        }
        if plain.ends_with(|c: char| c.is_ascii_digit()) {
            plain.pop();
        }
        plain.push(' ');
    }
    Cow::Owned(plain)
}

/// What is said where the same is said several times.
fn said_again(plain: &str) -> Option<&str> {
    let words: Vec<&str> = plain.split(' ').collect();
    let once = (1..=words.len() / 2)
        .filter(|length| words.len().is_multiple_of(*length))
        .find(|length| words.chunks(*length).all(|chunk| *chunk == words[..*length]))?;
    let length: usize = words[..once].iter().map(|word| word.len()).sum();
    plain.get(..length + once - 1)
}

/// As it is compared: without capitals and forms of letters, one blank for any hyphens, stops and blanks within.
fn plain(word: &str) -> String {
    let mut plain = String::with_capacity(word.len());
    let mut gap = false;
    let one_form: String = bare(word).nfkc().collect();
    for c in bare(&one_form).chars() {
        if c.is_whitespace() || matches!(c, '-' | '.' | ',' | ';' | '!' | '?' | '\u{2010}'..='\u{2015}' | '_') {
            gap = true;
            continue;
        }
        if std::mem::take(&mut gap) {
            plain.push(' ');
        }
        // Up and down again: that is how letters that have several small forms become one.
        plain.extend(c.to_uppercase().flat_map(char::to_lowercase));
    }
    plain
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn keywords() -> Keywords {
        Keywords::new([(Keyword::Stop, "es", "ALTO"), (Keyword::Help, "es", "AYUDA"), (Keyword::Stop, "de", "Schluß")])
    }

    fn read(text: &str) -> Option<(Keyword, String)> {
        keywords().read(text).map(|said| (said.keyword, said.language.to_owned()))
    }

    #[test]
    fn keywords_are_known_however_they_are_written() {
        for text in [
            "STOP",
            "stop",
            " Stop. ",
            "\"STOP\"",
            "“stop”",
            "stop!!!",
            "🛑 STOP 🛑",
            "\u{200b}stop\n",
            "StopAll",
            "stop all",
            "Unsubscribe",
            "CANCEL",
            "end",
            "Quit.",
            "revoke",
            "OPTOUT",
            "Opt out",
            "opt-out",
            "OPT – OUT",
            "ＳＴＯＰ",
            "S.T.O.P.",
            "s.t.o.p",
            "opt.out",
            "STOP STOP",
            "Stop! Stop! STOP",
            "stop all stop all",
            "1\u{fe0f}\u{20e3}STOP",
            "STOP 2\u{fe0f}\u{20e3}",
            "𝐒𝐓𝐎𝐏",
        ] {
            assert_eq!(read(text), Some((Keyword::Stop, "en".to_owned())), "{text}");
        }
        assert_eq!(read("Unstop"), Some((Keyword::Start, "en".to_owned())));
        assert_eq!(read("(info)"), Some((Keyword::Help, "en".to_owned())));
        assert_eq!(read("¡Alto!"), Some((Keyword::Stop, "es".to_owned())));
        assert_eq!(read("SCHLUSS"), Some((Keyword::Stop, "de".to_owned())));
    }

    #[test]
    fn only_the_whole_message_is_a_keyword() {
        for text in [
            "Please stop by",
            "stop it",
            "don't stop",
            "the end",
            "help me",
            "",
            "🛑",
            "...",
            "st op",
            "stopp",
            "stop start",
            "1 stop",
            "stop. it",
            "the.end",
            "e n d",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn a_yes_is_an_answer_to_many_questions() {
        let keywords = keywords();
        let ambiguous = |text| keywords.read(text).map(|said| said.only_if_out);
        assert_eq!(
            (ambiguous("Yes!"), ambiguous("start"), ambiguous("unstop")),
            (Some(true), Some(false), Some(false))
        );
    }

    #[test]
    fn the_standard_words_can_not_be_given_another_meaning() {
        let keywords = Keywords::new([(Keyword::Start, "xx", "STOP")]);
        assert_eq!(keywords.read("stop").map(|said| said.keyword), Some(Keyword::Stop));
    }

    proptest! {
        #[test]
        fn whatever_stands_around_a_keyword_does_not_hide_it(
            before in "[^\\p{L}\\p{N}]{0,12}",
            after in "[^\\p{L}\\p{N}]{0,12}",
            word in prop::sample::select(vec!["STOP", "stopall", "Unsubscribe", "cancel", "END", "quit", "REVOKE", "OptOut",
                "opt out", "START", "yes", "UNSTOP", "help", "INFO", "alto"]),
            capitals in any::<u64>(),
        ) {
            let word: String = word.chars().enumerate()
                .map(|(n, c)| if capitals >> (n % 64) & 1 == 1 { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() })
                .collect();
            // Marks that Unicode counts as letters are part of a word.
            prop_assume!(before.chars().chain(after.chars()).all(|c| !c.is_alphanumeric()));
            let keywords = keywords();
            let alone = keywords.read(&word).map(|said| said.keyword);
            prop_assert!(alone.is_some());
            let text = format!("{before}{word}{after}");
            prop_assert_eq!(keywords.read(&text).map(|said| said.keyword), alone);
        }

        #[test]
        fn another_word_beside_it_makes_it_an_ordinary_text(
            word in prop::sample::select(vec!["STOP", "end", "yes", "help", "alto"]),
            other in "[a-z]{1,8}",
            first in any::<bool>(),
        ) {
            prop_assume!(!(word.eq_ignore_ascii_case(&other) || word == "STOP" && other == "all"));
            let text = if first { format!("{other} {word}") } else { format!("{word} {other}") };
            prop_assert!(keywords().read(&text).is_none());
        }

        #[test]
        fn reading_never_panics_and_agrees_with_the_trimmed_text(text in "\\PC{0,60}") {
            let keywords = keywords();
            prop_assert_eq!(keywords.read(&text), keywords.read(&format!("  {text}! ")));
        }
    }
}
