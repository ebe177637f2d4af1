//! Delivery receipts: as text, as tags, or as both.

use crate::pdu::{Message, esm_class};
use crate::tlv::tag;

/// Where the receipt says that the message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// On its way: scheduled, en route, or accepted.
    EnRoute,
    Delivered,
    Expired,
    Deleted,
    Undeliverable,
    Rejected,
    /// The peer does not know, or says something that is not known here.
    Unknown,
}

impl State {
    fn of_number(number: u64) -> Self {
        match number {
            0 | 1 | 6 => Self::EnRoute,
            2 => Self::Delivered,
            3 => Self::Expired,
            4 => Self::Deleted,
            5 => Self::Undeliverable,
            8 | 9 => Self::Rejected,
            _ => Self::Unknown,
        }
    }

    fn of_word(word: &str) -> Self {
        let word = word.to_ascii_uppercase();
        let known = [
            ("DELIV", Self::Delivered),
            ("EXPIR", Self::Expired),
            ("DELET", Self::Deleted),
            ("UNDEL", Self::Undeliverable),
            ("REJEC", Self::Rejected),
            ("SKIPP", Self::Rejected),
            ("FAILE", Self::Undeliverable),
            ("ACCEP", Self::EnRoute),
            ("ENROU", Self::EnRoute),
            ("SCHED", Self::EnRoute),
            ("BUFFE", Self::EnRoute),
        ];
        known.iter().find(|(start, _)| word.starts_with(start)).map_or(Self::Unknown, |(_, state)| *state)
    }

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EnRoute => "ENROUTE",
            Self::Delivered => "DELIVRD",
            Self::Expired => "EXPIRED",
            Self::Deleted => "DELETED",
            Self::Undeliverable => "UNDELIV",
            Self::Rejected => "REJECTD",
            Self::Unknown => "UNKNOWN",
        }
    }
}

/// What a receipt tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The peer's id of the message it tells of, as it stands there.
    pub message_id: String,
    pub state: State,
    /// The network's error, where there is one.
    pub error: Option<String>,
}

impl Receipt {
    /// Reads a receipt; `None` where it names no message.
    #[must_use]
    pub fn read(message: &Message) -> Option<Self> {
        let text: String = message.payload().iter().copied().map(char::from).collect();
        let words = Words::read(&text);
        let message_id = message.tlvs.text(tag::RECEIPTED_MESSAGE_ID).filter(|id| !id.is_empty()).or(words.id)?;
        let state = match message.tlvs.number(tag::MESSAGE_STATE) {
            Some(number) => State::of_number(number),
            None if words.state.is_none() && message.esm_class & esm_class::KIND == esm_class::INTERMEDIATE => {
                State::EnRoute
            }
            None => words.state.as_deref().map_or(State::Unknown, State::of_word),
        };
        let in_tag = message.tlvs.get(tag::NETWORK_ERROR_CODE).filter(|code| code.len() == 3);
        let in_tag = in_tag.map(|code| u16::from_be_bytes([code[1], code[2]]).to_string());
        let error = words.error.or(in_tag).filter(|error| error.chars().any(|digit| digit != '0'));
        Some(Self { message_id, state, error })
    }
}

/// The fields of a receipt's text that count: `id:… sub:… dlvrd:… submit date:… done date:… stat:… err:… text:…`, in any
/// order and any case. What follows `text:` is the customer's.
#[derive(Default)]
struct Words {
    id: Option<String>,
    state: Option<String>,
    error: Option<String>,
}

impl Words {
    fn read(text: &str) -> Self {
        let mut words = Self::default();
        for word in text.split_ascii_whitespace() {
            let Some((key, value)) = word.split_once(':') else { continue };
            let value = || Some(value.to_owned()).filter(|value| !value.is_empty());
            match key.to_ascii_lowercase().as_str() {
                "id" => words.id = words.id.or_else(value),
                "stat" => words.state = words.state.or_else(value),
                "err" => words.error = words.error.or_else(value),
                "text" => break,
                _ => {}
            }
        }
        words
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tlv::Tlvs;

    fn said(text: &str, tlvs: Tlvs) -> Option<Receipt> {
        let short_message = text.as_bytes().to_vec();
        Receipt::read(&Message { esm_class: esm_class::RECEIPT, short_message, tlvs, ..Message::default() })
    }

    fn told(id: &str, state: State, error: Option<&str>) -> Option<Receipt> {
        Some(Receipt { message_id: id.to_owned(), state, error: error.map(str::to_owned) })
    }

    #[test]
    fn the_text_of_the_specification_is_read() {
        let text = "id:0123456789 sub:001 dlvrd:001 submit date:1109031407 done date:1109031408 stat:DELIVRD err:000 \
                    text:stat:UNDELIV id:7";
        assert_eq!(said(text, Tlvs::default()), told("0123456789", State::Delivered, None));
    }

    #[test]
    fn peers_write_it_in_their_own_ways() {
        for (text, expected) in [
            ("ID:4F err:00B STAT:UNDELIVERED", told("4F", State::Undeliverable, Some("00B"))),
            ("stat:rejectd err:12\nid:a-b-c", told("a-b-c", State::Rejected, Some("12"))),
            ("id:7 stat:ACCEPTD", told("7", State::EnRoute, None)),
            ("id:7", told("7", State::Unknown, None)),
            ("id: stat:DELIVRD", None),
            ("Your parcel is here", None),
        ] {
            assert_eq!(said(text, Tlvs::default()), expected, "{text}");
        }
    }

    #[test]
    fn tags_count_more_than_words() {
        let tlvs = Tlvs::default()
            .with(tag::RECEIPTED_MESSAGE_ID, b"abc\0")
            .with(tag::MESSAGE_STATE, &[5])
            .with(tag::NETWORK_ERROR_CODE, &[3, 0, 11]);
        assert_eq!(said("", tlvs.clone()), told("abc", State::Undeliverable, Some("11")));
        assert_eq!(said("id:7 stat:DELIVRD", tlvs), told("abc", State::Undeliverable, Some("11")));
    }

    proptest! {
        #[test]
        fn any_octets_may_come_as_a_receipt(short_message in proptest::collection::vec(any::<u8>(), 0..300)) {
            drop(Receipt::read(&Message { short_message, ..Message::default() }));
        }
    }
}
