//! The GSM default alphabet (3GPP TS 23.038) with its extension table.

const ESCAPE: u8 = 0x1B;

/// U+0000 stands where the escape does.
const BASIC: [char; 128] = [
    '@', '£', '$', '¥', 'è', 'é', 'ù', 'ì', 'ò', 'Ç', '\n', 'Ø', 'ø', '\r', 'Å', 'å', //
    'Δ', '_', 'Φ', 'Γ', 'Λ', 'Ω', 'Π', 'Ψ', 'Σ', 'Θ', 'Ξ', '\0', 'Æ', 'æ', 'ß', 'É', //
    ' ', '!', '"', '#', '¤', '%', '&', '\'', '(', ')', '*', '+', ',', '-', '.', '/', //
    '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', ':', ';', '<', '=', '>', '?', //
    '¡', 'A', 'B', 'C', 'D', 'E', 'F', 'G', 'H', 'I', 'J', 'K', 'L', 'M', 'N', 'O', //
    'P', 'Q', 'R', 'S', 'T', 'U', 'V', 'W', 'X', 'Y', 'Z', 'Ä', 'Ö', 'Ñ', 'Ü', '§', //
    '¿', 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l', 'm', 'n', 'o', //
    'p', 'q', 'r', 's', 't', 'u', 'v', 'w', 'x', 'y', 'z', 'ä', 'ö', 'ñ', 'ü', 'à',
];

const EXTENSION: [(u8, char); 10] = [
    (0x0A, '\u{c}'),
    (0x14, '^'),
    (0x28, '{'),
    (0x29, '}'),
    (0x2F, '\\'),
    (0x3C, '['),
    (0x3D, '~'),
    (0x3E, ']'),
    (0x40, '|'),
    (0x65, '€'),
];

/// Whether a character needs the escape, and its septet.
#[must_use]
pub fn septets(c: char) -> Option<(bool, u8)> {
    // What is the same in ASCII is most of what is written.
    if matches!(c, ' '..='#' | '%'..='?' | 'A'..='Z' | 'a'..='z' | '\n' | '\r') {
        return Some((false, c as u8));
    }
    if c == '\0' {
        return None;
    }
    let basic = || (0..128).zip(BASIC).find(|(_, known)| *known == c).map(|(septet, _)| (false, septet));
    basic().or_else(|| EXTENSION.iter().find(|(_, known)| *known == c).map(|(septet, _)| (true, *septet)))
}

/// One septet an octet; what the alphabet does not have becomes `?`.
#[must_use]
pub fn encode(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for c in text.chars() {
        let (escaped, septet) = septets(c).unwrap_or((false, b'?'));
        if escaped {
            out.push(ESCAPE);
        }
        out.push(septet);
    }
    out
}

/// An escape that leads nowhere is left out, as the specification asks; the highest bit of an octet too.
#[must_use]
pub fn decode(septets: &[u8]) -> String {
    let mut text = String::with_capacity(septets.len());
    let mut escaped = false;
    for septet in septets.iter().map(|octet| octet & 0x7F) {
        if septet == ESCAPE {
            escaped = true;
            continue;
        }
        let extended = EXTENSION.iter().find(|(known, _)| escaped && *known == septet).map(|(_, c)| *c);
        text.push(extended.unwrap_or(BASIC[usize::from(septet)]));
        escaped = false;
    }
    text
}

/// Bits between a header of so many octets and the first septet, so that septets begin where they would without it.
#[must_use]
pub const fn fill_bits(header: usize) -> usize {
    (7 - (header * 8) % 7) % 7
}

/// Eight septets in seven octets, behind so many empty bits. Where a whole septet stays free at the end it is a carriage
/// return, for a reader would take nothing for an `@`.
#[must_use]
pub fn pack(septets: &[u8], fill: usize) -> Vec<u8> {
    let padded = septets.iter().copied();
    let free = (8 - (fill + septets.len() * 7) % 8) % 8;
    let padding = (free == 7).then_some(0x0D);
    let mut out = Vec::with_capacity((fill + septets.len() * 7).div_ceil(8));
    let (mut held, mut bits) = (0_u32, fill);
    for septet in padded.chain(padding) {
        held |= u32::from(septet & 0x7F) << bits;
        bits += 7;
        while bits >= 8 {
            out.push((held & 0xFF) as u8);
            held >>= 8;
            bits -= 8;
        }
    }
    if bits > 0 {
        out.push((held & 0xFF) as u8);
    }
    out
}

/// The septets in octets, behind so many bits; without the padding of a septet that stayed free.
#[must_use]
pub fn unpack(octets: &[u8], fill: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(octets.len() * 8 / 7);
    let (mut held, mut bits, mut skip) = (0_u32, 0, fill);
    for octet in octets {
        held |= u32::from(*octet) << bits;
        bits += 8;
        if skip > 0 {
            held >>= skip;
            bits -= skip;
            skip = 0;
        }
        while bits >= 7 {
            out.push((held & 0x7F) as u8);
            held >>= 7;
            bits -= 7;
        }
    }
    let is_full = !octets.is_empty() && (octets.len() * 8 - fill.min(octets.len() * 8)).is_multiple_of(7);
    if is_full && matches!(out.last(), Some(0x00 | 0x0D)) {
        out.pop();
    }
    out
}
