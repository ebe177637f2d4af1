//! Registering with a trunk (§10): ask, refresh in time, back off when it fails, and know after a restart where one stood.
//! Pure: [`crate::endpoint`] sends what [`Registration::request`] makes and brings back the answers.

use std::time::{Duration, Instant};

use crate::digest::{Credentials, Session};
use crate::message::{Contacts, HeaderName, Method, NameAddr, Request, Response, SipUri, Uri};
use crate::{Flow, Tokens};

/// With whom, and as whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistrationOrder {
    /// The registrar's domain, `sip:trunk.example.com`.
    pub registrar: Uri,
    /// Whose calls should come here, `sip:+15551234567@trunk.example.com`.
    pub address_of_record: Uri,
    /// The proof.
    pub credentials: Option<Credentials>,
    /// Where it is sent.
    pub flow: Flow,
    /// How long it should last.
    pub expires: Duration,
}

/// What must survive a restart, so that the registrar sees the same client go on and not a second one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistrationState {
    /// One for all registrations of a client (§10.2).
    pub call_id: String,
    /// Grows with every request.
    pub sequence: u32,
    /// How long the registration still lasts; `None` where there is none.
    pub lasts: Option<Duration>,
}

/// What an answer came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Ask again at once: there was a challenge, or another interval to keep.
    Again,
    /// Registered for so long.
    Registered(Duration),
    /// Taken back, as was ordered.
    Gone,
    /// Refused, or no answer (408); it is tried again after so long.
    Failed(u16, Duration),
}

/// A registration that is kept up.
#[derive(Debug)]
pub struct Registration {
    order: RegistrationOrder,
    contact: SipUri,
    call_id: String,
    sequence: u32,
    tag: String,
    session: Session,
    asks_for: Duration,
    /// Valid until then.
    until: Option<Instant>,
    /// The next request, unless one is under way.
    next: Option<Instant>,
    failures: u32,
    /// Challenges and intervals answered since the last outcome.
    tries: u32,
    leaving: bool,
}

/// More requests than are sent between two states that are kept.
const AFTER_A_RESTART: u32 = 1000;

/// A registrar that answers every answer with another demand is not followed for ever.
const MOST_TRIES: u32 = 4;

impl Registration {
    /// Begins, or goes on where `state` says.
    #[must_use]
    pub fn new(
        order: RegistrationOrder,
        contact: SipUri,
        state: Option<RegistrationState>,
        tokens: &mut Tokens,
        now: Instant,
    ) -> Self {
        let lasts = state.as_ref().and_then(|state| state.lasts);
        Self {
            asks_for: order.expires,
            contact,
            call_id: state.as_ref().map_or_else(|| tokens.call_id(), |state| state.call_id.clone()),
            // What was sent since the state was kept must not be sent again under the same number.
            sequence: state.map_or(0, |state| state.sequence.saturating_add(AFTER_A_RESTART)),
            tag: tokens.tag(),
            session: Session::default(),
            until: lasts.map(|lasts| now + lasts),
            // What still lasts is refreshed in its time: a restart is no reason for all trunks to be asked at once.
            next: Some(lasts.map_or(now, |lasts| now + refresh_after(lasts))),
            failures: 0,
            tries: 0,
            leaving: false,
            order,
        }
    }

    /// Where it is sent.
    #[must_use]
    pub fn flow(&self) -> Flow {
        self.order.flow
    }

