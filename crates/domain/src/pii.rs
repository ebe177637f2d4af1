//! Personal data, so wrapped that a log can't show it by accident. In: any value that names a person or is what a person
//! wrote. Out: the same value for code that asks with `expose`, and a masked form for whatever prints it. Never here: a
//! way to print it whole but the operator's switch.
//!
//! ```
//! use offhook_domain::pii;
//! let (to, text) = ("+14155550123", "see you at six");
//! assert_eq!(format!("{} {}", pii::phone(to), pii::body(text)), "+1415***0123 [14 characters]");
//! ```

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::{Deserialize, Serialize};

static SHOWN: AtomicBool = AtomicBool::new(false);

/// The operator's switch, for the whole process: `true` prints personal data as it is. Set once, at start.
pub fn show_personal_data(shown: bool) {
    SHOWN.store(shown, Ordering::Relaxed);
}

/// A value whose `Debug` and `Display` are masked. Serialisation is not: an API's answer has to tell.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Pii<T>(T);

/// How a kind of personal data looks when it must not be seen.
pub trait Redact {
    /// Writes the masked form.
    ///
    /// # Errors
    /// Only when the formatter fails.
    fn redacted(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result;
}

/// A phone number, or another address of a person: an email, a short code.
pub type PiiPhone<T = String> = Pii<Phone<T>>;
/// What a person wrote.
pub type PiiBody<T = String> = Pii<Body<T>>;

/// Wraps a phone number or another address, often only to log it: `to = %pii::phone(&number)`.
pub fn phone<T: fmt::Display>(address: T) -> PiiPhone<T> {
    Pii(Phone(address))
}

/// Wraps a text, often only to log it: `body = %pii::body(&text)`.
pub fn body<T: fmt::Display>(text: T) -> PiiBody<T> {
    Pii(Body(text))
}

impl<T> Pii<T> {
    /// Wraps a value.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself. A reviewer looks at where it goes.
    pub const fn expose(&self) -> &T {
        &self.0
    }

    /// Unwraps the value.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T: Redact + fmt::Display> fmt::Display for Pii<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if SHOWN.load(Ordering::Relaxed) { self.0.fmt(f) } else { self.0.redacted(f) }
    }
}

impl<T: Redact + fmt::Debug> fmt::Debug for Pii<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if SHOWN.load(Ordering::Relaxed) { self.0.fmt(f) } else { self.0.redacted(f) }
    }
}

/// The kind "address of a person"; `Debug` and `Display` of it alone show the value.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Phone<T>(pub T);

/// The kind "what a person wrote"; `Debug` and `Display` of it alone show the value.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Body<T>(pub T);

/// `+1415***0123`: enough to recognise a number one knows, too little to call it.
impl<T: fmt::Display> Redact for Phone<T> {
    fn redacted(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string();
        if let Some((person, domain)) = text.split_once('@') {
            let first: String = person.chars().take(1).collect();
            return write!(f, "{first}***@{domain}");
        }
        let characters: Vec<char> = text.chars().collect();
        // What stays hidden is never less than three digits, also of the shortest numbers.
        let (front, back) = match characters.len() {
            12.. => (5, 4),
            9..=11 => (3, 2),
            _ => (0, 0),
        };
        let part = |characters: &[char]| characters.iter().collect::<String>();
        write!(f, "{}***{}", part(&characters[..front]), part(&characters[characters.len() - back..]))
    }
}

impl<T: fmt::Display> Redact for Body<T> {
    fn redacted(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{} characters]", self.0.to_string().chars().count())
    }
}

impl<T: fmt::Display> fmt::Display for Phone<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<T: fmt::Debug> fmt::Debug for Phone<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<T: fmt::Display> fmt::Display for Body<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<T: fmt::Debug> fmt::Debug for Body<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One test, because the switch is the process's: `cargo test` runs tests beside each other.
    #[test]
    fn nothing_shows_until_the_switch_is_on() {
        let number = phone("+14155550123");
        let text = body("gr\u{fc}\u{df}e".to_owned());
        assert_eq!(
            format!("{number} {number:?} {text} {text:?}"),
            "+1415***0123 +1415***0123 [5 characters] [5 characters]"
        );
        assert_eq!(phone("ann@example.com").to_string(), "a***@example.com");
        assert_eq!(phone("+4930123456").to_string(), "+49***56");
        for short in ["", "911", "83456", "+3541234"] {
            assert_eq!(phone(short).to_string(), "***", "{short}");
        }
        for length in 0..20 {
            let digits = "7".repeat(length);
            let shown = phone(&digits).to_string().matches('7').count();
            assert!(shown == 0 || shown + 3 <= length, "{length} digits show {shown}");
        }

        show_personal_data(true);
        let shown = format!("{number} {text:?}");
        show_personal_data(false);
        assert_eq!(shown, "+14155550123 \"gr\u{fc}\u{df}e\"");
        assert_eq!(number.to_string(), "+1415***0123");
    }

    #[test]
    fn code_that_asks_gets_the_value() {
        let text = body("hello".to_owned());
        assert_eq!(text.expose().0, "hello");
        assert_eq!(serde_json::to_string(&text).unwrap(), "\"hello\"");
        assert_eq!(text.into_inner().0, "hello");
    }
}
