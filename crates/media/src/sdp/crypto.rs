//! Keys in SDP (RFC 4568): `a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:…`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::srtp::Suite;
use crate::srtp::keys::MasterKey;

/// One `a=crypto` line that we can use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crypto {
    /// Which line of the offer it is, or answers.
    pub tag: u32,
    /// How packets are sealed.
    pub suite: Suite,
    /// With what.
    pub key: MasterKey,
}

impl Crypto {
    /// Reads the value of an `a=crypto` attribute. None: it asks for something that we don't do, and another line may not.
    #[must_use]
    pub fn parse(value: &str) -> Option<Self> {
        let mut words = value.split_ascii_whitespace();
        let tag = words.next().filter(|tag| tag.len() <= 9)?.parse().ok()?;
        let name = words.next()?;
        let suite = Suite::ALL.into_iter().find(|suite| suite.name().eq_ignore_ascii_case(name))?;
        let key = parse_key(words.next()?)?;
        // A window size is a wish; every other parameter changes what is sealed, or how.
        let all_known = words.all(|word| word.starts_with("WSH=") || word == "KDR=0");
        all_known.then_some(Self { tag, suite, key })
    }

    /// The value of an `a=crypto` attribute.
    #[must_use]
    pub fn write(&self) -> String {
        let mut key = [0; 30];
        key[..16].copy_from_slice(&self.key.key);
        key[16..].copy_from_slice(&self.key.salt);
        format!("{} {} inline:{}", self.tag, self.suite.name(), STANDARD.encode(key))
    }
}

/// `inline:` key and salt, then perhaps a lifetime, which a phone call doesn't reach. Several keys, or a key with an
/// identifier in each packet, we don't do.
fn parse_key(word: &str) -> Option<MasterKey> {
    let (method, info) = word.split_once(':')?;
    let mut parts = info.split('|');
    let key = parts.next()?;
    let plain = parts.all(|part| !part.contains(':'));
    if !method.eq_ignore_ascii_case("inline") || !plain || info.contains(';') {
        return None;
    }
    let bytes = STANDARD.decode(key).ok()?;
    Some(MasterKey::new(bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEY: &str = "d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj";

    #[test]
    fn lines_that_we_can_use_are_read() {
        for line in [
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}"),
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|2^20"),
            format!("1 aes_cm_128_hmac_sha1_80 INLINE:{KEY}|2^31 WSH=128"),
        ] {
            let crypto = Crypto::parse(&line).unwrap();
            assert_eq!((crypto.tag, crypto.suite), (1, Suite::Tag80), "{line}");
            assert_eq!(crypto.write(), format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}"));
        }
    }

    #[test]
    fn lines_that_ask_for_what_we_do_not_do_are_passed_over() {
        for line in [
            format!("1 AES_256_CM_HMAC_SHA1_80 inline:{KEY}"),
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|2^20|1:4"),
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY}|1:4"),
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY};inline:{KEY}"),
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY} UNENCRYPTED_SRTP"),
            format!("1 AES_CM_128_HMAC_SHA1_80 inline:{KEY} KDR=4"),
            "1 AES_CM_128_HMAC_SHA1_80 inline:c2hvcnQ=".to_owned(),
            "1 AES_CM_128_HMAC_SHA1_80".to_owned(),
            format!("x AES_CM_128_HMAC_SHA1_80 inline:{KEY}"),
        ] {
            assert_eq!(Crypto::parse(&line), None, "{line}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(tag in 0..1_000_000_u32, key in any::<[u8; 30]>(), short: bool) {
            let suite = if short { Suite::Tag32 } else { Suite::Tag80 };
            let crypto = Crypto { tag, suite, key: MasterKey::new(key) };
            prop_assert_eq!(Crypto::parse(&crypto.write()), Some(crypto));
        }

        #[test]
        fn anything_may_come(line in "\\PC{0,120}", tail in "[A-Za-z0-9+/=|:;^ ]{0,60}") {
            let _ = Crypto::parse(&line);
            let _ = Crypto::parse(&format!("1 AES_CM_128_HMAC_SHA1_32 inline:{tail}"));
        }
    }
}
