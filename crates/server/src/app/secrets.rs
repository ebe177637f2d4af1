//! Secrets at rest: API keys as hashes, webhook secrets sealed with the installation's key.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use chacha20poly1305::aead::{Aead, KeyInit};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// SHA-256 of an API key, in hex. Enough: a key is 256 random bits, so there is nothing to guess.
#[must_use]
pub fn hash_api_key(key: &str) -> String {
    hex(&Sha256::digest(key.as_bytes()))
}

/// Lower-case hex.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes.iter().flat_map(|b| [DIGITS[usize::from(b >> 4)], DIGITS[usize::from(b & 15)]]).map(char::from).collect()
}

/// A sealed text can't be opened: the key is another one, or the text was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a stored secret can't be opened with this OFFHOOK_SECRET_KEY")]
pub struct NotOpened;

/// Seals and opens secrets that must be shown or used again (XChaCha20-Poly1305).
#[derive(Clone)]
pub struct Sealer {
    cipher: XChaCha20Poly1305,
    /// For fingerprints alone, so that none of them says anything of the key.
    fingerprint_key: [u8; 32],
    codes: Hmac<Sha256>,
    urls: Hmac<Sha256>,
}

impl Sealer {
    #[must_use]
    pub fn new(key: &[u8; 32]) -> Self {
        let fingerprint_key = Sha256::new().chain_update(b"offhook fingerprints").chain_update(key).finalize().into();
        let (codes, urls) = (keyed_for(b"offhook codes\0", key), keyed_for(b"offhook signed urls\0", key));
        Self { cipher: XChaCha20Poly1305::new(&Key::from(*key)), fingerprint_key, codes, urls }
    }

    /// What [`super::SignedUrls`] signs with.
    pub(super) fn for_urls(&self) -> Hmac<Sha256> {
        self.urls.clone()
    }

    /// A text by which another one can be told to be the same, and nothing else: there are few phone numbers, so that a
    /// plain hash could be guessed.
    #[must_use]
    pub fn fingerprint(&self, text: &str) -> String {
        let digest = Sha256::new().chain_update(self.fingerprint_key).chain_update(text).finalize();
        hex(digest.first_chunk::<12>().map_or(&[], |some| some.as_slice()))
    }

    /// The hash of a short code that belongs to something. Without the installation's key nobody can try all codes.
    #[must_use]
    pub fn hash_code(&self, of: &str, code: &str) -> String {
        let mut hash = self.codes.clone();
        for part in [of, "\0", code] {
            hash.update(part.as_bytes());
        }
        hex(&hash.finalize().into_bytes())
    }

    /// Whether `code` is the one that was hashed, in the same time whatever of it is wrong.
    #[must_use]
    pub fn is_code(&self, of: &str, code: &str, hash: &str) -> bool {
        self.hash_code(of, code).as_bytes().ct_eq(hash.as_bytes()).into()
    }

    /// # Panics
    /// Never in practice: the cipher only fails on texts of 256 GiB.
    #[must_use]
    pub fn seal(&self, text: &str) -> String {
        let nonce: [u8; 24] = rand::random();
        let sealed = self.cipher.encrypt(&XNonce::from(nonce), text.as_bytes()).unwrap_or_default();
        STANDARD_NO_PAD.encode([nonce.as_slice(), &sealed].concat())
    }

    /// # Errors
    /// [`NotOpened`] when it was sealed with another key or changed since.
    pub fn open(&self, sealed: &str) -> Result<String, NotOpened> {
        let bytes = STANDARD_NO_PAD.decode(sealed).map_err(|_| NotOpened)?;
        let (nonce, sealed) = bytes.split_first_chunk::<24>().ok_or(NotOpened)?;
        let text = self.cipher.decrypt(&XNonce::from(*nonce), sealed).map_err(|_| NotOpened)?;
        String::from_utf8(text).map_err(|_| NotOpened)
    }
}

/// With a key of its own, so that no hash tells anything of what is sealed, or of what is hashed for another use.
fn keyed_for(what: &[u8], key: &[u8; 32]) -> Hmac<Sha256> {
    let own = Sha256::new().chain_update(what).chain_update(key).finalize();
    let Ok(keyed) = <Hmac<Sha256> as KeyInit>::new_from_slice(&own) else {
        unreachable!("HMAC accepts a key of any length")
    };
    keyed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_this_installations() {
        let number = "+14155550100";
        let print = Sealer::new(&[7; 32]).fingerprint(number);
        assert_eq!((print.len(), &print), (24, &Sealer::new(&[7; 32]).fingerprint(number)));
        assert_ne!(print, Sealer::new(&[8; 32]).fingerprint(number));
        assert_ne!(print, Sealer::new(&[7; 32]).fingerprint("+14155550101"));
    }

    #[test]
    fn a_code_is_known_again_with_the_same_key_only() {
        let sealer = Sealer::new(&[7; 32]);
        let hash = sealer.hash_code("ver_1", "012345");
        assert!(sealer.is_code("ver_1", "012345", &hash));
        assert!(!sealer.is_code("ver_1", "012346", &hash) && !sealer.is_code("ver_2", "012345", &hash));
        assert!(!Sealer::new(&[8; 32]).is_code("ver_1", "012345", &hash));
    }

    #[test]
    fn what_is_sealed_opens_with_the_same_key_only() {
        let sealer = Sealer::new(&[7; 32]);
        let sealed = sealer.seal("whsec_abc");
        assert!(!sealed.contains("abc"));
        assert_eq!(sealer.open(&sealed), Ok("whsec_abc".to_owned()));
        assert_eq!(Sealer::new(&[8; 32]).open(&sealed), Err(NotOpened));
        assert_eq!(sealer.open("nonsense"), Err(NotOpened));
    }
}
