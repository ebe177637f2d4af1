//! SIP and SIPS URIs (§19.1) and any other absolute URI. Escapes stay as they came, so that what is forwarded is what was
//! received; [`SipUri::user_text`] resolves them.

use std::fmt::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::Malformed;

const BAD_URI: Malformed = Malformed("Bad URI");
const BAD_HOST: Malformed = Malformed("Bad Host");

/// Where a request goes, or whom a header field names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Uri {
    /// `sip:` or `sips:`
    Sip(Box<SipUri>),
    /// `tel:` and whatever else has a scheme; as it came.
    Other(String),
}

/// A SIP or SIPS URI.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SipUri {
    /// Whether it is a `sips:` one.
    pub secure: bool,
    /// The user part, escaped as it came.
    pub user: Option<String>,
    /// Deprecated, but part of the grammar.
    pub password: Option<String>,
    /// The domain or address.
    pub host: Host,
    /// Where it is not the transport's own.
    pub port: Option<u16>,
    /// `;name` and `;name=value`.
    pub params: Vec<(String, Option<String>)>,
    /// `?name=value&…`
    pub headers: Vec<(String, String)>,
}

/// A host by name or by address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// Lower case.
    Name(String),
    /// IPv6 is written in brackets.
    Ip(IpAddr),
}

impl Uri {
    /// Reads a whole URI.
    ///
    /// # Errors
    /// [`Malformed`] where the grammar does not allow it.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let (scheme, rest) = text.split_once(':').ok_or(BAD_URI)?;
        let mut of_scheme = scheme.chars();
        let is_scheme = of_scheme.next().is_some_and(|c| c.is_ascii_alphabetic())
            && of_scheme.all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
        if !is_scheme {
            return Err(BAD_URI);
        }
        if scheme.eq_ignore_ascii_case("sip") || scheme.eq_ignore_ascii_case("sips") {
            return SipUri::parse_rest(scheme.len() == 4, rest).map(|uri| Self::Sip(Box::new(uri)));
        }
        if rest.is_empty() || !is_escaped_text(rest, |c| is_unreserved(c) || ";/?:@&=+$,[]#".contains(c)) {
            return Err(BAD_URI);
        }
        Ok(Self::Other(text.to_owned()))
    }

    /// The SIP URI, if it is one.
    #[must_use]
    pub fn as_sip(&self) -> Option<&SipUri> {
        match self {
            Self::Sip(uri) => Some(uri),
            Self::Other(_) => None,
        }
    }

    /// The telephone number or name that is called: the user part of a SIP URI, the subscriber of a `tel:` one, both
    /// without their parameters.
    #[must_use]
    pub fn callee(&self) -> Option<String> {
        match self {
            Self::Sip(uri) => {
                let user = uri.user_text()?;
                Some(user.split(';').next().unwrap_or_default().to_owned())
            }
            Self::Other(text) => {
                let (scheme, rest) = text.split_once(':')?;
                scheme.eq_ignore_ascii_case("tel").then(|| unescape(rest.split(';').next().unwrap_or_default()))
            }
        }
    }
}

impl SipUri {
    /// `sip:host` or `sip:user@host`.
    #[must_use]
    pub fn new(user: Option<&str>, host: Host, port: Option<u16>) -> Self {
        Self {
            secure: false,
            user: user.map(escape_user),
            password: None,
            host,
            port,
            params: Vec::new(),
            headers: Vec::new(),
        }
    }

    fn parse_rest(secure: bool, rest: &str) -> Result<Self, Malformed> {
        // An unescaped @ can only end the user part, whatever else that holds.
        let (user, password, rest) = match rest.split_once('@') {
            Some((userinfo, rest)) => {
                let (user, password) = match userinfo.split_once(':') {
                    Some((user, password)) => (user, Some(password)),
                    None => (userinfo, None),
                };
                if user.is_empty() || !is_escaped_text(user, |c| is_unreserved(c) || "&=+$,;?/".contains(c)) {
                    return Err(BAD_URI);
                }
                if password.is_some_and(|p| !is_escaped_text(p, |c| is_unreserved(c) || "&=+$,".contains(c))) {
                    return Err(BAD_URI);
                }
                (Some(user.to_owned()), password.map(str::to_owned), rest)
            }
            None => (None, None, rest),
        };
        let (rest, headers) = match rest.split_once('?') {
            Some((rest, headers)) => (rest, parse_headers(headers)?),
            None => (rest, Vec::new()),
        };
        let (hostport, params) = match rest.split_once(';') {
            Some((hostport, params)) => (hostport, parse_params(params)?),
            None => (rest, Vec::new()),
        };
        let (host, port) = parse_hostport(hostport)?;
        Ok(Self { secure, user, password, host, port, params, headers })
    }

