//! Long texts in parts: cut when they go, and recognised when they come.

use crate::alphabet::{Coding, encode};
use crate::pdu::{Message, esm_class};
use crate::tlv::tag;

/// One part of a text, encoded, without any header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    pub octets: Vec<u8>,
}

/// Cuts a text into what fits one message each; `header` octets of user data header stand before each of several. No
/// escape and no surrogate pair is torn. There is always one.
#[must_use]
pub fn chunks(text: &str, coding: Coding, header: usize) -> Vec<Chunk> {
    let (whole, each) = coding.room();
    let width = |c: char| coding.width(c).unwrap_or(1);
    if text.chars().map(width).sum::<usize>() <= whole {
        return vec![Chunk { octets: encode(text, coding, 0) }];
    }
    let (mut all, mut start, mut filled) = (Vec::new(), 0, 0);
    for (at, c) in text.char_indices() {
        if filled + width(c) > each {
            all.push(Chunk { octets: encode(&text[start..at], coding, header) });
            (start, filled) = (at, 0);
        }
        filled += width(c);
    }
    all.push(Chunk { octets: encode(&text[start..], coding, header) });
    all
}

/// A part with the header that says which part of which text it is.
#[must_use]
pub fn with_udh(reference: u8, total: u8, number: u8, octets: &[u8]) -> Vec<u8> {
    let mut all = vec![5, 0, 3, reference, total, number];
    all.extend(octets);
    all
}

/// A user data header, and what stands behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Udh<'a> {
    /// Its length with its own length octet.
    pub length: usize,
    pub concatenation: Option<Fragment>,
    pub text: &'a [u8],
}

/// Which part of which text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fragment {
    pub key: FragmentKey,
    /// From 1 on.
    pub number: u8,
    /// At least two.
    pub total: u8,
}

/// By what the parts of one text know each other, beside their sender and receiver. Different means are different texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FragmentKey {
    Udh8(u8),
    Udh16(u16),
    Sar(u16),
}

impl Fragment {
    fn checked(key: FragmentKey, total: u64, number: u64) -> Option<Self> {
        let (total, number) = (u8::try_from(total).ok()?, u8::try_from(number).ok()?);
        (total > 1 && (1..=total).contains(&number)).then_some(Self { key, number, total })
    }

    /// Of which text a message is a part, where it is one: by its header, or else by its `sar_` parameters.
    #[must_use]
    pub fn of(message: &Message) -> Option<Self> {
        let in_header =
            (message.esm_class & esm_class::UDHI != 0).then(|| Udh::read(message.payload()).concatenation).flatten();
        in_header.or_else(|| {
            let reference = message.tlvs.number(tag::SAR_MSG_REF_NUM)?;
            let total = message.tlvs.number(tag::SAR_TOTAL_SEGMENTS)?;
            let number = message.tlvs.number(tag::SAR_SEGMENT_SEQNUM)?;
            Self::checked(FragmentKey::Sar(u16::try_from(reference & 0xFFFF).ok()?), total, number)
        })
    }
}

impl<'a> Udh<'a> {
    /// Reads the header that `octets` begin with. One that claims to be longer than there is counts as none: better a few
    /// odd characters than no text.
    #[must_use]
    pub fn read(octets: &'a [u8]) -> Self {
        let length = octets.first().map_or(0, |length| usize::from(*length) + 1);
        let Some(text) = octets.get(length..).filter(|_| length > 0) else {
            return Self { length: 0, concatenation: None, text: octets };
        };
        let (mut elements, mut concatenation) = (&octets[1..length], None);
        while let [id, length, rest @ ..] = elements {
            let Some(value) = rest.get(..usize::from(*length)) else { break };
            concatenation = concatenation.or(match (id, value) {
                (0x00, [reference, total, number]) => {
                    Fragment::checked(FragmentKey::Udh8(*reference), (*total).into(), (*number).into())
                }
                (0x08, [high, low, total, number]) => {
                    let reference = u16::from_be_bytes([*high, *low]);
                    Fragment::checked(FragmentKey::Udh16(reference), (*total).into(), (*number).into())
                }
                _ => None,
            });
            elements = &rest[usize::from(*length)..];
        }
        Self { length, concatenation, text }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::alphabet::decode;

    const CODINGS: [Coding; 4] = [Coding::Gsm7, Coding::Gsm7Packed, Coding::Latin1, Coding::Ucs2];

    proptest! {
        #[test]
        fn parts_joined_are_the_text(text in "[a-z^€é ☎😀]{0,600}") {
            for coding in CODINGS.into_iter().filter(|coding| coding.has_all(&text)) {
                let parts = chunks(&text, coding, 6);
                let header = if parts.len() > 1 { 6 } else { 0 };
                let joined: String = parts.iter().map(|part| decode(&part.octets, coding, header)).collect();
                prop_assert_eq!(&joined, &text);
                let most = match (coding, parts.len()) {
                    (Coding::Gsm7, 1) => 160,
                    (Coding::Gsm7, _) => 153,
                    (_, 1) => 140,
                    _ => 134,
                };
                prop_assert!(parts.iter().all(|part| part.octets.len() <= most));
            }
        }

        #[test]
        fn any_octets_may_come_as_a_header(octets in proptest::collection::vec(any::<u8>(), 0..300)) {
            let udh = Udh::read(&octets);
            prop_assert_eq!(udh.length + udh.text.len(), octets.len());
        }

        #[test]
        fn a_header_of_ours_is_read_back(reference: u8, total in 2_u8.., seed: u8, text in "[a-z]{0,20}") {
            let number = 1 + seed % total;
            let whole = with_udh(reference, total, number, text.as_bytes());
            let udh = Udh::read(&whole);
            prop_assert_eq!(udh.text, text.as_bytes());
            prop_assert_eq!(udh.concatenation, Some(Fragment { key: FragmentKey::Udh8(reference), number, total }));
        }
    }

    #[test]
    fn a_header_may_hold_other_things_beside() {
        let ports_first = [11, 5, 4, 0x0B, 0x84, 0, 0, 8, 4, 1, 2, 3, 2, b'x'];
        // Its last element claims one octet more than the header has: it counts for nothing.
        assert_eq!(Udh::read(&ports_first).concatenation, None);
        let whole = [12, 5, 4, 0x0B, 0x84, 0, 0, 8, 4, 1, 2, 3, 2, b'x'];
        let fragment = Fragment { key: FragmentKey::Udh16(0x0102), number: 2, total: 3 };
        assert_eq!(Udh::read(&whole), Udh { length: 13, concatenation: Some(fragment), text: b"x" });
    }

    #[test]
    fn nonsense_is_no_part() {
        for (total, number) in [(0, 0), (1, 1), (3, 0), (3, 4)] {
            assert_eq!(Udh::read(&with_udh(7, total, number, b"")).concatenation, None, "{number} of {total}");
        }
    }
}