    /// When the next request is due.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.next
    }

    /// Whether the trunk knows where we are.
    #[must_use]
    pub fn is_registered(&self, now: Instant) -> bool {
        self.until.is_some_and(|until| until > now)
    }

    /// What to keep.
    #[must_use]
    pub fn state(&self, now: Instant) -> RegistrationState {
        let lasts = self.until.map(|until| until.saturating_duration_since(now)).filter(|lasts| !lasts.is_zero());
        RegistrationState { call_id: self.call_id.clone(), sequence: self.sequence, lasts }
    }

    /// Takes the registration back with the next request.
    pub fn leave(&mut self, now: Instant) {
        self.leaving = true;
        self.tries = 0;
        self.next = Some(now);
    }

    /// The request that is due. Nothing is due until it is answered.
    #[must_use]
    pub fn request(&mut self, tokens: &mut Tokens) -> Request {
        self.next = None;
        self.sequence += 1;
        let who = NameAddr::new(self.order.address_of_record.clone());
        let from = who.clone().with_tag(&self.tag);
        let registrar = self.order.registrar.clone();
        let mut request = Request::new(Method::Register, registrar, from, who, &self.call_id, self.sequence);
        let expires = if self.leaving { Duration::ZERO } else { self.asks_for };
        request.headers.push(HeaderName::Contact, NameAddr::new(self.contact.clone()).to_string());
        request.headers.push(HeaderName::Expires, expires.as_secs().to_string());
        if let Some(credentials) = &self.order.credentials {
            self.session.authorize(&mut request, credentials, tokens);
        }
        request
    }

    /// What came back.
    pub fn answered(&mut self, request: &Request, response: &Response, tokens: &mut Tokens, now: Instant) -> Outcome {
        match response.status {
            200..=299 if self.leaving => {
                self.until = None;
                Outcome::Gone
            }
            200..=299 => {
                let lasts = self.granted(response);
                (self.failures, self.tries) = (0, 0);
                self.until = Some(now + lasts);
                self.next = Some(now + refresh_after(lasts));
                Outcome::Registered(lasts)
            }
            401 | 407 if self.order.credentials.is_some() && self.may_try_again() => {
                if self.session.challenged(request, response) {
                    return self.again(now);
                }
                self.failed(response.status, None, tokens, now)
            }
            423 if self.may_try_again() => match response.headers.seconds(&HeaderName::MinExpires) {
                Ok(Some(least)) if least > self.asks_for => {
                    self.asks_for = least;
                    self.again(now)
                }
                _ => self.failed(423, None, tokens, now),
            },
            status => {
                let after = response.headers.seconds(&HeaderName::RetryAfter).ok().flatten();
                self.failed(status, after, tokens, now)
            }
        }
    }

    /// Nothing came back.
    pub fn unanswered(&mut self, tokens: &mut Tokens, now: Instant) -> Outcome {
        self.failed(408, None, tokens, now)
    }

    fn may_try_again(&mut self) -> bool {
        self.tries += 1;
        self.tries <= MOST_TRIES
    }

    fn again(&mut self, now: Instant) -> Outcome {
        self.next = Some(now);
        Outcome::Again
    }

    fn failed(&mut self, status: u16, after: Option<Duration>, tokens: &mut Tokens, now: Instant) -> Outcome {
        self.tries = 0;
        if self.leaving {
            return Outcome::Gone;
        }
        // From half a minute to half an hour, never all clients in the same second (RFC 5626 §4.5).
        let longest = Duration::from_secs(30).saturating_mul(1 << self.failures.min(6)).min(Duration::from_secs(1800));
        self.failures += 1;
        let wait = after.unwrap_or_default().max(tokens.between(longest / 2, longest));
        self.next = Some(now + wait);
        Outcome::Failed(status, wait)
    }

    /// What the registrar says of our Contact; otherwise Expires; otherwise what we asked for (§10.2.4).
    fn granted(&self, response: &Response) -> Duration {
        let Ok(Contacts::List(contacts)) = response.headers.contacts() else { return self.asks_for };
        let ours = contacts.iter().find(|contact| {
            contact.uri.as_sip().is_some_and(|uri| {
                uri.is_equivalent(&self.contact) || (uri.user == self.contact.user && uri.host == self.contact.host)
            })
        });
        let of_contact = ours.and_then(|contact| contact.params.get("expires")?.parse().ok()).map(Duration::from_secs);
        let of_header = response.headers.seconds(&HeaderName::Expires).ok().flatten();
        of_contact.or(of_header).unwrap_or(self.asks_for).clamp(Duration::from_secs(1), Duration::from_secs(86_400 * 7))
    }
}

