//! The header fields that are not part of the envelope: kept as text, read by those who need them. The parser reads each
//! of them once, so that a field that can't be read refuses the whole message.

use std::fmt;
use std::time::Duration;

use super::scan::{Scanner, is_token, split_list};
use super::{Contacts, HeaderName, Malformed, Method, NameAddr, Params};

/// Header fields in order, names and unfolded values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(pub Vec<(HeaderName, String)>);

impl Headers {
    /// The first of this name.
    #[must_use]
    pub fn get(&self, name: &HeaderName) -> Option<&str> {
        self.all(name).next()
    }

    /// All of this name, in order.
    pub fn all<'a>(&'a self, name: &HeaderName) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Whether there is one.
    #[must_use]
    pub fn has(&self, name: &HeaderName) -> bool {
        self.get(name).is_some()
    }

    /// One more, at the end. A line break in the value would begin a field of its own, so it becomes a space.
    pub fn push(&mut self, name: HeaderName, value: impl Into<String>) {
        let value: String = value.into();
        let value = if value.contains(['\r', '\n']) { value.replace(['\r', '\n'], " ") } else { value };
        self.0.push((name, value.trim_matches([' ', '\t']).to_owned()));
    }

    /// One in place of all of this name.
    pub fn set(&mut self, name: HeaderName, value: impl Into<String>) {
        self.remove(&name);
        self.push(name, value);
    }

    /// Takes all of this name away.
    pub fn remove(&mut self, name: &HeaderName) {
        self.0.retain(|(known, _)| known != name);
    }

    /// The elements of comma-separated token lists (Supported, Require, Allow, …).
    #[must_use]
    pub fn tokens(&self, name: &HeaderName) -> Vec<&str> {
        self.all(name).flat_map(split_list).filter(|token| !token.is_empty()).collect()
    }

    /// Whether a token list holds this, without case.
    #[must_use]
    pub fn lists(&self, name: &HeaderName, token: &str) -> bool {
        self.tokens(name).iter().any(|known| known.eq_ignore_ascii_case(token))
    }

    /// Contact.
    ///
    /// # Errors
    /// [`Malformed`]; never in a message that was parsed.
    pub fn contacts(&self) -> Result<Contacts, Malformed> {
        Contacts::parse(&self.all(&HeaderName::Contact).collect::<Vec<_>>())
    }

    /// Route or Record-Route, in order.
    ///
    /// # Errors
    /// [`Malformed`]; never in a message that was parsed.
    pub fn routes(&self, name: &HeaderName) -> Result<Vec<NameAddr>, Malformed> {
        const BAD: Malformed = Malformed("Bad Route");
        let mut routes = Vec::new();
        for value in self.all(name) {
            routes.append(&mut NameAddr::parse_list(value, BAD)?);
        }
        Ok(routes)
    }

    /// How many more hops; absent from clients of RFC 2543.
    ///
    /// # Errors
    /// [`Malformed`]; never in a message that was parsed.
    pub fn max_forwards(&self) -> Result<Option<u8>, Malformed> {
        const BAD: Malformed = Malformed("Bad Max-Forwards");
        let Some(value) = self.get(&HeaderName::MaxForwards) else { return Ok(None) };
        digits(value, BAD)?.parse().map(Some).map_err(|_| BAD)
    }

    /// A number of seconds; one that is too large to be meant counts as the largest.
    ///
    /// # Errors
    /// [`Malformed`] where it is no number.
    pub fn seconds(&self, name: &HeaderName) -> Result<Option<Duration>, Malformed> {
        const BAD: Malformed = Malformed("Bad Number Of Seconds");
        let Some(value) = self.get(name) else { return Ok(None) };
        let mut scanner = Scanner::new(value);
        let run = scanner.run(|c| c.is_ascii_digit());
        // Retry-After and Min-SE may carry a comment or parameters behind the number.
        if run.is_empty() || !(scanner.is_at_end() || " \t;(".contains(scanner.peek().unwrap_or_default())) {
            return Err(BAD);
        }
        Ok(Some(Duration::from_secs(u64::from(run.parse::<u32>().unwrap_or(u32::MAX)))))
    }

    /// Content-Type.
    ///
    /// # Errors
    /// [`Malformed`]; never in a message that was parsed.
    pub fn content_type(&self) -> Result<Option<MediaType>, Malformed> {
        self.get(&HeaderName::ContentType).map(MediaType::parse).transpose()
    }

    /// Session-Expires (RFC 4028).
    ///
    /// # Errors
    /// [`Malformed`]; never in a message that was parsed.
    pub fn session_expires(&self) -> Result<Option<SessionExpires>, Malformed> {
        let Some(interval) = self.seconds(&HeaderName::SessionExpires)? else { return Ok(None) };
        let value = self.get(&HeaderName::SessionExpires).unwrap_or_default();
        let mut scanner = Scanner::new(value);
        scanner.run(|c| c.is_ascii_digit());
        let params = Params::read(&mut scanner)?;
        scanner.end(Malformed("Bad Session-Expires"))?;
        let refresher = match params.get("refresher") {
            Some(who) if who.eq_ignore_ascii_case("uac") => Some(refresher::Refresher::Uac),
            Some(who) if who.eq_ignore_ascii_case("uas") => Some(refresher::Refresher::Uas),
            _ => None,
        };
        Ok(Some(SessionExpires { interval, refresher }))
    }

    /// RSeq (RFC 3262).
    ///
    /// # Errors
    /// [`Malformed`]; never in a message that was parsed.
    pub fn rseq(&self) -> Result<Option<u32>, Malformed> {
        self.get(&HeaderName::RSeq).map(|value| number(value, Malformed("Bad RSeq"))).transpose()
    }

    /// RAck (RFC 3262).
    ///
    /// # Errors
    /// [`Malformed`]; never in a message that was parsed.
    pub fn rack(&self) -> Result<Option<RAck>, Malformed> {
        self.get(&HeaderName::RAck).map(RAck::parse).transpose()
    }

    /// Refer-To (RFC 3515).
    ///
    /// # Errors
    /// [`Malformed`] where it is no address or there are several.
    pub fn refer_to(&self) -> Result<Option<NameAddr>, Malformed> {
        const BAD: Malformed = Malformed("Bad Refer-To");
        let mut all = self.all(&HeaderName::ReferTo);
        let first = all.next().map(|value| NameAddr::parse(value, BAD)).transpose()?;
        if all.next().is_some() { Err(BAD) } else { Ok(first) }
    }

    /// Whether everything that we would read can be read.
    pub(super) fn check(&self) -> Result<(), Malformed> {
        for name in [
            HeaderName::MaxForwards,
            HeaderName::ContentType,
            HeaderName::Expires,
            HeaderName::SessionExpires,
            HeaderName::MinSe,
            HeaderName::RSeq,
            HeaderName::RAck,
            HeaderName::Date,
        ] {
            if self.all(&name).nth(1).is_some() {
                return Err(Malformed("Header Field Occurs Twice"));
            }
        }
        self.contacts()?;
        self.routes(&HeaderName::Route)?;
        self.routes(&HeaderName::RecordRoute)?;
        self.max_forwards()?;
        for name in [HeaderName::Expires, HeaderName::MinExpires, HeaderName::MinSe, HeaderName::RetryAfter] {
            self.seconds(&name)?;
        }
        self.content_type()?;
        self.session_expires()?;
        self.rseq()?;
        self.rack()?;
        self.refer_to()?;
        for name in [HeaderName::Supported, HeaderName::Require, HeaderName::ProxyRequire, HeaderName::Allow] {
            if !self.tokens(&name).into_iter().all(is_token) {
                return Err(Malformed("Bad List Of Tokens"));
            }
        }
        match self.get(&HeaderName::Date) {
            Some(date) if !is_sip_date(date) => Err(Malformed("Bad Date")),
            _ => Ok(()),
        }
    }
}

