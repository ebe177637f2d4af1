//! Digest authentication (RFC 8760, RFC 7616): MD5 and SHA-256, with and without `-sess`, `qop=auth`. [`Session`] answers
//! challenges, [`Guard`] makes them and judges the answers. Never here: which user may do what.

mod client;
mod guard;

pub use client::{Credentials, Session};
pub use guard::{Guard, Verdict};

use md5::Md5;
use sha2::{Digest as _, Sha256};

use crate::tokens::hex;

/// A hash that we can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// What is left of RFC 2617, and what most trunks still ask for.
    Md5,
    /// The same, bound to the nonces.
    Md5Sess,
    /// RFC 8760
    Sha256,
    /// The same, bound to the nonces.
    Sha256Sess,
}

impl Algorithm {
    /// As it is written.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Md5Sess => "MD5-sess",
            Self::Sha256 => "SHA-256",
            Self::Sha256Sess => "SHA-256-sess",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let known = [Self::Md5, Self::Md5Sess, Self::Sha256, Self::Sha256Sess];
        known.into_iter().find(|algorithm| algorithm.as_str().eq_ignore_ascii_case(text))
    }

    fn hash(self, text: &str) -> String {
        match self {
            Self::Md5 | Self::Md5Sess => hex(&Md5::digest(text.as_bytes())),
            Self::Sha256 | Self::Sha256Sess => hex(&Sha256::digest(text.as_bytes())),
        }
    }
}

/// All that goes into a response.
struct Proof<'a> {
    algorithm: Algorithm,
    username: &'a str,
    realm: &'a str,
    password: &'a str,
    method: &'a str,
    uri: &'a str,
    nonce: &'a str,
    /// cnonce and nc, with `qop=auth`.
    counted: Option<(&'a str, &'a str)>,
}

impl Proof<'_> {
    /// RFC 7616 §3.4.1 to §3.4.3; without qop as in RFC 2069.
    fn response(&self) -> String {
        let Self { algorithm, username, realm, password, method, uri, nonce, counted } = self;
        let mut a1 = algorithm.hash(&format!("{username}:{realm}:{password}"));
        if let (Algorithm::Md5Sess | Algorithm::Sha256Sess, Some((cnonce, _))) = (algorithm, counted) {
            a1 = algorithm.hash(&format!("{a1}:{nonce}:{cnonce}"));
        }
        let a2 = algorithm.hash(&format!("{method}:{uri}"));
        match counted {
            Some((cnonce, nc)) => algorithm.hash(&format!("{a1}:{nonce}:{nc}:{cnonce}:auth:{a2}")),
            None => algorithm.hash(&format!("{a1}:{nonce}:{a2}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7616 §3.9.1
    #[test]
    fn the_rfcs_own_example() {
        let response = |algorithm| {
            Proof {
                algorithm,
                username: "Mufasa",
                realm: "http-auth@example.org",
                password: "Circle of Life",
                method: "GET",
                uri: "/dir/index.html",
                nonce: "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
                counted: Some(("f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", "00000001")),
            }
            .response()
        };
        assert_eq!(response(Algorithm::Md5), "8ca523f5e9506fed4657c9700eebdbec");
        assert_eq!(response(Algorithm::Sha256), "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1");
    }
}