/// Early enough that a lost answer and a slow registrar leave time for another try.
fn refresh_after(lasts: Duration) -> Duration {
    (lasts * 4 / 5).min(lasts.saturating_sub(Duration::from_secs(5))).max(lasts / 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Transport;

    fn order() -> RegistrationOrder {
        let flow = Flow {
            transport: Transport::Udp,
            local: "10.0.0.5:5060".parse().unwrap(),
            remote: "198.51.100.7:5060".parse().unwrap(),
        };
        RegistrationOrder {
            registrar: Uri::parse("sip:trunk.example.com").unwrap(),
            address_of_record: Uri::parse("sip:alice@trunk.example.com").unwrap(),
            credentials: Some(Credentials { username: "alice".to_owned(), password: "secret".to_owned() }),
            flow,
            expires: Duration::from_secs(600),
        }
    }

    fn contact() -> SipUri {
        SipUri::new(Some("alice"), crate::message::Host::Ip("10.0.0.5".parse().unwrap()), Some(5060))
    }

    struct Scene {
        registration: Registration,
        tokens: Tokens,
        now: Instant,
        last: Option<Request>,
    }

    fn scene(state: Option<RegistrationState>) -> Scene {
        let mut tokens = Tokens::new([1; 32]);
        let now = Instant::now();
        Scene { registration: Registration::new(order(), contact(), state, &mut tokens, now), tokens, now, last: None }
    }

    impl Scene {
        fn ask(&mut self) -> Request {
            self.now = self.now.max(self.registration.deadline().unwrap());
            let request = self.registration.request(&mut self.tokens);
            assert_eq!(self.registration.deadline(), None, "one at a time");
            self.last = Some(request.clone());
            request
        }

        fn answer(&mut self, status: u16, fields: &[(HeaderName, &str)]) -> Outcome {
            let request = self.last.clone().unwrap();
            let mut response = request.respond_tagged(status, "r");
            for (name, value) in fields {
                response.headers.push(name.clone(), *value);
            }
            self.registration.answered(&request, &response, &mut self.tokens, self.now)
        }
    }

    #[test]
    fn a_challenge_is_answered_and_the_registration_refreshed_before_it_ends() {
        let mut scene = scene(None);
        let first = scene.ask();
        assert_eq!(first.headers.get(&HeaderName::Authorization), None);
        let challenge = "Digest realm=\"trunk\", nonce=\"n1\", qop=\"auth\"";
        assert_eq!(scene.answer(401, &[(HeaderName::WwwAuthenticate, challenge)]), Outcome::Again);
        let second = scene.ask();
        assert!(second.headers.get(&HeaderName::Authorization).unwrap().contains("nc=00000001"));
        assert_eq!(second.envelope.call_id, first.envelope.call_id);
        assert_eq!(second.envelope.cseq.sequence, 2);
        let contacts = "<sip:other@192.0.2.8>;expires=7, <sip:alice@10.0.0.5:5060>;expires=300";
        assert_eq!(
            scene.answer(200, &[(HeaderName::Contact, contacts)]),
            Outcome::Registered(Duration::from_secs(300))
        );
        assert_eq!(scene.registration.deadline().unwrap() - scene.now, Duration::from_secs(240));
        let refresh = scene.ask();
        assert!(
            refresh.headers.get(&HeaderName::Authorization).unwrap().contains("nc=00000002"),
            "without being asked"
        );
        assert!(scene.registration.is_registered(scene.now));
    }

    #[test]
    fn a_wrong_password_is_not_tried_for_ever() {
        let mut scene = scene(None);
        scene.ask();
        let challenge = [(HeaderName::WwwAuthenticate, "Digest realm=\"trunk\", nonce=\"n1\", qop=\"auth\"")];
        scene.answer(401, &challenge);
        scene.ask();
        assert!(matches!(scene.answer(401, &challenge), Outcome::Failed(401, _)));
    }

    #[test]
    fn longer_intervals_are_taken_and_failures_back_off() {
        let mut scene = scene(None);
        scene.ask();
        assert_eq!(scene.answer(423, &[(HeaderName::MinExpires, "3600")]), Outcome::Again);
        assert_eq!(scene.ask().headers.get(&HeaderName::Expires), Some("3600"));
        let mut waits = Vec::new();
        for _ in 0..10 {
            let Outcome::Failed(503, wait) = scene.answer(503, &[]) else { panic!() };
            waits.push(wait.as_secs());
            scene.ask();
        }
        assert!((15..=30).contains(&waits[0]), "{waits:?}");
        assert!((900..=1800).contains(waits.last().unwrap()), "{waits:?}");
        let Outcome::Failed(503, wait) = scene.answer(503, &[(HeaderName::RetryAfter, "7200 (later)")]) else {
            panic!()
        };
        assert_eq!(wait.as_secs(), 7200);
    }

    #[test]
    fn a_restart_goes_on_where_it_stood() {
        let mut scene = scene(None);
        let first = scene.ask();
        scene.answer(200, &[(HeaderName::Expires, "600")]);
        let state = scene.registration.state(scene.now + Duration::from_secs(100));
        assert_eq!(state.lasts, Some(Duration::from_secs(500)));
        let mut again = self::scene(Some(state));
        assert!(again.registration.is_registered(again.now));
        assert_eq!(again.registration.deadline().unwrap() - again.now, Duration::from_secs(400));
        let refresh = again.ask();
        assert_eq!(refresh.envelope.call_id, first.envelope.call_id);
        assert!(refresh.envelope.cseq.sequence > first.envelope.cseq.sequence);
    }

    #[test]
    fn leaving_takes_the_contact_back() {
        let mut scene = scene(None);
        scene.ask();
        scene.answer(200, &[]);
        scene.registration.leave(scene.now);
        assert_eq!(scene.ask().headers.get(&HeaderName::Expires), Some("0"));
        assert_eq!(scene.answer(200, &[]), Outcome::Gone);
        assert!(!scene.registration.is_registered(scene.now));
        assert_eq!(scene.registration.state(scene.now).lasts, None);
    }
}
