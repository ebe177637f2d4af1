//! What must not be guessed: tags, branches, Call-IDs, nonces. From one seed, so that a simulated network can be run again.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};

use crate::transaction::MAGIC_COOKIE;

/// A source of random names.
#[derive(Debug)]
pub struct Tokens(StdRng);

impl Tokens {
    /// The seed must come from the operating system wherever strangers can send us something.
    #[must_use]
    pub fn new(seed: [u8; 32]) -> Self {
        Self(StdRng::from_seed(seed))
    }

    fn hex(&mut self, bytes: usize) -> String {
        let mut raw = vec![0; bytes];
        self.0.fill_bytes(&mut raw);
        hex(&raw)
    }

    /// Half a dialog's name.
    pub fn tag(&mut self) -> String {
        self.hex(8)
    }

    /// A transaction's name.
    pub fn branch(&mut self) -> String {
        format!("{MAGIC_COOKIE}{}", self.hex(10))
    }

    /// A call's name.
    pub fn call_id(&mut self) -> String {
        self.hex(16)
    }

    /// A client's or server's nonce.
    pub fn nonce(&mut self) -> String {
        self.hex(12)
    }

    /// Bytes of a key.
    pub fn key(&mut self) -> [u8; 32] {
        let mut key = [0; 32];
        self.0.fill_bytes(&mut key);
        key
    }

    /// Anything below `bound`, or 0.
    pub fn below(&mut self, bound: u32) -> u32 {
        if bound == 0 { 0 } else { self.0.random_range(0..bound) }
    }

    /// A duration between the two, in steps of ten milliseconds, as §14.1 wants.
    pub fn between(&mut self, least: Duration, most: Duration) -> Duration {
        let steps = u32::try_from(most.saturating_sub(least).as_millis() / 10).unwrap_or(u32::MAX);
        least + Duration::from_millis(10) * self.below(steps.saturating_add(1))
    }
}

/// Lower case, as digests are compared.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}
