//! `X-Twilio-Signature`: HMAC-SHA1, with the account's token, of the exact address that was called and the form that was posted
//! (Twilio, "Security", "Validating requests").

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use url::Url;

/// Whether a signature is the token's for a form posted to `url`. Twilio writes the address with its port or without, so both
/// count.
#[must_use]
pub fn is_valid(token: &str, url: &str, form: &[(String, String)], signature: &str) -> bool {
    let Ok(signature) = STANDARD.decode(signature) else { return false };
    let key = key(token);
    spellings(url).iter().any(|url| hmac::verify(&key, signed(url, form).as_bytes(), &signature).is_ok())
}

/// As Twilio signs.
#[must_use]
pub fn sign(token: &str, url: &str, form: &[(String, String)]) -> String {
    STANDARD.encode(hmac::sign(&key(token), signed(url, form).as_bytes()))
}

fn key(token: &str) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, token.as_bytes())
}

/// The address, and behind it every field with its values, in order, each value once.
fn signed(url: &str, form: &[(String, String)]) -> String {
    let mut fields: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (name, value) in form {
        fields.entry(name).or_default().insert(value);
    }
    let mut text = url.to_owned();
    for (name, values) in fields {
        for value in values {
            text.push_str(name);
            text.push_str(value);
        }
    }
    text
}

fn spellings(url: &str) -> Vec<String> {
    let mut all = vec![url.to_owned()];
    let Ok(parsed) = Url::parse(url) else { return all };
    let (Some(host), Some(port)) = (parsed.host_str(), parsed.port_or_known_default()) else { return all };
    let Some((scheme, rest)) = url.split_once("://") else { return all };
    let path = rest.find(['/', '?']).map_or("", |at| &rest[at..]);
    all.push(format!("{scheme}://{host}:{port}{path}"));
    all.push(format!("{scheme}://{host}{path}"));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(fields: &[(&str, &str)]) -> Vec<(String, String)> {
        fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    /// The example of Twilio's own documentation and of the tests of its library.
    #[test]
    fn the_published_example_is_signed_alike() {
        let form = form(&[
            ("CallSid", "CA1234567890ABCDE"),
            ("Digits", "1234"),
            ("From", "+14158675309"),
            ("To", "+18005551212"),
            ("Caller", "+14158675309"),
        ]);
        let (token, url) = ("12345", "https://mycompany.com/myapp.php?foo=1&bar=2");
        assert_eq!(sign(token, url, &form), "RSOYDt4T1cUTdK1PDd93/VVr8B8=");
        assert!(is_valid(token, url, &form, "RSOYDt4T1cUTdK1PDd93/VVr8B8="));
        assert!(is_valid(
            token,
            "https://mycompany.com:443/myapp.php?foo=1&bar=2",
            &form,
            "RSOYDt4T1cUTdK1PDd93/VVr8B8="
        ));
    }

    #[test]
    fn anything_else_is_forged() {
        let one = form(&[("Body", "Hi"), ("From", "+14158675309")]);
        let (token, url) = ("12345", "https://phone.example/hooks/twilio/main/message");
        let signature = sign(token, url, &one);
        assert!(is_valid(token, url, &one, &signature));
        assert!(!is_valid("12346", url, &one, &signature));
        assert!(!is_valid(token, "https://phone.example/hooks/twilio/main/status", &one, &signature));
        assert!(!is_valid(token, "http://phone.example/hooks/twilio/main/message", &one, &signature));
        assert!(!is_valid(token, url, &form(&[("Body", "Ho"), ("From", "+14158675309")]), &signature));
        assert!(!is_valid(token, url, &form(&[("Body", "Hi")]), &signature));
        for garbage in ["", "=", "RSOYDt4T1cUTdK1PDd93/VVr8B8", "💥"] {
            assert!(!is_valid(token, url, &one, garbage), "{garbage}");
        }
    }
}
