//! What a webhook answers to a turn, as it streams in: one JSON object, or several (NDJSON, or one behind the other, also over
//! several lines). In: bytes, torn anywhere. Out: answers. Never here: the network.
//!
//! Anything that is no object is passed over. No string of JSON has a line break in it, so that what is broken ends with its
//! line at the latest.

use offhook_voice::turn::taking::{After, Answer};
use serde_json::{Map, Value};

use super::markup::Markup;

/// Nobody presses more in one turn.
const MOST_DIGITS: usize = 256;
/// No object is longer; what is, is no answer of a turn.
const LONGEST_OBJECT: usize = 1024 * 1024;

/// Reads one turn's answer.
#[derive(Debug, Default)]
pub struct Parser {
    value: Reading,
    markup: Markup,
    ended: bool,
}

/// The value that is being read.
#[derive(Debug, Default)]
struct Reading {
    bytes: Vec<u8>,
    depth: usize,
    in_string: bool,
    escaped: bool,
}

impl Parser {
    /// What these bytes complete. Behind [`Answer::Ended`] there is nothing.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Answer> {
        let mut answers = Vec::new();
        for byte in bytes {
            if self.ended {
                break;
            }
            if let Some(object) = self.value.push(*byte) {
                self.object(&object, &mut answers);
            }
        }
        answers
    }

    /// There is no more. A turn that was kept open, or said nothing, is over.
    pub fn finish(&mut self) -> Vec<Answer> {
        if self.ended {
            return Vec::new();
        }
        let mut answers = Vec::new();
        self.text(&mut answers, |markup| markup.finish());
        self.ended = true;
        answers.push(Answer::Ended(After::Listen));
        answers
    }

    fn object(&mut self, object: &Map<String, Value>, answers: &mut Vec<Answer>) {
        if let Some(text) = object.get("text").and_then(Value::as_str) {
            self.text(answers, |markup| markup.push(text));
        }
        let action = object.get("action").and_then(Value::as_str);
        let after = if object.get("hangup") == Some(&Value::Bool(true)) || action == Some("hangup") {
            Some(After::Hangup)
        } else {
            (action == Some("transfer")).then_some(After::Transfer)
        };
        let stays_open = object.get("interim") == Some(&Value::Bool(true)) && after.is_none();
        if !stays_open {
            self.text(answers, |markup| markup.finish());
        }
        answers.extend(digits(object).map(Answer::Digits));
        if !stays_open {
            self.ended = true;
            answers.push(Answer::Ended(after.unwrap_or(After::Listen)));
        }
    }

    fn text(&mut self, answers: &mut Vec<Answer>, take: impl FnOnce(&mut Markup) -> String) {
        let text = take(&mut self.markup);
        if !text.trim().is_empty() {
            answers.push(Answer::Text(text));
            answers.push(Answer::ChunkEnded);
        }
    }
}

impl Reading {
    fn push(&mut self, byte: u8) -> Option<Map<String, Value>> {
        if self.depth == 0 && !self.in_string {
            match byte {
                b'{' | b'[' => self.depth = 1,
                b'"' => self.in_string = true,
                _ => return None,
            }
            self.bytes.clear();
            self.bytes.push(byte);
            return None;
        }
        if byte == b'\n' && self.in_string || self.bytes.len() >= LONGEST_OBJECT {
            *self = Self::default();
            return None;
        }
        self.bytes.push(byte);
        if self.in_string {
            self.in_string = self.escaped || byte != b'"';
            self.escaped = !self.escaped && byte == b'\\';
        } else {
            match byte {
                b'"' => self.in_string = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => self.depth -= 1,
                _ => {}
            }
        }
        if self.depth > 0 || self.in_string {
            return None;
        }
        let whole = std::mem::take(&mut self.bytes);
        match serde_json::from_slice(&whole) {
            Ok(Value::Object(object)) => Some(object),
            _ => None,
        }
    }
}