/// CSeq (§20.16).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CSeq {
    /// Below 2³¹.
    pub sequence: u32,
    /// The request's.
    pub method: Method,
}

impl CSeq {
    pub(super) fn parse(value: &str) -> Result<Self, Malformed> {
        const BAD: Malformed = Malformed("Bad CSeq");
        let (sequence, method) = value.split_once([' ', '\t']).ok_or(BAD)?;
        let sequence = number(sequence, BAD)?;
        if sequence >= 1 << 31 {
            return Err(BAD);
        }
        Ok(Self { sequence, method: Method::parse(method.trim()).ok_or(BAD)? })
    }
}

impl fmt::Display for CSeq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.sequence, self.method)
    }
}

/// RAck (RFC 3262 §7.2): which provisional response is acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RAck {
    /// The response's RSeq.
    pub rseq: u32,
    /// The response's CSeq.
    pub cseq: CSeq,
}

impl RAck {
    fn parse(value: &str) -> Result<Self, Malformed> {
        const BAD: Malformed = Malformed("Bad RAck");
        let (rseq, cseq) = value.split_once([' ', '\t']).ok_or(BAD)?;
        Ok(Self { rseq: number(rseq, BAD)?, cseq: CSeq::parse(cseq.trim()).map_err(|_| BAD)? })
    }
}