    /// The user part with its escapes resolved.
    #[must_use]
    pub fn user_text(&self) -> Option<String> {
        self.user.as_deref().map(unescape)
    }

    /// A parameter: `None` if absent, `Some("")` if it has no value. Names are compared without case.
    #[must_use]
    pub fn param(&self, name: &str) -> Option<&str> {
        let (_, value) = self.params.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?;
        Some(value.as_deref().unwrap_or_default())
    }

    /// Whether both name the same resource (§19.1.4).
    #[must_use]
    pub fn is_equivalent(&self, other: &Self) -> bool {
        let plain = |text: &Option<String>| text.as_deref().map(unescape);
        self.secure == other.secure
            && plain(&self.user) == plain(&other.user)
            && plain(&self.password) == plain(&other.password)
            && self.host == other.host
            && self.port == other.port
            && params_agree(self, other)
            && params_agree(other, self)
            && headers_agree(&self.headers, &other.headers)
            && headers_agree(&other.headers, &self.headers)
    }
}

/// Each parameter of `left` is the same on the right, or may be absent there.
fn params_agree(left: &SipUri, right: &SipUri) -> bool {
    const MUST_BE_ON_BOTH: [&str; 5] = ["user", "ttl", "method", "maddr", "transport"];
    left.params.iter().all(|(name, value)| match right.param(name) {
        Some(other) => unescape(value.as_deref().unwrap_or_default()).eq_ignore_ascii_case(&unescape(other)),
        None => !MUST_BE_ON_BOTH.iter().any(|known| known.eq_ignore_ascii_case(name)),
    })
}

fn headers_agree(left: &[(String, String)], right: &[(String, String)]) -> bool {
    left.iter().all(|(name, value)| {
        right.iter().any(|(other, theirs)| name.eq_ignore_ascii_case(other) && unescape(value) == unescape(theirs))
    })
}

fn parse_params(text: &str) -> Result<Vec<(String, Option<String>)>, Malformed> {
    let allowed = |c: char| is_unreserved(c) || "[]/:&+$".contains(c);
    text.split(';')
        .map(|param| {
            let (name, value) = match param.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (param, None),
            };
            let fine = |part: &str| !part.is_empty() && is_escaped_text(part, allowed);
            if !fine(name) || value.is_some_and(|value| !fine(value)) {
                return Err(BAD_URI);
            }
            Ok((name.to_owned(), value.map(str::to_owned)))
        })
        .collect()
}

fn parse_headers(text: &str) -> Result<Vec<(String, String)>, Malformed> {
    let allowed = |c: char| is_unreserved(c) || "[]/?:+$".contains(c);
    text.split('&')
        .map(|header| {
            let (name, value) = header.split_once('=').ok_or(BAD_URI)?;
            if name.is_empty() || !is_escaped_text(name, allowed) || !is_escaped_text(value, allowed) {
                return Err(BAD_URI);
            }
            Ok((name.to_owned(), value.to_owned()))
        })
        .collect()
}

pub(super) fn parse_hostport(text: &str) -> Result<(Host, Option<u16>), Malformed> {
    let (host, port) = match (text.strip_prefix('['), text.rsplit_once(':')) {
        (Some(bracketed), _) => {
            let (address, rest) = bracketed.split_once(']').ok_or(BAD_HOST)?;
            let address: Ipv6Addr = address.parse().map_err(|_| BAD_HOST)?;
            let port = match rest {
                "" => None,
                rest => Some(rest.strip_prefix(':').ok_or(BAD_HOST)?),
            };
            return Ok((Host::Ip(address.into()), port.map(parse_port).transpose()?));
        }
        (None, Some((host, port))) => (host, Some(port)),
        (None, None) => (text, None),
    };
    Ok((Host::parse(host)?, port.map(parse_port).transpose()?))
}