/// Keys to press: `0-9`, `*`, `#`, `A-D`, and `w` to wait; what else there is, is dropped.
fn digits(object: &Map<String, Value>) -> Option<String> {
    let given = ["digits", "press_digit", "dtmf"].iter().find_map(|name| object.get(*name))?;
    let text = match given {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    let key = |c: char| match c {
        'w' | 'W' => Some('w'),
        c if matches!(c.to_ascii_uppercase(), '0'..='9' | '*' | '#' | 'A'..='D') => Some(c.to_ascii_uppercase()),
        _ => None,
    };
    let keys: String = text.chars().filter_map(key).take(MOST_DIGITS).collect();
    (!keys.is_empty()).then_some(keys)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(bytes: &[u8], sizes: &[usize]) -> Vec<Answer> {
        let (mut parser, mut answers, mut rest) = (Parser::default(), Vec::new(), bytes);
        let mut sizes = sizes.iter().copied().cycle();
        while !rest.is_empty() {
            let (piece, more) = rest.split_at(sizes.next().unwrap_or(usize::MAX).clamp(1, rest.len()));
            answers.extend(parser.push(piece));
            rest = more;
        }
        answers.extend(parser.finish());
        answers
    }

    fn said(text: &str) -> Vec<String> {
        let show = |answer: Answer| match answer {
            Answer::Text(text) => Some(text),
            Answer::ChunkEnded => None,
            other => Some(format!("{other:?}")),
        };
        read(text.as_bytes(), &[usize::MAX]).into_iter().filter_map(show).collect()
    }

    #[test]
    fn one_object_is_one_turn() {
        assert_eq!(said(r#"{"text": "Hello."}"#), ["Hello.", "Ended(Listen)"]);
        assert_eq!(said("{\n  \"text\": \"Hello.\",\n  \"mood\": {\"x\": [1]}\n}\n"), ["Hello.", "Ended(Listen)"]);
    }

    #[test]
    fn a_turn_goes_on_until_the_first_that_is_not_interim() {
        let lines = "{\"text\":\"One.\",\"interim\":true}\r\n{\"text\":\"Two.\",\"interim\":true}{\"text\":\"Three.\"}\n{\"text\":\"Never.\"}";
        assert_eq!(said(lines), ["One.", "Two.", "Three.", "Ended(Listen)"]);
        assert_eq!(said("{\"text\":\"One.\",\"interim\":true}"), ["One.", "Ended(Listen)"], "it just stops");
    }

    #[test]
    fn a_call_is_ended_or_handed_over_behind_the_words() {
        assert_eq!(said(r#"{"text":"Bye.","hangup":true}"#), ["Bye.", "Ended(Hangup)"]);
        assert_eq!(said(r#"{"action":"hangup"}"#), ["Ended(Hangup)"]);
        assert_eq!(said(r#"{"text":"Moment.","action":"transfer"}"#), ["Moment.", "Ended(Transfer)"]);
        assert_eq!(said(r#"{"hangup":"true","action":"dance"}"#), ["Ended(Listen)"]);
    }

    #[test]
    fn keys_are_those_that_a_phone_has() {
        assert_eq!(said(r##"{"digits":"1w2#x-d"}"##), [r##"Digits("1w2#D")"##, "Ended(Listen)"]);
        assert_eq!(said(r#"{"press_digit": 5}"#), [r#"Digits("5")"#, "Ended(Listen)"]);
        assert_eq!(said(r#"{"dtmf":"hello"}"#), ["Ended(Listen)"]);
    }

    #[test]
    fn what_says_nothing_is_silence() {
        for nothing in ["", "OK", r#"{"ok": true}"#, "null", "[{\"text\":\"no\"}]", "\"{}\"", "{\"text\": 5}", "<html>"]
        {
            assert_eq!(said(nothing), ["Ended(Listen)"], "{nothing}");
        }
    }

    #[test]
    fn what_is_broken_ends_with_its_line() {
        let broken = "{\"text\": \"torn\nI am \"fine\n{\"text\": \"Whole.\"}\n";
        assert_eq!(said(broken), ["Whole.", "Ended(Listen)"]);
    }

    #[test]
    fn leaked_markup_is_not_spoken_wherever_it_is_torn() {
        let lines = "{\"text\":\"Sure. <function_\",\"interim\":true}\n{\"text\":\"call>{}</function_call> Done.\"}";
        assert_eq!(said(lines), ["Sure. ", " Done.", "Ended(Listen)"]);
    }

    proptest! {
        #[test]
        fn it_is_the_same_answer_wherever_it_is_torn(
            texts in prop::collection::vec("\\PC{0,20}", 0..5),
            sizes in prop::collection::vec(1..9_usize, 1..9),
        ) {
            let mut body = String::new();
            for text in &texts {
                body.push_str(&serde_json::json!({"text": text, "interim": true}).to_string());
                body.push('\n');
            }
            body.push_str("{\"text\":\"end\"}");
            prop_assert_eq!(read(body.as_bytes(), &sizes), read(body.as_bytes(), &[usize::MAX]));
        }

        #[test]
        fn any_bytes_end_in_one_end(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let answers = read(&bytes, &[3]);
            let ends = answers.iter().filter(|answer| matches!(answer, Answer::Ended(_))).count();
            prop_assert_eq!(ends, 1);
            prop_assert!(matches!(answers.last(), Some(Answer::Ended(_))));
        }
    }
}
