//! Which packets of a stream were heard, so that none is heard twice, and how often its numbers wrapped around (RFC 3711
//! §3.3.1, §3.3.2).

/// What was heard of a stream.
#[derive(Debug, Default)]
pub struct Window {
    highest: Option<u64>,
    /// The highest and those before it, one bit each.
    heard: u128,
}

impl Window {
    /// The whole number of a packet whose lower half is known: the nearest to the highest.
    pub fn guess(&self, number: u16) -> u64 {
        let Some(highest) = self.highest else { return u64::from(number) };
        let ahead = number.wrapping_sub(highest as u16) as i16;
        // Before the very first there is nothing, so that is one that has wrapped around.
        highest.checked_add_signed(i64::from(ahead)).unwrap_or(u64::from(number))
    }

    /// Whether it was heard, or is too old to tell.
    pub fn has(&self, index: u64) -> bool {
        let Some(highest) = self.highest else { return false };
        match highest.checked_sub(index) {
            None => false,
            Some(behind) => behind >= u64::from(u128::BITS) || self.heard >> behind & 1 == 1,
        }
    }

    /// It is heard now.
    pub fn add(&mut self, index: u64) {
        let highest = self.highest.unwrap_or(index);
        match index.checked_sub(highest) {
            Some(ahead) => {
                self.heard = u32::try_from(ahead).ok().and_then(|ahead| self.heard.checked_shl(ahead)).unwrap_or(0) | 1;
                self.highest = Some(index);
            }
            None => self.heard |= 1_u128.checked_shl((highest - index) as u32).unwrap_or(0),
        }
    }
}