pub(super) fn parse_port(text: &str) -> Result<u16, Malformed> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(BAD_HOST);
    }
    text.parse().map_err(|_| BAD_HOST)
}

impl Host {
    /// A host name, an IPv4 address, or an IPv6 address in brackets.
    ///
    /// # Errors
    /// [`Malformed`] where it is none of them.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        if let Some(address) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            return address.parse::<Ipv6Addr>().map(|ip| Self::Ip(ip.into())).map_err(|_| BAD_HOST);
        }
        if let Ok(ip) = text.parse::<Ipv4Addr>() {
            return Ok(Self::Ip(ip.into()));
        }
        let name = text.strip_suffix('.').unwrap_or(text);
        // The underscore is not in the grammar, but in the names of containers and Windows machines.
        let is_label = |label: &str| {
            !label.is_empty()
                && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        let top_is_name = name.rsplit('.').next().is_some_and(|top| !top.starts_with(|c: char| c.is_ascii_digit()));
        if text.len() > 255 || !top_is_name || !name.split('.').all(is_label) {
            return Err(BAD_HOST);
        }
        Ok(Self::Name(text.to_ascii_lowercase()))
    }

    /// The address, where it is one.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Ip(ip) => Some(*ip),
            Self::Name(_) => None,
        }
    }
}

impl From<IpAddr> for Host {
    fn from(ip: IpAddr) -> Self {
        Self::Ip(ip)
    }
}

impl From<SocketAddr> for SipUri {
    fn from(address: SocketAddr) -> Self {
        Self::new(None, address.ip().into(), Some(address.port()))
    }
}

impl From<SipUri> for Uri {
    fn from(uri: SipUri) -> Self {
        Self::Sip(Box::new(uri))
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Ip(IpAddr::V4(ip)) => ip.fmt(f),
            Self::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]"),
        }
    }
}

impl fmt::Display for Uri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sip(uri) => uri.fmt(f),
            Self::Other(text) => f.write_str(text),
        }
    }
}

impl fmt::Display for SipUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.secure { "sips:" } else { "sip:" })?;
        if let Some(user) = &self.user {
            f.write_str(user)?;
            if let Some(password) = &self.password {
                write!(f, ":{password}")?;
            }
            f.write_char('@')?;
        }
        self.host.fmt(f)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        for (name, value) in &self.params {
            write!(f, ";{name}")?;
            if let Some(value) = value {
                write!(f, "={value}")?;
            }
        }
        for (at, (name, value)) in self.headers.iter().enumerate() {
            write!(f, "{}{name}={value}", if at == 0 { '?' } else { '&' })?;
        }
        Ok(())
    }
}

fn is_unreserved(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-_.!~*'()".contains(c)
}

/// Only allowed characters and whole escapes (`%` and two hexadecimal digits).
fn is_escaped_text(text: &str, allowed: impl Fn(char) -> bool) -> bool {
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let fine = if c == '%' {
            let mut hex = || chars.next().is_some_and(|digit| digit.is_ascii_hexdigit());
            hex() && hex()
        } else {
            allowed(c)
        };
        if !fine {
            return false;
        }
    }
    true
}

fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let escaped = (first == b'%').then(|| tail.get(..2)).flatten().and_then(|hex| {
            let digit = |b: u8| char::from(b).to_digit(16);
            u8::try_from(digit(hex[0])? * 16 + digit(hex[1])?).ok()
        });
        if let Some(byte) = escaped {
            bytes.push(byte);
            rest = &tail[2..];
        } else {
            bytes.push(first);
            rest = tail;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn escape_user(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        let c = char::from(byte);
        if is_unreserved(c) || "&=+$,;?/".contains(c) {
            escaped.push(c);
        } else {
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}
