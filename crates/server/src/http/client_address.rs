//! Where a request comes from: the connection's other end, or, behind a proxy that the operator trusts, whom that names.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{Extensions, HeaderMap};
use ipnet::IpNet;

use super::error::ApiError;
use crate::app::App;

const FORWARDED_FOR: &str = "x-forwarded-for";

/// The other end of the connection that a request came on.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub SocketAddr);

/// The client's address, where it is known. Each proxy adds to the end of the header whom it heard from; so it is read
/// backwards, for as long as who added the entry is trusted.
#[must_use]
pub fn client_address(extensions: &Extensions, headers: &HeaderMap, trusted: &[IpNet]) -> Option<IpAddr> {
    let mut nearest = extensions.get::<Peer>()?.0.ip().to_canonical();
    let is_trusted = |address: &IpAddr| trusted.iter().any(|net| net.contains(address));
    if !is_trusted(&nearest) {
        return Some(nearest);
    }
    let lines: Vec<&str> = headers.get_all(FORWARDED_FOR).iter().filter_map(|line| line.to_str().ok()).collect();
    for entry in lines.iter().rev().flat_map(|line| line.rsplit(',')) {
        // A proxy that adds something else than an address is the last of which anything is known.
        let Ok(address) = entry.trim().parse::<IpAddr>() else { break };
        nearest = address.to_canonical();
        if !is_trusted(&nearest) {
            break;
        }
    }
    Some(nearest)
}

/// The client, as far as a limit goes: of IPv6 its network of 64 bits, for anybody has all of that. `None` in process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientNetwork(pub Option<IpAddr>);

impl FromRequestParts<App> for ClientNetwork {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let trusted = &app.config.server.trusted_proxies;
        Ok(Self(client_address(&parts.extensions, &parts.headers, trusted).map(network)))
    }
}

fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64))),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(peer: &str, headers: &[&str]) -> Option<String> {
        let mut extensions = Extensions::new();
        extensions.insert(Peer(SocketAddr::new(peer.parse().unwrap(), 4711)));
        let mut map = HeaderMap::new();
        for header in headers {
            map.append(FORWARDED_FOR, header.parse().unwrap());
        }
        let trusted: Vec<IpNet> = vec!["10.0.0.0/8".parse().unwrap(), "127.0.0.1/32".parse().unwrap()];
        client_address(&extensions, &map, &trusted).map(|found| found.to_string())
    }

    #[test]
    fn a_header_is_believed_as_far_as_trusted_proxies_wrote_it() {
        assert_eq!(address("203.0.113.5", &["198.51.100.1"]).as_deref(), Some("203.0.113.5"));
        assert_eq!(address("127.0.0.1", &[]).as_deref(), Some("127.0.0.1"));
        assert_eq!(address("127.0.0.1", &["198.51.100.1"]).as_deref(), Some("198.51.100.1"));
        assert_eq!(address("127.0.0.1", &["1.1.1.1, 198.51.100.1, 10.2.3.4"]).as_deref(), Some("198.51.100.1"));
        assert_eq!(address("127.0.0.1", &["1.1.1.1", "198.51.100.1"]).as_deref(), Some("198.51.100.1"));
        assert_eq!(address("127.0.0.1", &["198.51.100.1, unknown"]).as_deref(), Some("127.0.0.1"));
        assert_eq!(address("::ffff:127.0.0.1", &["2001:db8::1"]).as_deref(), Some("2001:db8::1"));
    }

    #[test]
    fn without_a_connection_nothing_is_known() {
        assert_eq!(client_address(&Extensions::new(), &HeaderMap::new(), &[]), None);
    }

    #[test]
    fn an_ipv6_client_is_its_network() {
        assert_eq!(network("2001:db8:1:2:3:4:5:6".parse().unwrap()).to_string(), "2001:db8:1:2::");
        assert_eq!(network("203.0.113.5".parse().unwrap()).to_string(), "203.0.113.5");
    }
}
