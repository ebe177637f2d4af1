//! What carriers post. Each body is tried as it came, and signed, so that the search gets past the signature.

use std::sync::OnceLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue};
use offhook_carriers::telnyx::{self, TelnyxCarrier};
use offhook_carriers::twilio::{self, TwilioCarrier, signature};
use offhook_carriers::{Hook, HookRefused, Hooks};
use offhook_domain::Timestamp;
use ring::signature::{Ed25519KeyPair, KeyPair};
use secrecy::SecretString;
use url::Url;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";
const NOW: i64 = 1_700_000_000;

/// The first line is what stands in the signature's header, and behind `#` in the address; the rest is the body.
pub fn twilio(bytes: &[u8]) {
    static CARRIER: OnceLock<TwilioCarrier> = OnceLock::new();
    let carrier = CARRIER.get_or_init(|| {
        have_cryptography();
        let settings = twilio::Settings {
            name: "twilio",
            account_sid: "AC0123456789abcdef0123456789abcdef".to_owned(),
            auth_token: SecretString::from(TOKEN.to_owned()),
            messaging_service_sid: None,
            base_url: url("http://127.0.0.1:1"),
            public_url: "https://phone.example.com".to_owned(),
        };
        TwilioCarrier::new(settings).expect("it can be built")
    });
    let (first, body) = first_line(bytes);
    let address = format!("https://phone.example.com/hooks/twilio/main/sms?{}", String::from_utf8_lossy(first));
    let mut headers = HeaderMap::new();
    set(&mut headers, "x-twilio-signature", first);
    assert!(read(carrier, &address, &headers, body).is_err(), "a signature was guessed");
    let form: Vec<(String, String)> = url::form_urlencoded::parse(body).into_owned().collect();
    set(&mut headers, "x-twilio-signature", signature::sign(TOKEN, &address, &form).as_bytes());
    let refused = read(carrier, &address, &headers, body).err();
    assert!(!matches!(refused, Some(HookRefused::Forged | HookRefused::Unsigned)), "what was signed counts as forged");
}

/// The first line is what stands in both headers; the rest is the body.
pub fn telnyx(bytes: &[u8]) {
    static PAIR: OnceLock<(Ed25519KeyPair, TelnyxCarrier)> = OnceLock::new();
    let (pair, carrier) = PAIR.get_or_init(|| {
        have_cryptography();
        let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("any seed will do");
        let settings = telnyx::Settings {
            name: "telnyx",
            api_key: SecretString::from("KEY".to_owned()),
            public_key: pair.public_key().as_ref().try_into().expect("32 octets"),
            messaging_profile_id: String::new(),
            base_url: url("http://127.0.0.1:1"),
            public_url: "https://phone.example.com".to_owned(),
        };
        (pair, TelnyxCarrier::new(settings).expect("it can be built"))
    });
    let (first, body) = first_line(bytes);
    let mut headers = HeaderMap::new();
    set(&mut headers, "telnyx-signature-ed25519", first);
    set(&mut headers, "telnyx-timestamp", first);
    let address = "https://phone.example.com/hooks/telnyx/main";
    assert!(read(carrier, address, &headers, body).is_err(), "a signature was guessed");
    let at = NOW.to_string();
    let signed = pair.sign(&[at.as_bytes(), b"|", body].concat());
    set(&mut headers, "telnyx-signature-ed25519", STANDARD.encode(signed).as_bytes());
    set(&mut headers, "telnyx-timestamp", at.as_bytes());
    let refused = read(carrier, address, &headers, body).err();
    assert!(matches!(refused, None | Some(HookRefused::Unreadable)), "what was signed counts as forged");
}

fn read(hooks: &dyn Hooks, url: &str, headers: &HeaderMap, body: &[u8]) -> Result<(), HookRefused> {
    let now = Timestamp::from_micros(NOW * 1_000_000);
    hooks.read(&Hook { url, headers, body, now }).map(drop)
}

fn first_line(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = bytes.iter().position(|octet| *octet == b'\n').unwrap_or(bytes.len());
    (&bytes[..end], bytes.get(end + 1..).unwrap_or_default())
}

fn set(headers: &mut HeaderMap, name: &'static str, value: &[u8]) {
    if let Ok(value) = HeaderValue::from_bytes(value) {
        headers.insert(HeaderName::from_static(name), value);
    }
}

fn url(text: &str) -> Url {
    Url::parse(text).expect("an address")
}

/// A carrier has a client, though nothing is asked of anybody here.
fn have_cryptography() {
    // Fails where another target was here first.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
