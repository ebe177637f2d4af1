//! One request as it came, and whether its signatures hold.
//!
//! The verification shares no code with the server, not even the HMAC: a shared mistake would verify itself.

use std::fmt;
use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, Method, Uri, request};
use serde_json::Value;
use sha2::{Digest, Sha256};

#[derive(Debug, Clone)]
pub struct Received {
    pub method: Method,
    pub uri: Uri,
    pub headers: HeaderMap,
    /// The bytes that the signatures cover.
    pub body: Bytes,
    /// `body` as JSON; null when it isn't JSON.
    pub json: Value,
    /// When the last byte came.
    pub at: Instant,
}

impl Received {
    pub(super) fn new(head: request::Parts, body: Bytes, at: Instant) -> Self {
        let json = serde_json::from_slice(&body).unwrap_or(Value::Null);
        Self { method: head.method, uri: head.uri, headers: head.headers, body, json, at }
    }

    /// A header's text; empty when it is missing.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Verifies both header families with `secret`, and that they agree on id and time.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn verify(&self, secret: &str) -> Result<(), String> {
        self.verify_x_webhook(secret)?;
        self.verify_standard(secret)?;
        for (own, standard) in [("x-webhook-id", "webhook-id"), ("x-webhook-timestamp", "webhook-timestamp")] {
            if self.header(own) != self.header(standard) {
                return Err(format!("{own} and {standard} differ"));
            }
        }
        match self.json.get("event").and_then(Value::as_str) {
            Some(event) if event != self.header("x-webhook-event") => {
                Err(format!("x-webhook-event is {}, the body says {event}", self.header("x-webhook-event")))
            }
            _ => Ok(()),
        }
    }

    /// As `agentphone.webhook.verify_webhook` does, but for the age.
    fn verify_x_webhook(&self, secret: &str) -> Result<(), String> {
        let timestamp = self.required("x-webhook-timestamp")?;
        timestamp.parse::<i64>().map_err(|_| format!("x-webhook-timestamp is not in unix seconds: {timestamp}"))?;
        self.required("x-webhook-id")?;
        let signed = [timestamp.as_bytes(), b".", &self.body].concat();
        let hex: String = hmac(secret.as_bytes(), &signed).iter().map(|byte| format!("{byte:02x}")).collect();
        if self.required("x-webhook-signature")? == format!("sha256={hex}") {
            Ok(())
        } else {
            Err("x-webhook-signature does not match".to_owned())
        }
    }

    /// As the Standard Webhooks libraries do: any one of the signatures, separated by spaces, may match.
    fn verify_standard(&self, secret: &str) -> Result<(), String> {
        let encoded = secret.strip_prefix("whsec_").unwrap_or(secret);
        let key = STANDARD.decode(encoded).map_err(|_| "the secret is not whsec_ and base64".to_owned())?;
        let (id, timestamp) = (self.required("webhook-id")?, self.required("webhook-timestamp")?);
        let signed = [id.as_bytes(), b".", timestamp.as_bytes(), b".", &self.body].concat();
        let expected = format!("v1,{}", STANDARD.encode(hmac(&key, &signed)));
        if self.required("webhook-signature")?.split(' ').any(|one| one == expected) {
            Ok(())
        } else {
            Err("webhook-signature does not match".to_owned())
        }
    }

    fn required(&self, name: &str) -> Result<&str, String> {
        match self.header(name) {
            "" => Err(format!("{name} is missing")),
            text => Ok(text),
        }
    }
}

impl fmt::Display for Received {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let event = self.header("x-webhook-event");
        write!(f, "{} {} {event} {}", self.method, self.uri, String::from_utf8_lossy(&self.body))
    }
}

/// HMAC-SHA256 as RFC 2104 writes it down.
fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    const BLOCK: usize = 64;
    let mut padded = [0; BLOCK];
    if key.len() > BLOCK {
        padded[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        padded[..key.len()].copy_from_slice(key);
    }
    let inner = Sha256::new().chain_update(padded.map(|byte| byte ^ 0x36)).chain_update(message).finalize();
    Sha256::new().chain_update(padded.map(|byte| byte ^ 0x5c)).chain_update(inner).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed() -> Received {
        let request = http::Request::post("/hook")
            .header("x-webhook-signature", "sha256=2e37df5d4a028c51a7f3133d64ae1e300d2c2c900f1b1d49d4369ad2530f8964")
            .header("x-webhook-timestamp", "1614265330")
            .header("x-webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek")
            .header("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek")
            .header("webhook-timestamp", "1614265330")
            .header("webhook-signature", "v1,AAAA v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")
            .body(())
            .unwrap();
        Received::new(request.into_parts().0, Bytes::from_static(br#"{"test": 2432232314}"#), Instant::now())
    }

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    #[test]
    fn the_published_vector_verifies() {
        signed().verify(SECRET).unwrap();
    }

    #[test]
    fn anything_changed_is_noticed() {
        assert!(signed().verify("whsec_AAAA").is_err());
        for name in ["x-webhook-signature", "x-webhook-timestamp", "webhook-id", "webhook-signature"] {
            let mut missing = signed();
            missing.headers.remove(name);
            assert_eq!(missing.verify(SECRET), Err(format!("{name} is missing")));
            let mut other = signed();
            other.headers.insert(http::HeaderName::from_static(name), "1".parse().unwrap());
            assert!(other.verify(SECRET).is_err(), "{name}");
        }
        let mut body = signed();
        body.body = Bytes::from_static(b"{}");
        assert!(body.verify(SECRET).is_err());
    }

    /// RFC 4231, case 6: a key longer than a block.
    #[test]
    fn hmac_hashes_long_keys() {
        let tag = hmac(&[0xaa; 131], b"Test Using Larger Than Block-Size Key - Hash Key First");
        assert_eq!(tag[..4], [0x60, 0xe4, 0x31, 0x59]);
    }
}
