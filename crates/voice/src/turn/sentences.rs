//! What a brain streams, cut into what is spoken in one breath. In: pieces of text, cut anywhere. Out: sentences, without
//! the markup that models leak (contract `events.md`, Voice turns).

use std::mem;

/// The first piece may end at a comma from this length on, so that the agent begins to speak early.
const FIRST_CLAUSE: usize = 28;
/// Any piece is cut at a space from this length on: speech that is made in one go takes as long to begin.
const LONGEST: usize = 240;
/// No tag is longer; what is, was none.
const LONGEST_TAG: usize = 200;

/// Elements whose content is not for the ear.
const SILENT: [&str; 11] = [
    "function_call",
    "function_calls",
    "function_results",
    "tool_call",
    "tool_calls",
    "tool_use",
    "tool_result",
    "invoke",
    "thinking",
    "think",
    "reasoning",
];

/// A full stop behind these ends no sentence. Small letters.
const ABBREVIATIONS: [&str; 24] = [
    "mr", "mrs", "ms", "dr", "prof", "st", "no", "vs", "e.g", "i.e", "etc", "a.m", "p.m", "u.s", "approx", "dept",
    "inc", "ltd", "jr", "sr", "z.b", "ca", "bzw", "nr",
];

/// Cuts one turn's text.
#[derive(Debug, Default)]
pub struct Sentences {
    markup: Markup,
    /// Not cut yet.
    text: String,
    has_spoken: bool,
}

impl Sentences {
    /// What can be spoken now that `piece` came.
    pub fn push(&mut self, piece: &str) -> Vec<String> {
        let heard = self.markup.strip(piece);
        self.text.push_str(&heard);
        let mut sentences = Vec::new();
        while let Some(end) = cut(&self.text, !self.has_spoken && sentences.is_empty()) {
            let rest = self.text.split_off(end);
            sentences.extend(spoken(&mem::replace(&mut self.text, rest)));
        }
        self.has_spoken |= !sentences.is_empty();
        sentences
    }

    /// What is left at the end of the turn, or of a chunk that is a sentence by itself.
    pub fn finish(&mut self) -> Option<String> {
        self.text.push_str(&self.markup.finish());
        let last = spoken(&mem::take(&mut self.text));
        self.has_spoken |= last.is_some();
        last
    }
}

/// Without what is written and not said; nothing where there is no word left.
fn spoken(text: &str) -> Option<String> {
    let plain: String = text.chars().filter(|c| !matches!(c, '*' | '`' | '#' | '~' | '_')).collect();
    let words: Vec<&str> = plain.split_whitespace().collect();
    let text = words.join(" ");
    text.chars().any(char::is_alphanumeric).then_some(text)
}

/// Where the first sentence of `text` ends, if it surely does.
fn cut(text: &str, is_first: bool) -> Option<usize> {
    let mut last_space = None;
    for (count, (at, c)) in text.char_indices().enumerate() {
        let after = at + c.len_utf8();
        let ends = match c {
            '\n' | '。' | '！' | '？' => true,
            '.' | '!' | '?' | '…' => is_end(text, at, c),
            ',' | ';' | ':' | '–' | '—' => is_first && count >= FIRST_CLAUSE && followed_by_space(text, after),
            _ => false,
        };
        if ends {
            return Some(after + closing(&text[after..]));
        }
        if c.is_whitespace() {
            last_space = Some(after);
        }
        if count >= LONGEST {
            return Some(last_space.unwrap_or(after));
        }
    }
    None
}

/// Whether the mark at `at` ends a sentence: something must stand behind it that begins another.
fn is_end(text: &str, at: usize, mark: char) -> bool {
    let after = at + mark.len_utf8();
    let after = after + closing(&text[after..]);
    if !followed_by_space(text, after) {
        return false;
    }
    if mark != '.' {
        return true;
    }
    let word = text[..at].rsplit(|c: char| c.is_whitespace() || c == '(').next().unwrap_or("").to_lowercase();
    // "J. Smith", "Dr. No", "1. First"
    let is_short = word.chars().count() == 1 && word != "i";
    let is_numeral =
        !word.is_empty() && word.len() <= 2 && word.bytes().all(|b| b.is_ascii_digit()) && at == word.len();
    !(is_short || is_numeral || ABBREVIATIONS.contains(&word.as_str()))
}

fn followed_by_space(text: &str, after: usize) -> bool {
    text[after..].chars().next().is_some_and(char::is_whitespace)
}

/// How much of `rest` still belongs to the sentence before it.
fn closing(rest: &str) -> usize {
    rest.chars()
        .take_while(|c| matches!(c, '"' | '”' | '\'' | '’' | ')' | ']' | '.' | '!' | '?' | '*'))
        .map(char::len_utf8)
        .sum()
}

/// Leaves out tags, and what is within those that are not meant to be heard.
#[derive(Debug, Default)]
struct Markup {
    /// From a `<` on that may begin a tag.
    held: String,
    /// The silent element that is open.
    within: Option<String>,
}

impl Markup {
    fn strip(&mut self, piece: &str) -> String {
        let mut heard = String::new();
        for c in piece.chars() {
            if self.held.is_empty() && c != '<' {
                if self.within.is_none() {
                    heard.push(c);
                }
                continue;
            }
            if c == '<' && !self.held.is_empty() {
                // The one before began nothing.
                self.let_go(&mut heard);
            }
            self.held.push(c);
            if c == '>' {
                self.tag(&mut heard);
            } else if !may_be_tag(&self.held) {
                self.let_go(&mut heard);
            }
        }
        heard
    }

