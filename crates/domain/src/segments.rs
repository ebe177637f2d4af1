//! How many SMS segments a text takes: GSM 03.38 / 3GPP TS 23.038 septets, or UCS-2 code units.

/// The alphabet a text is sent in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alphabet {
    /// 3GPP TS 23.038 default alphabet with its extension table: 160 septets, or 153 a part.
    Gsm7,
    /// UCS-2 (UTF-16 code units): 70, or 67 a part.
    Ucs2,
}

/// What a text costs on the air.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segments {
    pub alphabet: Alphabet,
    /// Septets for GSM-7, UTF-16 code units for UCS-2.
    pub units: usize,
    /// At least 1, also for an empty text.
    pub count: u32,
}

/// Counts the segments of `text`. A character of the extension table (`^{}\[~]|€`) takes two septets and
/// is never split between parts; nor is a surrogate pair.
#[must_use]
pub fn count(text: &str) -> Segments {
    match text.chars().map(septets).collect::<Option<Vec<_>>>() {
        Some(widths) => parts(Alphabet::Gsm7, &widths, 160, 153),
        None => parts(Alphabet::Ucs2, &text.chars().map(char::len_utf16).collect::<Vec<_>>(), 70, 67),
    }
}

fn parts(alphabet: Alphabet, widths: &[usize], single: usize, each: usize) -> Segments {
    let units = widths.iter().sum();
    if units <= single {
        return Segments { alphabet, units, count: 1 };
    }
    let (mut count, mut filled) = (1u32, 0);
    for &width in widths {
        if filled + width > each {
            count += 1;
            filled = 0;
        }
        filled += width;
    }
    Segments { alphabet, units, count }
}

/// Septets a character takes in the default alphabet, or `None` where it is not in it.
fn septets(c: char) -> Option<usize> {
    const EXTENSION: &str = "\u{c}^{}\\[~]|€";
    const BASIC: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";
    if BASIC.contains(c) {
        Some(1)
    } else if EXTENSION.contains(c) {
        Some(2)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn counted(text: &str) -> (Alphabet, usize, u32) {
        let s = count(text);
        (s.alphabet, s.units, s.count)
    }

    #[test]
    fn gsm_texts_fill_160_then_153() {
        assert_eq!(counted(""), (Alphabet::Gsm7, 0, 1));
        assert_eq!(counted(&"a".repeat(160)), (Alphabet::Gsm7, 160, 1));
        assert_eq!(counted(&"a".repeat(161)), (Alphabet::Gsm7, 161, 2));
        assert_eq!(counted(&"a".repeat(306)), (Alphabet::Gsm7, 306, 2));
        assert_eq!(counted(&"a".repeat(307)), (Alphabet::Gsm7, 307, 3));
    }

    #[test]
    fn an_extension_character_takes_two_and_is_not_split() {
        assert_eq!(counted(&"€".repeat(80)), (Alphabet::Gsm7, 160, 1));
        assert_eq!(counted(&"€".repeat(81)), (Alphabet::Gsm7, 162, 2));
        // 153 is odd: a part holds 76 euros and wastes a septet.
        assert_eq!(counted(&"€".repeat(153)), (Alphabet::Gsm7, 306, 3));
    }

    #[test]
    fn anything_else_is_ucs2_in_70_then_67() {
        assert_eq!(counted(&"я".repeat(70)), (Alphabet::Ucs2, 70, 1));
        assert_eq!(counted(&"я".repeat(71)), (Alphabet::Ucs2, 71, 2));
        assert_eq!(counted("ç"), (Alphabet::Ucs2, 1, 1));
        // 67 is odd: 33 emoji a part, never half of one.
        assert_eq!(counted(&"🙂".repeat(67)), (Alphabet::Ucs2, 134, 3));
    }

    proptest! {
        #[test]
        fn more_text_never_takes_fewer_segments(text in ".{0,400}", more in ".{0,40}") {
            let longer = [text.as_str(), more.as_str()].concat();
            prop_assert!(count(&longer).count >= count(&text).count);
        }
    }
}
