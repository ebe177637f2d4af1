//! Making challenges and judging the answers. A nonce says by itself when it was made, so nothing is kept of challenges that
//! nobody answers.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::{Algorithm, Credentials, Proof};
use crate::message::{HeaderName, Request, Response, auth_params};
use crate::tokens::{Tokens, hex};

/// How long a nonce is taken.
const LIFETIME: Duration = Duration::from_secs(300);

/// What an answer is worth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is this user.
    Known(String),
    /// There is no answer, or one to somebody else's challenge.
    Unanswered,
    /// The nonce is too old or was used; the answer itself may have been right.
    Stale,
    /// Wrong name or password.
    Wrong,
}

/// Asks who somebody is.
#[derive(Debug)]
pub struct Guard {
    realm: String,
    key: [u8; 32],
    born: Instant,
    /// The last count of each nonce that was answered rightly.
    counts: HashMap<String, (u32, Instant)>,
    /// When those that are too old are forgotten.
    forget_at: Instant,
}

impl Guard {
    /// `now` is only where counting begins.
    #[must_use]
    pub fn new(realm: &str, tokens: &mut Tokens, now: Instant) -> Self {
        Self { realm: realm.to_owned(), key: tokens.key(), born: now, counts: HashMap::new(), forget_at: now }
    }

    /// Puts the challenge on a 401. It asks for MD5 alone: RFC 8760 §2.3 would have one for SHA-256 beside it, but telephone
    /// systems that know only MD5, such as baresip 1.0 and sipp 3.6, give up when they see that first.
    pub fn challenge(&self, response: &mut Response, stale: bool, tokens: &mut Tokens, now: Instant) {
        let (realm, nonce, algorithm) = (&self.realm, self.nonce(tokens, now), Algorithm::Md5.as_str());
        let stale = if stale { ", stale=true" } else { "" };
        response.headers.push(
            HeaderName::WwwAuthenticate,
            format!("Digest realm=\"{realm}\", nonce=\"{nonce}\", algorithm={algorithm}, qop=\"auth\"{stale}"),
        );
    }