impl fmt::Display for RAck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.rseq, self.cseq)
    }
}

/// Session-Expires (RFC 4028 §4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionExpires {
    /// How long the session lasts without a refresh.
    pub interval: Duration,
    /// Who refreshes, where that is settled.
    pub refresher: Option<refresher::Refresher>,
}

/// The sides of a refresh.
pub mod refresher {
    /// Who refreshes a session: a side of the *request* that negotiated it, not of the call.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Refresher {
        /// Who sent the request.
        Uac,
        /// Who answered it.
        Uas,
    }
}

impl fmt::Display for SessionExpires {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.interval.as_secs())?;
        match self.refresher {
            None => Ok(()),
            Some(refresher::Refresher::Uac) => f.write_str(";refresher=uac"),
            Some(refresher::Refresher::Uas) => f.write_str(";refresher=uas"),
        }
    }
}

/// Content-Type (§20.15).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaType {
    /// `application/sdp`, lower case.
    pub essence: String,
    /// `boundary` and the like.
    pub params: Params,
}

impl MediaType {
    fn parse(value: &str) -> Result<Self, Malformed> {
        const BAD: Malformed = Malformed("Bad Content-Type");
        let mut scanner = Scanner::new(value);
        let kind = scanner.token(BAD)?.to_ascii_lowercase();
        if !scanner.separator('/') {
            return Err(BAD);
        }
        let subtype = scanner.token(BAD)?.to_ascii_lowercase();
        let params = Params::read(&mut scanner).map_err(|_| BAD)?;
        scanner.end(BAD)?;
        Ok(Self { essence: format!("{kind}/{subtype}"), params })
    }
}

fn digits(value: &str, otherwise: Malformed) -> Result<&str, Malformed> {
    let fine = !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit());
    if fine { Ok(value) } else { Err(otherwise) }
}

fn number(value: &str, otherwise: Malformed) -> Result<u32, Malformed> {
    digits(value, otherwise)?.parse().map_err(|_| otherwise)
}

/// `Sat, 13 Nov 2010 23:29:00 GMT`, and only GMT (§20.17).
fn is_sip_date(value: &str) -> bool {
    const DAYS: [&str; 7] = ["Mon,", "Tue,", "Wed,", "Thu,", "Fri,", "Sat,", "Sun,"];
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let parts: Vec<&str> = value.split(' ').collect();
    let [weekday, day, month, year, time, zone] = parts[..] else { return false };
    let number = |text: &str, length: usize| text.len() == length && text.bytes().all(|b| b.is_ascii_digit());
    DAYS.contains(&weekday)
        && number(day, 2)
        && MONTHS.contains(&month)
        && number(year, 4)
        && time.split(':').count() == 3
        && time.split(':').all(|part| number(part, 2))
        && zone == "GMT"
}