    /// A whole tag is held.
    fn tag(&mut self, heard: &mut String) {
        let tag = mem::take(&mut self.held);
        let inner = tag.trim_start_matches('<').trim_end_matches('>');
        let is_closing = inner.starts_with('/');
        let is_empty = inner.ends_with('/');
        let name = inner
            .trim_start_matches('/')
            .split(|c: char| c.is_whitespace() || c == '/' || c == '=')
            .next()
            .unwrap_or("");
        let name = name.rsplit(':').next().unwrap_or("").trim_matches('|').to_lowercase();
        match &self.within {
            Some(open) if is_closing && *open == name => self.within = None,
            None if !is_closing && !is_empty && SILENT.contains(&name.as_str()) => self.within = Some(name),
            // Two words must not become one where a tag was.
            None if is_block(&name) => heard.push(' '),
            _ => {}
        }
    }

    fn let_go(&mut self, heard: &mut String) {
        let held = mem::take(&mut self.held);
        if self.within.is_none() {
            heard.push_str(&held);
        }
    }

    fn finish(&mut self) -> String {
        let mut heard = String::new();
        // A tag that never ended is as little meant to be heard as one that did.
        let is_tag = self.held.len() > 1;
        if is_tag {
            self.held.clear();
        }
        self.let_go(&mut heard);
        self.within = None;
        heard
    }
}

fn is_block(name: &str) -> bool {
    matches!(name, "br" | "p" | "li" | "div" | "tr" | "ul" | "ol")
}

fn may_be_tag(held: &str) -> bool {
    let mut chars = held.chars().skip(1);
    match chars.next() {
        None => true,
        Some(c) => held.len() <= LONGEST_TAG && (c.is_alphabetic() || matches!(c, '/' | '!' | '|')),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A whole turn, in pieces of `size` characters.
    fn turn(text: &str, size: usize) -> Vec<String> {
        let mut sentences = Sentences::default();
        let chars: Vec<char> = text.chars().collect();
        let mut all: Vec<String> = Vec::new();
        for piece in chars.chunks(size) {
            all.extend(sentences.push(&piece.iter().collect::<String>()));
        }
        all.extend(sentences.finish());
        all
    }

    #[test]
    fn a_sentence_is_spoken_as_soon_as_it_is_over() {
        let mut sentences = Sentences::default();
        assert!(sentences.push("Your table is boo").is_empty());
        assert_eq!(sentences.push("ked. We look f"), ["Your table is booked."]);
        assert_eq!(sentences.finish().as_deref(), Some("We look f"));
    }

    #[test]
    fn numbers_abbreviations_and_initials_do_not_cut() {
        for whole in [
            "It is 3.5 miles, Dr. No said.",
            "Ask J. Smith about it.",
            "That is 12.50 dollars.",
            "Come at 5 p.m. on Monday.",
        ] {
            assert_eq!(turn(whole, 1).join("|"), whole);
        }
    }

    #[test]
    fn the_first_piece_may_be_a_clause() {
        assert_eq!(
            turn("Let me look that up for you now, it will not take long, I hope.", 5),
            ["Let me look that up for you now,", "it will not take long, I hope."]
        );
    }

    #[test]
    fn leaked_markup_is_not_spoken() {
        for (leaked, spoken) in [
            ("Sure. <function_call>{\"name\": \"x\", \"a\": \"1 < 2\"}</function_call> Done.", "Sure.|Done."),
            ("<thinking>Is it? Yes.</thinking>Yes, it is.", "Yes, it is."),
            ("One<br/>two and **three**.", "One two and three."),
            ("It is < 5 and > 3.", "It is < 5 and > 3."),
            ("Bye. <tool_call>{\"never\": ", "Bye."),
            ("Bye. <function_c", "Bye."),
            ("<|im_start|>Hi.<|im_end|>", "Hi."),
            ("<invoke name=\"x\">quiet</invoke>Loud.", "Loud."),
        ] {
            for size in [1, 3, 1000] {
                assert_eq!(turn(leaked, size).join("|"), spoken, "in pieces of {size}");
            }
        }
    }

    #[test]
    fn what_never_ends_is_cut_all_the_same() {
        let all = turn(&"word ".repeat(500), 7);
        assert!(all.len() > 5);
        assert!(all.iter().all(|piece| piece.chars().count() <= LONGEST + 1));
    }

    proptest! {
        #[test]
        fn the_cuts_of_the_stream_change_nothing(text in "[a-zA-Z0-9 .,!?<>/\\n*äß。-]{0,200}", size in 1_usize..20) {
            // A mark that comes alone, after its sentence, is not spoken: so the words count.
            let words = |size| turn(&text, size).concat().chars().filter(|c| c.is_alphanumeric()).collect::<String>();
            prop_assert_eq!(words(size), words(1));
        }

        #[test]
        fn no_word_is_lost(words in proptest::collection::vec("[a-z]{1,9}[.,!?]?", 0..80)) {
            let text = words.join(" ");
            prop_assert_eq!(turn(&text, 4).join(" "), text);
        }

        #[test]
        fn nothing_breaks_it(pieces in proptest::collection::vec("\\PC{0,30}", 0..10)) {
            let mut sentences = Sentences::default();
            for piece in pieces {
                sentences.push(&piece);
            }
            sentences.finish();
        }
    }
}