    /// Judges the answer on a request.
    pub fn judge<'a>(
        &mut self,
        request: &Request,
        credentials_of: impl FnOnce(&str) -> Option<&'a Credentials>,
        now: Instant,
    ) -> Verdict {
        let ours = request
            .headers
            .all(&HeaderName::Authorization)
            .filter_map(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("digest"))
            .filter_map(|(_, rest)| auth_params(rest.trim()).ok())
            .find(|params| params.get("realm") == Some(&self.realm));
        let Some(params) = ours else { return Verdict::Unanswered };
        let get = |name| params.get(name).unwrap_or_default();
        let (username, nonce, cnonce, nc) = (get("username"), get("nonce"), get("cnonce"), get("nc"));
        let algorithm = params.get("algorithm").map_or(Some(Algorithm::Md5), Algorithm::parse);
        let Some(algorithm) = algorithm else { return Verdict::Wrong };
        if get("qop") != "auth" || cnonce.is_empty() {
            return Verdict::Wrong;
        }
        let Some(age) = self.age(nonce, now) else { return Verdict::Unanswered };
        // An unknown name costs the same work as a wrong password, so that the time tells neither.
        let nobody = Credentials { username: username.to_owned(), password: String::new() };
        let known = credentials_of(username);
        let proof = Proof {
            algorithm,
            username,
            realm: &self.realm,
            password: &known.unwrap_or(&nobody).password,
            method: request.method.as_str(),
            uri: get("uri"),
            nonce,
            counted: Some((cnonce, nc)),
        };
        let is_right = bool::from(proof.response().as_bytes().ct_eq(get("response").to_ascii_lowercase().as_bytes()));
        if !is_right || known.is_none() {
            return Verdict::Wrong;
        }
        let count = u32::from_str_radix(nc, 16).unwrap_or_default();
        if age > LIFETIME || self.counts.get(nonce).is_some_and(|(last, _)| count <= *last) || count == 0 {
            return Verdict::Stale;
        }
        if self.forget_at <= now {
            self.counts.retain(|_, (_, forget)| *forget > now);
            self.forget_at = now + LIFETIME / 4;
        }
        self.counts.insert(nonce.to_owned(), (count, now + LIFETIME));
        Verdict::Known(username.to_owned())
    }

    fn nonce(&self, tokens: &mut Tokens, now: Instant) -> String {
        let age = u64::try_from((now - self.born).as_millis()).unwrap_or(u64::MAX);
        let text = format!("{age:016x}{}", tokens.nonce());
        format!("{text}{}", self.seal(&text))
    }

    /// How old a nonce of ours is.
    fn age(&self, nonce: &str, now: Instant) -> Option<Duration> {
        let (text, seal) = nonce.split_at_checked(40)?;
        if !bool::from(self.seal(text).as_bytes().ct_eq(seal.as_bytes())) {
            return None;
        }
        let made = u64::from_str_radix(text.get(..16)?, 16).ok()?;
        Some(now.saturating_duration_since(self.born + Duration::from_millis(made)))
    }

    fn seal(&self, text: &str) -> String {
        // A key of 32 bytes is always taken.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.key) else { return String::new() };
        mac.update(text.as_bytes());
        hex(&mac.finalize().into_bytes()[..16])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Session;
    use crate::message::{Method, NameAddr, Uri};

    struct Scene {
        guard: Guard,
        tokens: Tokens,
        now: Instant,
        session: Session,
    }

    fn scene() -> Scene {
        let mut tokens = Tokens::new([7; 32]);
        let now = Instant::now();
        Scene { guard: Guard::new("offhook", &mut tokens, now), tokens, now, session: Session::default() }
    }

    fn request() -> Request {
        let uri = Uri::parse("sip:bob@example.com").unwrap();
        Request::new(Method::Invite, uri.clone(), NameAddr::new(uri.clone()), NameAddr::new(uri), "x", 1)
    }

    fn credentials(password: &str) -> Credentials {
        Credentials { username: "trunk".to_owned(), password: password.to_owned() }
    }

    impl Scene {
        fn challenge(&mut self, request: &Request, stale: bool) -> bool {
            let mut response = request.respond(401);
            self.guard.challenge(&mut response, stale, &mut self.tokens, self.now);
            self.session.challenged(request, &response)
        }

        fn judge(&mut self, request: &Request) -> Verdict {
            let right = credentials("secret");
            self.guard.judge(request, |name| (name == "trunk").then_some(&right), self.now)
        }

        fn answer(&mut self, password: &str) -> Request {
            let mut request = request();
            self.session.authorize(&mut request, &credentials(password), &mut self.tokens);
            request
        }
    }

    #[test]
    fn the_right_password_is_known_and_a_wrong_one_is_not_tried_again() {
        let mut scene = scene();
        assert_eq!(scene.judge(&request()), Verdict::Unanswered);
        assert!(scene.challenge(&request(), false));
        let answered = scene.answer("secret");
        assert!(answered.headers.get(&HeaderName::Authorization).unwrap().contains("algorithm=MD5"));
        assert_eq!(scene.judge(&answered), Verdict::Known("trunk".to_owned()));
        let wrong = scene.answer("guess");
        assert_eq!(scene.judge(&wrong), Verdict::Wrong);
        assert!(!scene.challenge(&wrong, false), "the same answer would be refused again");
    }

    #[test]
    fn an_answer_counts_once_and_not_for_ever() {
        let mut scene = scene();
        scene.challenge(&request(), false);
        let first = scene.answer("secret");
        assert_eq!(scene.judge(&first), Verdict::Known("trunk".to_owned()));
        assert_eq!(scene.judge(&first), Verdict::Stale, "a replay");
        let second = scene.answer("secret");
        assert!(second.headers.get(&HeaderName::Authorization).unwrap().contains("nc=00000002"));
        assert_eq!(scene.judge(&second), Verdict::Known("trunk".to_owned()));
        scene.now += LIFETIME + Duration::from_secs(1);
        let late = scene.answer("secret");
        assert_eq!(scene.judge(&late), Verdict::Stale);
        assert!(scene.challenge(&late, true), "a stale nonce is worth another try");
        let again = scene.answer("secret");
        assert_eq!(scene.judge(&again), Verdict::Known("trunk".to_owned()));
    }

    #[test]
    fn a_nonce_of_somebody_else_is_no_nonce() {
        let mut scene = scene();
        let mut other = self::scene();
        other.guard = Guard::new("offhook", &mut Tokens::new([8; 32]), other.now);
        other.challenge(&request(), false);
        let answered = other.answer("secret");
        assert_eq!(scene.judge(&answered), Verdict::Unanswered);
    }
}
