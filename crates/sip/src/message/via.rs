//! Via (§20.42): the way back, one entry a hop.

use std::fmt;
use std::net::IpAddr;

use super::scan::Scanner;
use super::uri::{parse_hostport, parse_port};
use super::{Host, Malformed, Params};

const BAD: Malformed = Malformed("Bad Via");

/// One hop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Via {
    /// Upper case: UDP, TCP, TLS, …
    pub transport: String,
    /// Who sent it, by its own account.
    pub host: Host,
    /// Where it wants its answer.
    pub port: Option<u16>,
    /// branch, received, rport, …
    pub params: Params,
}

impl Via {
    pub(super) fn parse(text: &str) -> Result<Self, Malformed> {
        let mut scanner = Scanner::new(text);
        let mut part = |end: bool| {
            let token = scanner.token(BAD)?.to_ascii_uppercase();
            if !end && !scanner.separator('/') {
                return Err(BAD);
            }
            Ok(token)
        };
        if part(false)? != "SIP" || part(false)? != "2.0" {
            return Err(BAD);
        }
        let transport = part(true)?;
        if !scanner.white_space() {
            return Err(BAD);
        }
        let host = if scanner.peek() == Some('[') {
            let address = scanner.run(|c| c != ']');
            if !scanner.exactly(']') {
                return Err(BAD);
            }
            format!("{address}]")
        } else {
            scanner.run(|c| c.is_ascii_alphanumeric() || ".-_".contains(c)).to_owned()
        };
        let (host, _) = parse_hostport(&host).map_err(|_| BAD)?;
        let port = if scanner.separator(':') { Some(parse_port(scanner.run(|c| c.is_ascii_digit()))?) } else { None };
        let params = Params::read(&mut scanner).map_err(|_| BAD)?;
        scanner.end(BAD)?;
        Ok(Self { transport, host, port, params })
    }

    /// The transaction's name, where the client makes unique ones.
    #[must_use]
    pub fn branch(&self) -> Option<&str> {
        self.params.get("branch").filter(|branch| !branch.is_empty())
    }

    /// Where the message really came from, if somebody wrote it down.
    #[must_use]
    pub fn received(&self) -> Option<IpAddr> {
        let received = self.params.get("received")?;
        received.trim_start_matches('[').trim_end_matches(']').parse().ok()
    }
}

impl fmt::Display for Via {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SIP/2.0/{} {}", self.transport, self.host)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        self.params.fmt(f)
    }
}
