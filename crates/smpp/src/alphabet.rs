//! Alphabets: between texts and the octets of a short message.

pub mod gsm7;

/// How a text stands in a short message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Coding {
    /// The GSM default alphabet, one character (or escape) an octet.
    Gsm7,
    /// The same, eight characters in seven octets.
    Gsm7Packed,
    Latin1,
    /// UTF-16, big end first.
    Ucs2,
}

impl Coding {
    /// Units of a text that goes in one message, and in each of several: septets, octets, or UTF-16 code units.
    #[must_use]
    pub const fn room(self) -> (usize, usize) {
        match self {
            Self::Gsm7 | Self::Gsm7Packed => (160, 153),
            Self::Latin1 => (140, 134),
            Self::Ucs2 => (70, 67),
        }
    }

    /// The units that a character takes, or `None` where the alphabet does not have it.
    #[must_use]
    pub fn width(self, c: char) -> Option<usize> {
        match self {
            Self::Gsm7 | Self::Gsm7Packed => gsm7::septets(c).map(|(escape, _)| 1 + usize::from(escape)),
            Self::Latin1 => (u32::from(c) <= 0xFF).then_some(1),
            Self::Ucs2 => Some(c.len_utf16()),
        }
    }

    #[must_use]
    pub fn has_all(self, text: &str) -> bool {
        text.chars().all(|c| self.width(c).is_some())
    }
}

/// The octets of a text; `header` octets of user data header stand before them, which moves packed septets. What the
/// alphabet does not have becomes `?`.
#[must_use]
pub fn encode(text: &str, coding: Coding, header: usize) -> Vec<u8> {
    match coding {
        Coding::Gsm7 => gsm7::encode(text),
        Coding::Gsm7Packed => gsm7::pack(&gsm7::encode(text), gsm7::fill_bits(header)),
        Coding::Latin1 => text.chars().map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?')).collect(),
        Coding::Ucs2 => text.encode_utf16().flat_map(u16::to_be_bytes).collect(),
    }
}

/// The text that octets stand for. An octet that stands for nothing is left out or becomes U+FFFD: what came must be
/// readable somehow.
#[must_use]
pub fn decode(octets: &[u8], coding: Coding, header: usize) -> String {
    match coding {
        Coding::Gsm7 => gsm7::decode(octets),
        Coding::Gsm7Packed => gsm7::decode(&gsm7::unpack(octets, gsm7::fill_bits(header))),
        Coding::Latin1 => octets.iter().copied().map(char::from).collect(),
        Coding::Ucs2 => {
            let units: Vec<u16> = octets.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
            String::from_utf16_lossy(&units)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn gsm_text() -> impl Strategy<Value = String> {
        let characters: Vec<char> = (0..=0x7F).filter_map(|septet| gsm7::decode(&[septet]).chars().next()).collect();
        let escaped = "^{}\\[~]|€".chars();
        let all: Vec<char> = characters.into_iter().chain(escaped).collect();
        proptest::collection::vec(proptest::sample::select(all), 0..200).prop_map(String::from_iter)
    }

    proptest! {
        #[test]
        fn what_an_alphabet_has_survives_it(text in gsm_text(), any in ".{0,200}") {
            prop_assert_eq!(decode(&encode(&text, Coding::Gsm7, 0), Coding::Gsm7, 0), text);
            prop_assert_eq!(decode(&encode(&any, Coding::Ucs2, 0), Coding::Ucs2, 0), any.clone());
            let latin: String = any.chars().filter(|c| u32::from(*c) <= 0xFF).collect();
            prop_assert_eq!(decode(&encode(&latin, Coding::Latin1, 0), Coding::Latin1, 0), latin);
        }

        /// But for a last `@` or carriage return, which can't be told from padding.
        #[test]
        fn packed_septets_survive_behind_any_header(text in gsm_text(), header in 0_usize..20) {
            let text = text.trim_end_matches(['@', '\r']);
            prop_assert_eq!(decode(&encode(text, Coding::Gsm7Packed, header), Coding::Gsm7Packed, header), text);
        }

        #[test]
        fn any_octets_are_some_text(octets in proptest::collection::vec(any::<u8>(), 0..300), header in 0_usize..300) {
            for coding in [Coding::Gsm7, Coding::Gsm7Packed, Coding::Latin1, Coding::Ucs2] {
                drop(decode(&octets, coding, header));
            }
        }
    }

    #[test]
    fn packing_is_that_of_the_specification() {
        assert_eq!(encode("hellohello", Coding::Gsm7Packed, 0), [0xE8, 0x32, 0x9B, 0xFD, 0x46, 0x97, 0xD9, 0xEC, 0x37]);
        assert_eq!(
            decode(&[0xE8, 0x32, 0x9B, 0xFD, 0x46, 0x97, 0xD9, 0xEC, 0x37], Coding::Gsm7Packed, 0),
            "hellohello"
        );
        let full = encode(&"a".repeat(160), Coding::Gsm7Packed, 0);
        assert_eq!(full.len(), 140);
        assert_eq!(encode(&"a".repeat(153), Coding::Gsm7Packed, 6).len(), 134);
    }
}
