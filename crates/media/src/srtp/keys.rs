//! Keys: the one that both sides know, those that RFC 3711 §4.3 derives from it, and what is done with them.

use std::fmt;

use aes::Aes128;
use aes::cipher::{Array, BlockCipherEncrypt, KeyInit};
use hmac::{Hmac, Mac};
use sha1::Sha1;
use subtle::ConstantTimeEq;

/// Bytes of the long tag.
pub(super) const TAG_80: usize = 10;
const BLOCK: usize = 16;
/// Blocks that are encrypted at once: the processor works on several at a time.
const BLOCKS: usize = 8;

/// The key and salt that an `a=crypto` line carries.
#[derive(Clone, PartialEq, Eq)]
pub struct MasterKey {
    pub(crate) key: [u8; 16],
    pub(crate) salt: [u8; 14],
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(…)")
    }
}

impl MasterKey {
    /// From 30 bytes, which must be random where the key is ours.
    #[must_use]
    pub fn new(bytes: [u8; 30]) -> Self {
        let (mut key, mut salt) = ([0; 16], [0; 14]);
        key.copy_from_slice(&bytes[..16]);
        salt.copy_from_slice(&bytes[16..]);
        Self { key, salt }
    }

    pub(super) fn rtp(&self) -> SessionKeys {
        self.derive(0)
    }

    pub(super) fn rtcp(&self) -> SessionKeys {
        self.derive(3)
    }

    /// The session keys whose labels begin with `label`: encryption, authentication, salt.
    fn derive(&self, label: u8) -> SessionKeys {
        let cipher = Aes128::new(&Array(self.key));
        let stream = |label: u8, bytes: &mut [u8]| {
            let mut start = [0; BLOCK];
            start[..14].copy_from_slice(&self.salt);
            start[7] ^= label;
            apply(&cipher, start, bytes);
        };
        let (mut key, mut authentication, mut salt) = ([0; 16], [0; 20], [0; 14]);
        stream(label, &mut key);
        stream(label + 1, &mut authentication);
        stream(label + 2, &mut salt);
        SessionKeys { cipher: Aes128::new(&Array(key)), tag: keyed(&authentication), salt }
    }
}

fn keyed(authentication: &[u8; 20]) -> Hmac<Sha1> {
    let mut block = [0; 64];
    block[..20].copy_from_slice(authentication);
    // A key of exactly a block is used as it is, so this is the key padded with zeros, as HMAC has it.
    <Hmac<Sha1> as hmac::KeyInit>::new(&Array(block))
}

/// Whether two tags are the same, in a time that tells nothing of where they differ.
pub(super) fn alike(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}

/// What one direction's sound, or its reports, are sealed with.
pub(super) struct SessionKeys {
    cipher: Aes128,
    tag: Hmac<Sha1>,
    salt: [u8; 14],
}

impl SessionKeys {
    /// Encrypts, or decrypts: it is the same.
    pub fn apply(&self, ssrc: u32, index: u64, bytes: &mut [u8]) {
        let mut start = [0; BLOCK];
        start[..14].copy_from_slice(&self.salt);
        for (byte, ssrc) in start[4..8].iter_mut().zip(ssrc.to_be_bytes()) {
            *byte ^= ssrc;
        }
        for (byte, index) in start[8..14].iter_mut().zip(&index.to_be_bytes()[2..]) {
            *byte ^= index;
        }
        apply(&self.cipher, start, bytes);
    }

    /// A tag that is begun.
    pub fn tag(&self) -> Hmac<Sha1> {
        self.tag.clone()
    }

    /// The tag of an RTP packet, which includes how often its number wrapped around.
    pub fn rtp_tag(&self, packet: &[u8], index: u64) -> [u8; 20] {
        let wrapped = ((index >> 16) as u32).to_be_bytes();
        self.tag().chain_update(packet).chain_update(wrapped).finalize().into_bytes().into()
    }
}

/// AES in counter mode: what the cipher makes of the numbers from `start` on.
fn apply(cipher: &Aes128, start: [u8; BLOCK], bytes: &mut [u8]) {
    let mut counter = u16::from_be_bytes([start[14], start[15]]);
    for part in bytes.chunks_mut(BLOCK * BLOCKS) {
        let mut blocks = [Array(start); BLOCKS];
        for block in &mut blocks {
            block[14..].copy_from_slice(&counter.to_be_bytes());
            counter = counter.wrapping_add(1);
        }
        let used = part.len().div_ceil(BLOCK);
        cipher.encrypt_blocks(&mut blocks[..used]);
        for (byte, key) in part.iter_mut().zip(blocks.iter().flatten()) {
            *byte ^= key;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
    }

    /// RFC 3711 B.2
    #[test]
    fn counter_mode_is_as_in_the_rfc() {
        let key: [u8; 16] = bytes("2B7E151628AED2A6ABF7158809CF4F3C").try_into().unwrap();
        let start = bytes("F0F1F2F3F4F5F6F7F8F9FAFBFCFD0000").try_into().unwrap();
        let mut stream = vec![0; 0xFF02 * BLOCK];
        apply(&Aes128::new(&Array(key)), start, &mut stream);
        assert_eq!(
            stream[..48],
            bytes("E03EAD0935C95E80E166B16DD92B4EB4D23513162B02D0F72A43A2FE4A5F97AB41E95B3BB0A2E8DD477901E4FCA894C0")
        );
        let end = 0xFEFF * BLOCK;
        assert_eq!(
            stream[end..end + 48],
            bytes("EC8CDF7398607CB0F2D21675EA9EA1E4362B7C3C6773516318A077D7FC5073AE6A2CC3787889374FBEB4C81B17BA6C44")
        );
    }

    /// RFC 3711 B.3
    #[test]
    fn session_keys_are_as_in_the_rfc() {
        let master = bytes("E1F97A0D3E018BE0D64FA32C06DE41390EC675AD498AFEEBB6960B3AABE6");
        let keys = MasterKey::new(master.try_into().unwrap()).rtp();
        assert_eq!(keys.salt[..], bytes("30CBBC08863D8C85D49DB34A9AE1"));
        let expected: [u8; 16] = bytes("C61E7A93744F39EE10734AFE3FF7A087").try_into().unwrap();
        let (mut own, mut theirs) = ([0; 16], [0; 16]);
        apply(&keys.cipher, [7; 16], &mut own);
        apply(&Aes128::new(&Array(expected)), [7; 16], &mut theirs);
        assert_eq!(own, theirs);
        let authentication = bytes("CEBE321F6FF7716B6FD4AB49AF256A156D38BAA4").try_into().unwrap();
        let tag = |tag: Hmac<Sha1>| tag.chain_update(b"sound").finalize().into_bytes();
        assert_eq!(tag(keys.tag()), tag(keyed(&authentication)));
    }

    #[test]
    fn a_key_is_not_printed() {
        assert_eq!(format!("{:?}", MasterKey::new([7; 30])), "MasterKey(…)");
    }
}
