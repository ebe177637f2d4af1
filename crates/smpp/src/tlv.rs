//! Optional parameters.

use crate::reading::Reader;

/// Tags that mean something here.
pub mod tag {
    pub const SOURCE_PORT: u16 = 0x020A;
    pub const SAR_MSG_REF_NUM: u16 = 0x020C;
    pub const SAR_TOTAL_SEGMENTS: u16 = 0x020E;
    pub const SAR_SEGMENT_SEQNUM: u16 = 0x020F;
    pub const SC_INTERFACE_VERSION: u16 = 0x0210;
    pub const RECEIPTED_MESSAGE_ID: u16 = 0x001E;
    pub const NETWORK_ERROR_CODE: u16 = 0x0423;
    pub const MESSAGE_PAYLOAD: u16 = 0x0424;
    pub const MESSAGE_STATE: u16 = 0x0427;
}

/// The optional parameters of a PDU, in their order. A tag may come twice; the first counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tlvs(pub Vec<(u16, Vec<u8>)>);

impl Tlvs {
    /// Reads all that are whole. A last one that is cut short is left out, as nothing can follow it.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Self {
        let mut reader = Reader::new(bytes);
        let mut all = Vec::new();
        while !reader.is_empty() {
            let one = (|| {
                let (tag, length) = (reader.short()?, reader.short()?);
                Ok::<_, crate::reading::Short>((tag, reader.octets(usize::from(length))?.to_vec()))
            })();
            match one {
                Ok(one) => all.push(one),
                Err(_) => break,
            }
        }
        Self(all)
    }

    /// Appends them. A value longer than a TLV can hold is cut.
    pub fn write(&self, out: &mut Vec<u8>) {
        for (tag, value) in &self.0 {
            let length = u16::try_from(value.len()).unwrap_or(u16::MAX);
            out.extend(tag.to_be_bytes());
            out.extend(length.to_be_bytes());
            out.extend(&value[..usize::from(length)]);
        }
    }

    #[must_use]
    pub fn with(mut self, tag: u16, value: &[u8]) -> Self {
        self.0.push((tag, value.to_vec()));
        self
    }

    #[must_use]
    pub fn get(&self, tag: u16) -> Option<&[u8]> {
        self.0.iter().find(|(known, _)| *known == tag).map(|(_, value)| value.as_slice())
    }

    /// An integer of any length up to eight octets: peers do not agree on how long theirs are.
    #[must_use]
    pub fn number(&self, tag: u16) -> Option<u64> {
        let value = self.get(tag).filter(|value| !value.is_empty() && value.len() <= 8)?;
        Some(value.iter().fold(0, |number, octet| (number << 8) | u64::from(*octet)))
    }

    /// A text, with or without its NUL.
    #[must_use]
    pub fn text(&self, tag: u16) -> Option<String> {
        self.get(tag).map(|value| Reader::new(value).text())
    }
}
