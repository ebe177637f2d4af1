//! Links that whoever has them may open, for a while: what a carrier fetches for a message, for one.
//!
//! In: a path of ours, what it is for, and until when. Out: the URL with its signature, and whether one that comes back is
//! ours, whole and not too old. Never here: what is behind a link.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use hmac::{Hmac, Mac};
use offhook_domain::Timestamp;
use serde::Deserialize;
use sha2::Sha256;

use super::{Sealer, hex};
use crate::config::Config;

/// What a link is for. One for one thing is none for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A number's contact card, for whom it was shared with.
    ContactCard,
    /// A file that goes out with a message.
    Media,
    /// The recording of a call.
    Recording,
}

impl Purpose {
    /// Signed with the path; never to be changed, for links are out there.
    const fn name(self) -> &'static str {
        match self {
            Self::ContactCard => "contact card",
            Self::Media => "media",
            Self::Recording => "recording",
        }
    }
}

/// The query of a signed URL, as it comes back. What is missing or twisted in it makes the link a wrong one, no bad request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Signed {
    /// Until when it holds, in seconds since 1970.
    pub expires: String,
    pub signature: String,
}

/// Signs and checks. Cheap to clone.
#[derive(Clone)]
pub struct SignedUrls {
    keyed: Hmac<Sha256>,
    base: Arc<Base>,
}

/// How the world reaches this server.
struct Base {
    configured: String,
    /// Where it listens, if that is known, and the base that it comes to.
    bound: OnceLock<String>,
    port: OnceLock<u16>,
}

impl SignedUrls {
    #[must_use]
    pub fn new(sealer: &Sealer, config: &Config) -> Self {
        let configured = config.public_url(config.server.listen);
        Self {
            keyed: sealer.for_urls(),
            base: Arc::new(Base { configured, bound: OnceLock::new(), port: OnceLock::new() }),
        }
    }

    /// Tells it where the server listens: where no public URL is configured, and port 0 is, links need to know.
    pub fn listen_at(&self, config: &Config, bound: SocketAddr) {
        self.base.bound.get_or_init(|| config.public_url(bound));
        self.base.port.get_or_init(|| bound.port());
    }

    /// Where the server listens on this machine, if that is known.
    #[must_use]
    pub fn own_port(&self) -> Option<u16> {
        self.base.port.get().copied()
    }

    /// The URL by which `path` can be opened until `expires_at`, which is cut to a whole second. `path` begins with a
    /// slash, and is as it will be asked for: percent-encoded, and without a query.
    #[must_use]
    pub fn sign(&self, purpose: Purpose, path: &str, expires_at: Timestamp) -> String {
        let expires = expires_at.as_unix_seconds().to_string();
        let signature = hex(&self.mac(purpose, path, &expires).finalize().into_bytes());
        let base = self.base.bound.get().unwrap_or(&self.base.configured);
        format!("{base}{path}?expires={expires}&signature={signature}")
    }

    /// Whether `signed` opens `path` now, in the same time whatever of the signature is wrong.
    #[must_use]
    pub fn opens(&self, purpose: Purpose, path: &str, signed: &Signed, now: Timestamp) -> bool {
        let Some(signature) = from_hex(&signed.signature) else { return false };
        // The very text that was signed: no other spelling of the time is one of ours.
        let is_ours = self.mac(purpose, path, &signed.expires).verify_slice(&signature).is_ok();
        is_ours && signed.expires.parse::<i64>().is_ok_and(|expires| now.as_unix_seconds() < expires)
    }

    /// The path and the signature of a link to this server, whatever it leads to; `None` where it leads elsewhere.
    #[must_use]
    pub fn of_ours(&self, url: &str) -> Option<(String, Signed)> {
        let base = self.base.bound.get().unwrap_or(&self.base.configured);
        let (path, query) = url.strip_prefix(base.as_str())?.split_once('?')?;
        let (expires, signature) = query.strip_prefix("expires=")?.split_once("&signature=")?;
        Some((path.to_owned(), Signed { expires: expires.to_owned(), signature: signature.to_owned() }))
    }

