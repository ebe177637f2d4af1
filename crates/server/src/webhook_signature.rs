//! How a customer's server knows that a webhook comes from us and is fresh.
//!
//! Enters: the webhook's secret, the delivery and the bytes about to be sent. Leaves: every header of the contract's
//! "Headers and signature". Sign exactly the bytes that are sent, anew on each attempt (the timestamp is signed).
//! Never here: serialising, sending, the clock.
//!
//! Two families sign the same body with different keys:
//! - `X-Webhook-*` keys with the secret as it is written, `whsec_` included: what AgentPhone's SDK verifies.
//! - `webhook-*` (Standard Webhooks) keys with the bytes that the base64 after `whsec_` stands for.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use http::header::{HeaderMap, HeaderName, HeaderValue, InvalidHeaderValue};
use sha2::Sha256;

const SECRET_PREFIX: &str = "whsec_";
const SECRET_BYTES: usize = 32;

pub const X_WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("x-webhook-signature");
pub const X_WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static("x-webhook-timestamp");
pub const X_WEBHOOK_ID: HeaderName = HeaderName::from_static("x-webhook-id");
pub const X_WEBHOOK_EVENT: HeaderName = HeaderName::from_static("x-webhook-event");
pub const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
pub const WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
pub const WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

/// The headers that sign `body` as delivery `delivery_id` of `event`, sent at `timestamp_unix` (seconds).
///
/// # Errors
/// When `delivery_id` or `event` holds bytes that no header can carry, such as a line break.
pub fn sign(
    secret: &str,
    delivery_id: &str,
    timestamp_unix: i64,
    body: &[u8],
    event: &str,
) -> Result<HeaderMap, InvalidHeaderValue> {
    let timestamp = timestamp_unix.to_string();
    let id = HeaderValue::from_str(delivery_id)?;
    let sent_at = HeaderValue::from_str(&timestamp)?;
    let own = hmac_sha256(secret.as_bytes(), &[timestamp.as_bytes(), b".", body]);
    let standard =
        hmac_sha256(&standard_key(secret), &[delivery_id.as_bytes(), b".", timestamp.as_bytes(), b".", body]);

    let mut headers = HeaderMap::with_capacity(7);
    headers.insert(X_WEBHOOK_SIGNATURE, HeaderValue::from_str(&format!("sha256={}", hex(&own)))?);
    headers.insert(X_WEBHOOK_TIMESTAMP, sent_at.clone());
    headers.insert(X_WEBHOOK_ID, id.clone());
    headers.insert(X_WEBHOOK_EVENT, HeaderValue::from_str(event)?);
    headers.insert(WEBHOOK_ID, id);
    headers.insert(WEBHOOK_TIMESTAMP, sent_at);
    headers.insert(WEBHOOK_SIGNATURE, HeaderValue::from_str(&format!("v1,{}", STANDARD.encode(standard)))?);
    Ok(headers)
}

/// A new secret that both families can use: `whsec_` and the base64 of 256 random bits.
#[must_use]
pub fn generate_secret() -> String {
    let key: [u8; SECRET_BYTES] = rand::random();
    format!("{SECRET_PREFIX}{}", STANDARD.encode(key))
}

/// The key of the Standard Webhooks signature. A secret that is not base64 (an imported one) is its own key: such a
/// customer cannot use a Standard Webhooks library anyway, and the other signature still works.
fn standard_key(secret: &str) -> Vec<u8> {
    let encoded = secret.strip_prefix(SECRET_PREFIX).unwrap_or(secret);
    STANDARD.decode(encoded).unwrap_or_else(|_| encoded.as_bytes().to_vec())
}

fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    // HMAC takes keys of every length, so the error that the type allows for does not occur.
    let Ok(mut mac) = <Hmac<Sha256> as KeyInit>::new_from_slice(key) else {
        unreachable!("HMAC accepts a key of any length")
    };
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example that the Standard Webhooks libraries carry in their own tests.
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const BODY: &[u8] = br#"{"test": 2432232314}"#;

    #[test]
    fn agrees_with_the_published_vector() {
        let headers = sign(SECRET, ID, 1_614_265_330, BODY, "agent.message").unwrap();
        assert_eq!(headers[WEBHOOK_ID], ID);
        assert_eq!(headers[WEBHOOK_TIMESTAMP], "1614265330");
        assert_eq!(headers[WEBHOOK_SIGNATURE], "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    /// Computed with Python's `hmac` as in `agentphone.webhook.verify_webhook` 0.20.3.
    #[test]
    fn agrees_with_the_sdk() {
        let headers = sign(SECRET, ID, 1_614_265_330, BODY, "agent.message").unwrap();
        assert_eq!(
            headers[X_WEBHOOK_SIGNATURE],
            "sha256=2e37df5d4a028c51a7f3133d64ae1e300d2c2c900f1b1d49d4369ad2530f8964"
        );
        assert_eq!(headers[X_WEBHOOK_TIMESTAMP], "1614265330");
        assert_eq!(headers[X_WEBHOOK_ID], ID);
        assert_eq!(headers[X_WEBHOOK_EVENT], "agent.message");
        assert_eq!(headers.len(), 7);
    }

    /// RFC 4231, case 2.
    #[test]
    fn hmac_is_hmac() {
        let tag = hmac_sha256(b"Jefe", &[b"what do ya want ", b"for nothing?"]);
        assert_eq!(hex(&tag), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }

    #[test]
    fn secrets_are_long_and_differ() {
        let secret = generate_secret();
        assert_ne!(secret, generate_secret());
        assert_eq!(standard_key(&secret).len(), SECRET_BYTES);
    }

    #[test]
    fn a_secret_that_is_not_base64_still_signs() {
        let headers = sign("whsec_not base64!", ID, 0, b"", "agent.message").unwrap();
        assert!(headers.contains_key(X_WEBHOOK_SIGNATURE) && headers.contains_key(WEBHOOK_SIGNATURE));
    }

    #[test]
    fn a_line_break_cannot_smuggle_a_header() {
        assert!(sign(SECRET, "dlv_1\r\nx: y", 0, b"", "agent.message").is_err());
        assert!(sign(SECRET, "dlv_1", 0, b"", "agent\nmessage").is_err());
    }
}
