//! Telnyx's signature: Ed25519 of `<timestamp>|<body>`, in `telnyx-signature-ed25519` and `telnyx-timestamp` (Telnyx, "Webhook
//! signing"). Its tolerance is that of Telnyx's own libraries.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use offhook_domain::Timestamp;
use ring::signature::{ED25519, UnparsedPublicKey};

use crate::HookRefused;

/// How long ago, or how far ahead, a hook may have been signed.
const TOLERANCE_SECONDS: i64 = 300;

/// Proves a body.
///
/// # Errors
/// [`HookRefused::Forged`], and for what is proved and old [`HookRefused::Stale`].
pub fn check(
    public_key: &[u8; 32],
    timestamp: &str,
    signature: &str,
    body: &[u8],
    now: Timestamp,
) -> Result<(), HookRefused> {
    let signature = STANDARD.decode(signature).map_err(|_| HookRefused::Forged)?;
    let signed = [timestamp.as_bytes(), b"|", body].concat();
    let key = UnparsedPublicKey::new(&ED25519, public_key);
    key.verify(&signed, &signature).map_err(|_| HookRefused::Forged)?;
    let at: i64 = timestamp.parse().map_err(|_| HookRefused::Forged)?;
    let age = now.as_unix_seconds().saturating_sub(at);
    if age.abs() <= TOLERANCE_SECONDS { Ok(()) } else { Err(HookRefused::Stale) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ring::signature::{Ed25519KeyPair, KeyPair};

    #[test]
    fn only_the_account_and_only_lately() {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
        let key: [u8; 32] = pair.public_key().as_ref().try_into().unwrap();
        let sign = |text: &str| STANDARD.encode(pair.sign(text.as_bytes()));
        let at = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000);
        let signature = sign("1700000000|{}");
        let check =
            |timestamp: &str, body: &str, now: i64| super::check(&key, timestamp, &signature, body.as_bytes(), at(now));
        assert_eq!(check("1700000000", "{}", 1_700_000_000), Ok(()));
        assert_eq!(check("1700000000", "{}", 1_700_000_300), Ok(()));
        assert_eq!(check("1700000000", "{}", 1_700_000_301), Err(HookRefused::Stale));
        assert_eq!(check("1700000000", "{}", 1_699_999_699), Err(HookRefused::Stale));
        assert_eq!(check("1700000001", "{}", 1_700_000_000), Err(HookRefused::Forged));
        assert_eq!(check("1700000000", "{ }", 1_700_000_000), Err(HookRefused::Forged));
        assert_eq!(
            super::check(&[1; 32], "1700000000", &signature, b"{}", at(1_700_000_000)),
            Err(HookRefused::Forged)
        );
        for garbage in ["", "====", "AAAA"] {
            let read = super::check(&key, "1700000000", garbage, b"{}", at(1_700_000_000));
            assert_eq!(read, Err(HookRefused::Forged));
        }
    }
}
