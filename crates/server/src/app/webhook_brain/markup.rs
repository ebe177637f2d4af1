//! Markup that a model leaks is not spoken: calls of functions, thoughts, marks of its template. In: text, torn anywhere. Out:
//! the text without them. What is opened and never closed swallows what stands behind it: better silence than a caller who
//! is read JSON.

/// What stands between such a tag and its end is not for ears.
const TAGS: [&str; 11] = [
    "function_calls",
    "function_call",
    "function_results",
    "tool_calls",
    "tool_call",
    "tool_use",
    "tool_response",
    "invoke",
    "thinking",
    "think",
    "scratchpad",
];
/// Tags are no longer, with what stands in them beside their names.
const LONGEST_TAG: usize = 256;

/// What was read of one turn.
#[derive(Debug, Default)]
pub struct Markup {
    /// The beginning of what may be a tag.
    held: String,
    /// The tag that is open.
    inside: Option<&'static str>,
}

/// What a `<` and what stands behind it is.
enum Found {
    /// It may become a tag.
    Perhaps,
    Opens(&'static str, usize),
    /// A tag by itself, or a mark of a template, of so many bytes.
    Mark(usize),
    Text,
}

impl Markup {
    /// What of this is to be spoken now.
    pub fn push(&mut self, text: &str) -> String {
        self.held.push_str(text);
        let held = std::mem::take(&mut self.held);
        let mut out = String::new();
        let mut rest = held.as_str();
        loop {
            if let Some(tag) = self.inside {
                match end_of(rest, tag) {
                    Some(end) => {
                        rest = &rest[end..];
                        self.inside = None;
                    }
                    None => {
                        // An end may be torn.
                        let from = rest.rfind('<').unwrap_or(rest.len());
                        self.held = rest[from..].chars().take(LONGEST_TAG).collect();
                        return out;
                    }
                }
            }
            let Some(at) = rest.find('<') else {
                out.push_str(rest);
                return out;
            };
            out.push_str(&rest[..at]);
            rest = &rest[at..];
            match look(rest) {
                Found::Perhaps => {
                    self.held = rest.to_owned();
                    return out;
                }
                Found::Opens(tag, length) => {
                    self.inside = Some(tag);
                    rest = &rest[length..];
                }
                Found::Mark(length) => rest = &rest[length..],
                Found::Text => {
                    out.push('<');
                    rest = &rest[1..];
                }
            }
        }
    }

    /// What was held back, now that nothing follows.
    pub fn finish(&mut self) -> String {
        let held = std::mem::take(&mut self.held);
        if self.inside.take().is_some() { String::new() } else { held }
    }
}

/// `text` begins with `<`.
fn look(text: &str) -> Found {
    let lower = text.get(..text.len().min(LONGEST_TAG)).unwrap_or(text).to_ascii_lowercase();
    if let Some(template) = lower.strip_prefix("<|") {
        return match template.find("|>") {
            Some(end) => Found::Mark(end + 4),
            None if template.len() < LONGEST_TAG / 4 && !template.contains(char::is_whitespace) => Found::Perhaps,
            None => Found::Text,
        };
    }
    let (closes, name) = lower[1..].strip_prefix('/').map_or((false, &lower[1..]), |name| (true, name));
    for tag in TAGS {
        if name.len() <= tag.len() {
            if tag.starts_with(name) && name != tag {
                return Found::Perhaps;
            }
            if name == tag {
                return Found::Perhaps;
            }
            continue;
        }
        let Some(behind) = name.strip_prefix(tag) else { continue };
        if !behind.starts_with(['>', ' ', '/', '\n', '\t']) {
            continue;
        }
        let Some(end) = lower.find('>') else {
            return if lower.len() < LONGEST_TAG { Found::Perhaps } else { Found::Text };
        };
        let alone = closes || lower[..end].ends_with('/');
        return if alone { Found::Mark(end + 1) } else { Found::Opens(tag, end + 1) };
    }
    if lower == "<" { Found::Perhaps } else { Found::Text }
}

/// Behind the end of a tag.
fn end_of(text: &str, tag: &str) -> Option<usize> {
    let lower = text.to_ascii_lowercase();
    let close = format!("</{tag}");
    let mut from = 0;
    while let Some(at) = lower[from..].find(&close).map(|at| from + at) {
        let behind = at + close.len();
        match lower[behind..].chars().next() {
            Some('>') => return Some(behind + 1),
            Some(c) if c.is_ascii_whitespace() => return lower[behind..].find('>').map(|end| behind + end + 1),
            _ => from = behind,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn spoken(pieces: &[&str]) -> String {
        let mut markup = Markup::default();
        let mut out: String = pieces.iter().map(|piece| markup.push(piece)).collect();
        out.push_str(&markup.finish());
        out
    }

    #[test]
    fn calls_and_thoughts_are_left_out() {
        assert_eq!(spoken(&["Yes. <function_call>{\"a\":1}</function_call>Done."]), "Yes. Done.");
        assert_eq!(spoken(&["<think>hm</think>", "Hello <|end|>there"]), "Hello there");
        assert_eq!(spoken(&["<tool_call name=\"x\">a <b> c</tool_call >Hi"]), "Hi");
        assert_eq!(spoken(&["Before <FUNCTION_CALLS><invoke>x"]), "Before ", "never closed");
        assert_eq!(spoken(&["Odd </think> end"]), "Odd  end");
    }

    #[test]
    fn other_signs_are_spoken() {
        for text in ["1 < 2 and 3 > 2", "I <3 you", "a < b", "<b>bold</b>", "<thinker>", "ends with <", "<fun"] {
            assert_eq!(spoken(&[text]), text);
        }
    }

    proptest! {
        #[test]
        fn it_is_the_same_wherever_it_is_torn(
            parts in prop::collection::vec(
                prop_oneof![
                    Just("<think>"), Just("</think>"), Just("<tool_call a>"), Just("</tool_call>"), Just("<|x|>"),
                    Just("<"), Just("word "), Just("größe>"), Just("<fun")
                ], 0..8),
            at in any::<prop::sample::Index>(),
        ) {
            let text: String = parts.concat();
            let cut = (0..=text.len()).rev().skip(at.index(text.len() + 1)).find(|cut| text.is_char_boundary(*cut));
            let (first, second) = text.split_at(cut.unwrap_or(0));
            prop_assert_eq!(spoken(&[first, second]), spoken(&[&text]));
        }
    }
}
