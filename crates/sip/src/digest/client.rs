//! Answering challenges.

use std::fmt;

use super::{Algorithm, Proof};
use crate::Tokens;
use crate::message::{HeaderName, Param, ParamValue, Params, Request, Response, auth_params, write_auth_params};

/// A name and its password, which no log shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Who.
    pub username: String,
    /// The proof.
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("username", &self.username).finish_non_exhaustive()
    }
}

#[derive(Clone, Debug)]
struct Challenge {
    is_proxy: bool,
    algorithm: Algorithm,
    /// Named in the answer only if it was in the challenge.
    says_algorithm: bool,
    realm: String,
    nonce: String,
    opaque: Option<String>,
    counts: bool,
    stale: bool,
}

/// What was asked of us, so that later requests bring their answer along. One server and one proxy may ask.
#[derive(Clone, Debug, Default)]
pub struct Session {
    known: Vec<(Challenge, u32)>,
}

impl Session {
    /// Takes the challenges of a 401 or 407; whether it makes sense to try again: not if they are the same that our
    /// answer was just refused for.
    pub fn challenged(&mut self, request: &Request, response: &Response) -> bool {
        let mut any = false;
        for (is_proxy, field, answer) in [
            (false, HeaderName::WwwAuthenticate, HeaderName::Authorization),
            (true, HeaderName::ProxyAuthenticate, HeaderName::ProxyAuthorization),
        ] {
            let mut realms: Vec<String> = Vec::new();
            for challenge in response.headers.all(&field).filter_map(|value| Challenge::parse(is_proxy, value)) {
                // The topmost that we can do counts (RFC 8760 §2.4), for each realm that asks.
                if realms.contains(&challenge.realm) {
                    continue;
                }
                realms.push(challenge.realm.clone());
                let answered = request
                    .headers
                    .all(&answer)
                    .filter_map(|value| auth_params(value.split_once(' ')?.1).ok())
                    .any(|params| params.get("realm") == Some(&challenge.realm));
                if answered && !challenge.stale {
                    return false;
                }
                self.known.retain(|(known, _)| known.is_proxy != is_proxy || known.realm != challenge.realm);
                self.known.push((challenge, 0));
                any = true;
            }
        }
        any
    }

    /// Puts an answer to everything that was asked on a request.
    pub fn authorize(&mut self, request: &mut Request, credentials: &Credentials, tokens: &mut Tokens) {
        request.headers.remove(&HeaderName::Authorization);
        request.headers.remove(&HeaderName::ProxyAuthorization);
        let (method, uri) = (request.method.clone(), request.uri.to_string());
        for (challenge, used) in &mut self.known {
            *used += 1;
            let (name, value) = challenge.answer(credentials, method.as_str(), &uri, *used, &tokens.nonce());
            request.headers.push(name, value);
        }
    }
}

impl Challenge {
    fn parse(is_proxy: bool, value: &str) -> Option<Self> {
        let (scheme, rest) = value.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("digest") {
            return None;
        }
        let params = auth_params(rest.trim()).ok()?;
        let qop = params.get("qop");
        let counts = qop.is_some_and(|qop| qop.split(',').any(|one| one.trim().eq_ignore_ascii_case("auth")));
        if qop.is_some() && !counts {
            return None;
        }
        let algorithm = params.get("algorithm");
        Some(Self {
            is_proxy,
            algorithm: Algorithm::parse(algorithm.unwrap_or("MD5"))?,
            says_algorithm: algorithm.is_some(),
            realm: params.get("realm")?.to_owned(),
            nonce: params.get("nonce")?.to_owned(),
            opaque: params.get("opaque").map(str::to_owned),
            counts,
            stale: params.get("stale").is_some_and(|stale| stale.eq_ignore_ascii_case("true")),
        })
    }

    fn answer(&self, who: &Credentials, method: &str, uri: &str, used: u32, cnonce: &str) -> (HeaderName, String) {
        let nc = format!("{used:08x}");
        let proof = Proof {
            algorithm: self.algorithm,
            username: &who.username,
            realm: &self.realm,
            password: &who.password,
            method,
            uri,
            nonce: &self.nonce,
            counted: self.counts.then_some((cnonce, &nc)),
        };
        let quoted = |text: &str| ParamValue::Quoted(text.to_owned());
        let token = |text: &str| ParamValue::Token(text.to_owned());
        let mut fields = vec![
            ("username", quoted(&who.username)),
            ("realm", quoted(&self.realm)),
            ("nonce", quoted(&self.nonce)),
            ("uri", quoted(uri)),
            ("response", quoted(&proof.response())),
        ];
        if self.says_algorithm {
            fields.push(("algorithm", token(self.algorithm.as_str())));
        }
        if self.counts {
            fields.extend([("cnonce", quoted(cnonce)), ("qop", token("auth")), ("nc", token(&nc))]);
        }
        if let Some(opaque) = &self.opaque {
            fields.push(("opaque", quoted(opaque)));
        }
        let params = fields.into_iter().map(|(name, value)| Param { name: name.to_owned(), value: Some(value) });
        let name = if self.is_proxy { HeaderName::ProxyAuthorization } else { HeaderName::Authorization };
        (name, format!("Digest {}", write_auth_params(&Params(params.collect()))))
    }
}