    fn mac(&self, purpose: Purpose, path: &str, expires: &str) -> Hmac<Sha256> {
        let mut mac = self.keyed.clone();
        for part in [purpose.name(), "\0", expires, "\0", path] {
            mac.update(part.as_bytes());
        }
        mac
    }
}

/// A whole signature in the lower-case hex in which it was written.
fn from_hex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
        return None;
    }
    for (byte, at) in bytes.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(&text[at..at + 2], 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATH: &str = "/media/contact-cards/num_1.vcf";

    #[test]
    fn a_link_opens_what_it_is_for_until_it_expires() {
        let (urls, now) = (urls(7), at(1_000));
        let url = urls.sign(Purpose::ContactCard, PATH, at(1_060));
        let signed = signed(&url);
        assert!(url.starts_with(&format!("https://phone.example.com{PATH}?expires=1060&signature=")), "{url}");
        assert!(urls.opens(Purpose::ContactCard, PATH, &signed, now));
        assert!(urls.opens(Purpose::ContactCard, PATH, &signed, at(1_059)));
        assert!(!urls.opens(Purpose::ContactCard, PATH, &signed, at(1_060)), "expired");
        assert!(!urls.opens(Purpose::Media, PATH, &signed, now), "of another purpose");
        assert!(!urls.opens(Purpose::ContactCard, "/media/contact-cards/num_2.vcf", &signed, now), "of another path");
    }

    #[test]
    fn a_link_that_was_tampered_with_opens_nothing() {
        let (urls, now) = (urls(7), at(1_000));
        let good = signed(&urls.sign(Purpose::ContactCard, PATH, at(1_060)));
        let with = |expires: &str, signature: &str| Signed { expires: expires.into(), signature: signature.into() };
        let other = if good.signature.starts_with('0') { "1" } else { "0" };
        let wrong = [
            with("1061", &good.signature),
            with("01060", &good.signature),
            with("+1060", &good.signature),
            with("", &good.signature),
            with("1060", ""),
            with("1060", &good.signature[..62]),
            with("1060", &good.signature[..63]),
            with("1060", &format!("{}00", good.signature)),
            with("1060", &format!("{other}{}", &good.signature[1..])),
            with("1060", &good.signature.to_uppercase().replace(char::is_numeric, "A")),
            with("1060", &"é".repeat(32)),
            Signed::default(),
        ];
        for signed in wrong {
            assert!(!urls.opens(Purpose::ContactCard, PATH, &signed, now), "{signed:?}");
        }
        assert!(urls.opens(Purpose::ContactCard, PATH, &good, now));
    }

    #[test]
    fn a_link_of_another_installation_opens_nothing() {
        let forged = signed(&urls(8).sign(Purpose::ContactCard, PATH, at(1_060)));
        assert!(!urls(7).opens(Purpose::ContactCard, PATH, &forged, at(1_000)));
    }

    #[test]
    fn without_a_public_url_links_lead_to_where_the_server_listens() {
        let config = Config::load(&|name| (name == "OFFHOOK_LISTEN").then(|| "127.0.0.1:0".to_owned())).unwrap();
        let urls = SignedUrls::new(&Sealer::new(&[7; 32]), &config);
        urls.listen_at(&config, "127.0.0.1:4711".parse().unwrap());
        assert!(urls.sign(Purpose::Media, "/media/1", at(1)).starts_with("http://127.0.0.1:4711/media/1?"));
    }

    fn urls(key: u8) -> SignedUrls {
        let public = "https://phone.example.com/".to_owned();
        let config = Config::load(&|name| (name == "OFFHOOK__SERVER__PUBLIC_URL").then(|| public.clone())).unwrap();
        SignedUrls::new(&Sealer::new(&[key; 32]), &config)
    }

    fn signed(url: &str) -> Signed {
        axum::extract::Query::try_from_uri(&url.parse().unwrap()).unwrap().0
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }
}
