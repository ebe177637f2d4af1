//! Reading the fields of a PDU, forgivingly: what is missing at the very end is taken as empty.

/// A field ends beyond the end of its PDU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Short;

pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub fn rest(self) -> &'a [u8] {
        self.rest
    }

    pub fn octet(&mut self) -> Result<u8, Short> {
        let (first, rest) = self.rest.split_first().ok_or(Short)?;
        self.rest = rest;
        Ok(*first)
    }

    pub fn octets(&mut self, count: usize) -> Result<&'a [u8], Short> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(Short)?;
        self.rest = rest;
        Ok(taken)
    }

    pub fn short(&mut self) -> Result<u16, Short> {
        let octets = self.octets(2)?;
        Ok(u16::from_be_bytes([octets[0], octets[1]]))
    }

    /// Up to the next NUL, or to the end where there is none. Its octets are taken for Latin-1.
    pub fn text(&mut self) -> String {
        let end = self.rest.iter().position(|octet| *octet == 0);
        let text = &self.rest[..end.unwrap_or(self.rest.len())];
        self.rest = end.map_or(&[], |end| &self.rest[end + 1..]);
        text.iter().copied().map(char::from).collect()
    }
}

/// Writes a text with its NUL, at most `most` octets of it; what Latin-1 does not have becomes `?`.
pub fn put_text(out: &mut Vec<u8>, text: &str, most: usize) {
    let octets = text.chars().filter(|c| *c != '\0').map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?'));
    out.extend(octets.take(most));
    out.push(0);
}
