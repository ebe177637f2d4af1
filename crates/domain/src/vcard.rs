//! A contact card as phones take it: vCard 3.0 (RFC 2426).
//!
//! In: what is on the card, and its number. Out: the file's text. Never here: how it gets to a phone.

use crate::E164;
use crate::number::ContactCard;

/// A line is folded before it is longer, in octets and without its end (RFC 2426, 2.6).
const WIDTH: usize = 75;

impl ContactCard {
    /// Whether nothing is on it that a phone could show.
    #[must_use]
    pub fn is_blank(&self) -> bool {
        let Self { first_name, last_name, display_name, avatar_url } = self;
        let texts = [first_name, last_name, display_name, avatar_url];
        texts.into_iter().all(|text| trimmed(text.as_ref()).is_empty())
    }

    /// The file that a phone adds to its contacts.
    #[must_use]
    pub fn to_vcard(&self, number: &E164) -> String {
        let (first, last) = (trimmed(self.first_name.as_ref()), trimmed(self.last_name.as_ref()));
        let whole = [first, last].into_iter().filter(|name| !name.is_empty()).collect::<Vec<_>>().join(" ");
        let shown = [trimmed(self.display_name.as_ref()), &whole, number.as_str()];
        let shown = shown.into_iter().find(|name| !name.is_empty()).unwrap_or_default();
        // Some phones go by N alone, so that a name that is neither first nor last still has to be somewhere in it.
        let first = if whole.is_empty() { shown } else { first };
        let mut card = String::new();
        let mut line = |text: &str| fold(text, &mut card);
        line("BEGIN:VCARD");
        line("VERSION:3.0");
        line(&format!("N:{};{};;;", escaped(last), escaped(first)));
        line(&format!("FN:{}", escaped(shown)));
        line(&format!("TEL;TYPE=CELL,VOICE,PREF:{number}"));
        let avatar = trimmed(self.avatar_url.as_ref());
        // A URI is no text and has no escapes (RFC 2426, 4); what could end its line is none of a URI's either.
        if !avatar.is_empty() && !avatar.chars().any(char::is_control) {
            line(&format!("PHOTO;VALUE=uri:{avatar}"));
        }
        line("END:VCARD");
        card
    }
}

fn trimmed(text: Option<&String>) -> &str {
    text.map_or("", |text| text.trim())
}

/// A text value (RFC 2426, 4): what has a meaning in it is escaped, and control characters are none of a name.
fn escaped(text: &str) -> String {
    let mut value = String::with_capacity(text.len());
    for one in text.replace("\r\n", "\n").chars() {
        match one {
            '\\' | ';' | ',' => value.extend(['\\', one]),
            '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}' => value.push_str("\\n"),
            one if one.is_control() => {}
            one => value.push(one),
        }
    }
    value
}

/// Writes a line, in as many as it takes; a character stays whole.
fn fold(line: &str, onto: &mut String) {
    let mut width = 0;
    for one in line.chars() {
        if width + one.len_utf8() > WIDTH {
            onto.push_str("\r\n ");
            width = 1;
        }
        onto.push(one);
        width += one.len_utf8();
    }
    onto.push_str("\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn card(first: &str, last: &str, display: &str, avatar: &str) -> ContactCard {
        let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        ContactCard {
            first_name: some(first),
            last_name: some(last),
            display_name: some(display),
            avatar_url: some(avatar),
        }
    }

    fn vcard(card: &ContactCard) -> String {
        card.to_vcard(&E164::parse("+14155550100").unwrap())
    }

    #[test]
    fn a_card_is_written_as_rfc_2426_has_it() {
        let whole = vcard(&card("Ada", "Lovelace", "Countess", "https://example.com/a,b;c.png"));
        let lines = [
            "BEGIN:VCARD",
            "VERSION:3.0",
            "N:Lovelace;Ada;;;",
            "FN:Countess",
            "TEL;TYPE=CELL,VOICE,PREF:+14155550100",
            "PHOTO;VALUE=uri:https://example.com/a,b;c.png",
            "END:VCARD",
            "",
        ];
        assert_eq!(whole, lines.join("\r\n"));
    }

    #[test]
    fn there_is_always_a_name() {
        let names = |card: ContactCard| vcard(&card).lines().skip(2).take(2).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(names(card("Ada", "", "", "")), ["N:;Ada;;;", "FN:Ada"]);
        assert_eq!(names(card("", "Lovelace", "", "")), ["N:Lovelace;;;;", "FN:Lovelace"]);
        assert_eq!(names(card("Ada", "Lovelace", "", "")), ["N:Lovelace;Ada;;;", "FN:Ada Lovelace"]);
        assert_eq!(names(card("", "", "The Blue Door", "")), ["N:;The Blue Door;;;", "FN:The Blue Door"]);
        assert_eq!(names(card("", "", "", "https://x.y/a.png")), ["N:;+14155550100;;;", "FN:+14155550100"]);
    }

    #[test]
    fn what_has_a_meaning_is_escaped() {
        let whole = vcard(&card("A;B", "C,D\\", "E\r\nTEL:+1900\u{7}\nF\rG", ""));
        assert!(whole.contains("N:C\\,D\\\\;A\\;B;;;\r\n"), "{whole}");
        assert!(whole.contains("FN:E\\nTEL:+1900\\nF\\nG\r\n"), "{whole}");
    }

    #[test]
    fn a_picture_adds_no_line_of_its_own() {
        let whole = vcard(&card("A", "", "", "https://example.com/\r\nTEL:+1900"));
        assert!(!whole.contains("1900"), "{whole}");
    }

    #[test]
    fn long_lines_are_folded_between_characters() {
        let name = "é".repeat(120) + &"x".repeat(100);
        let whole = vcard(&card("", "", &name, ""));
        assert!(whole.split("\r\n").all(|line| line.len() <= WIDTH), "{whole}");
        assert!(whole.replace("\r\n ", "").contains(&format!("FN:{name}\r\n")));
    }

    #[test]
    fn a_card_with_nothing_on_it_is_blank() {
        assert!(ContactCard::default().is_blank() && card(" ", "", "\t", "").is_blank());
        assert!(!card("", "", "", "https://example.com/a.png").is_blank() && !card("A", "", "", "").is_blank());
    }
}
