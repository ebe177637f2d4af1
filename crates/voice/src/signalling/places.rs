//! Where a trunk's addresses are. In: its URIs. Out: targets with flows, each over a socket that we have. Names are resolved
//! here and nowhere else, and what they resolve to is judged.

use std::net::{IpAddr, SocketAddr, UdpSocket};

use offhook_sip::endpoint::Target;
use offhook_sip::message::{Host, Uri};
use offhook_sip::{Flow, Transport};

use super::{MayReach, PlaceError, Trunk};

/// A target, and the name that its certificate must bear.
pub type Named = (Target, String);

/// The targets of a trunk. Several addresses of a name are several targets of its priority.
pub async fn resolve(
    trunk: &Trunk,
    listeners: &[(Transport, SocketAddr)],
    may_reach: &MayReach,
) -> Result<Vec<Named>, PlaceError> {
    let (mut targets, mut failed) = (Vec::new(), None);
    for target in &trunk.targets {
        let Ok(uri) = Uri::parse(&target.uri) else { continue };
        let flows = match flows(&uri, trunk, listeners, may_reach).await {
            Ok(flows) => flows,
            // Another target may do.
            Err(error) => {
                failed = Some(error);
                continue;
            }
        };
        for (flow, host) in flows {
            let target = Target { uri: uri.clone(), flow, priority: target.priority, weight: target.weight };
            targets.push((target, host));
        }
    }
    if targets.is_empty() {
        return Err(failed.unwrap_or_else(|| PlaceError::NoTarget(trunk.name.clone())));
    }
    Ok(targets)
}

/// The flows to an address: one for each IP that it has and that may be called.
pub async fn flows(
    uri: &Uri,
    trunk: &Trunk,
    listeners: &[(Transport, SocketAddr)],
    may_reach: &MayReach,
) -> Result<Vec<(Flow, String)>, PlaceError> {
    let Some(sip) = uri.as_sip() else { return Ok(Vec::new()) };
    let named = match sip.param("transport").map(str::to_ascii_lowercase).as_deref() {
        Some("tls") => Transport::Tls,
        Some("tcp") => Transport::Tcp,
        Some("udp") => Transport::Udp,
        _ => trunk.transport.unwrap_or(Transport::Udp),
    };
    // Whatever else stands there (RFC 3261 §26.2.2).
    let transport = if sip.secure { Transport::Tls } else { named };
    let port = sip.port.unwrap_or(transport.default_port());
    let (addresses, host) = match &sip.host {
        Host::Ip(ip) => (vec![SocketAddr::new(*ip, port)], ip.to_string()),
        Host::Name(name) => (look_up(name, port).await, name.clone()),
    };
    let (mut flows, mut missing) = (Vec::new(), false);
    for remote in addresses.into_iter().filter(|remote| may_reach(&trunk.name, remote.ip())) {
        // An address of a family that we don't speak is passed over; another one of the name may do.
        let Some(local) = listener(listeners, transport, remote.ip()) else {
            missing = true;
            continue;
        };
        flows.push((Flow { transport, local: towards(local, remote.ip()), remote }, host.clone()));
    }
    if missing && flows.is_empty() {
        return Err(PlaceError::NoListener(transport.as_str()));
    }
    Ok(flows)
}

#[expect(clippy::disallowed_methods, reason = "what a trunk's name resolves to is judged by may_reach")]
async fn look_up(name: &str, port: u16) -> Vec<SocketAddr> {
    match tokio::net::lookup_host((name, port)).await {
        Ok(found) => found.collect(),
        Err(error) => {
            tracing::warn!(host = name, %error, "a trunk's name can't be resolved");
            Vec::new()
        }
    }
}

/// Our socket for a transport, of the family of an address.
fn listener(listeners: &[(Transport, SocketAddr)], transport: Transport, remote: IpAddr) -> Option<SocketAddr> {
    let fits = |(ours, local): &&(Transport, SocketAddr)| *ours == transport && local.is_ipv4() == remote.is_ipv4();
    listeners.iter().find(fits).map(|(_, local)| *local)
}

/// A socket's address as somebody sees it: one that is bound to all addresses has the one that the routes lead from.
pub fn towards(local: SocketAddr, remote: IpAddr) -> SocketAddr {
    if !local.ip().is_unspecified() {
        return local;
    }
    let any: IpAddr = if remote.is_ipv4() { [0, 0, 0, 0].into() } else { std::net::Ipv6Addr::UNSPECIFIED.into() };
    let found = UdpSocket::bind((any, 0)).and_then(|socket| connected(&socket, remote)).map(|ours| ours.ip());
    SocketAddr::new(found.unwrap_or(local.ip()), local.port())
}

#[expect(clippy::disallowed_methods, reason = "nothing is sent: it only asks the routes")]
fn connected(socket: &UdpSocket, remote: IpAddr) -> std::io::Result<SocketAddr> {
    socket.connect((remote, 9))?;
    socket.local_addr()
}
