//! A cursor over one header field's value, whose line folds have become spaces. What is read is what §25.1 names.

use super::Malformed;

/// Reads a value from left to right.
#[derive(Clone, Copy)]
pub(super) struct Scanner<'a> {
    rest: &'a str,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { rest: text }
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    /// Linear white space, as much as there is; whether there was any.
    pub(super) fn white_space(&mut self) -> bool {
        let trimmed = self.rest.trim_start_matches([' ', '\t']);
        let any = trimmed.len() < self.rest.len();
        self.rest = trimmed;
        any
    }

    /// A separator with the white space that the grammar allows on both sides of it (SEMI, EQUAL, SLASH, COMMA, COLON).
    pub(super) fn separator(&mut self, separator: char) -> bool {
        let mut ahead = *self;
        ahead.white_space();
        if !ahead.exactly(separator) {
            return false;
        }
        ahead.white_space();
        *self = ahead;
        true
    }

    /// This character, and nothing around it.
    pub(super) fn exactly(&mut self, wanted: char) -> bool {
        match self.rest.strip_prefix(wanted) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// As many characters as are allowed; may be none.
    pub(super) fn run(&mut self, allowed: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !allowed(c)).unwrap_or(self.rest.len());
        let (run, rest) = self.rest.split_at(end);
        self.rest = rest;
        run
    }

    pub(super) fn token(&mut self, otherwise: Malformed) -> Result<&'a str, Malformed> {
        match self.run(is_token_char) {
            "" => Err(otherwise),
            token => Ok(token),
        }
    }

    /// A quoted-string, without its quotes and with its quoted-pairs resolved.
    pub(super) fn quoted(&mut self, otherwise: Malformed) -> Result<String, Malformed> {
        if !self.exactly('"') {
            return Err(otherwise);
        }
        let mut text = String::new();
        let mut chars = self.rest.char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.rest = &self.rest[at + 1..];
                    return Ok(text);
                }
                '\\' => match chars.next() {
                    Some((_, escaped)) if escaped.is_ascii() && escaped != '\n' && escaped != '\r' => {
                        text.push(escaped);
                    }
                    _ => return Err(otherwise),
                },
                other => text.push(other),
            }
        }
        Err(otherwise)
    }

    /// Nothing but white space may be left.
    pub(super) fn end(mut self, otherwise: Malformed) -> Result<(), Malformed> {
        self.white_space();
        if self.is_at_end() { Ok(()) } else { Err(otherwise) }
    }
}

pub(super) fn is_token_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-.!%*_+`'~".contains(c)
}

pub(super) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.chars().all(is_token_char)
}

/// `word` of the grammar, of which Call-ID is made.
pub(super) fn is_word(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| is_token_char(c) || "()<>:\\\"/[]?{}".contains(c))
}

/// Writes a quoted-string whose content reads back as `text`.
pub(super) fn write_quoted(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        // No quoted-pair can hold a line break, and a bare one would begin a header field for lenient readers.
        let c = if c == '\r' || c == '\n' { ' ' } else { c };
        if c == '"' || c == '\\' || (c.is_ascii_control() && c != '\t') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
}

/// The parts of a comma-separated list; commas in quotes and in angle brackets do not part. An unfinished quote reaches to
/// the end, and the part's own reader refuses it.
pub(super) fn split_list(value: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut quoted, mut escaped, mut angled) = (0, false, false, false);
    for (at, c) in value.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' if !angled => quoted = !quoted,
            '<' if !quoted => angled = true,
            '>' if !quoted => angled = false,
            ',' if !quoted && !angled => {
                parts.push(value[start..at].trim_matches([' ', '\t']));
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(value[start..].trim_matches([' ', '\t']));
    parts
}
