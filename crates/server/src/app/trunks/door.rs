//! How telephone systems reach us by SIP, as the configuration says.

use std::net::IpAddr;

use offhook_domain::sip_trunk::{MediaEncryption, SipTransport};

use crate::config::Config;

/// What a customer is told of this installation.
#[derive(Debug, PartialEq, Eq)]
pub struct SipDoor {
    /// Where they call: a SIP address.
    pub termination: String,
    /// The best that we take.
    pub transport: SipTransport,
    pub media: MediaEncryption,
    /// Where our calls and our sound come from, as far as the configuration tells.
    pub proxy_ips: Vec<IpAddr>,
}

impl SipDoor {
    #[must_use]
    pub fn of(config: &Config) -> Self {
        let sip = &config.voice.sip;
        let listens = |transport| sip.listen.iter().find(|(ours, _)| *ours == transport);
        let best = [SipTransport::Tls, SipTransport::Udp, SipTransport::Tcp].into_iter().find_map(listens);
        let (transport, address) = best.map_or((SipTransport::Udp, None), |(transport, at)| (*transport, Some(*at)));
        let usual = if transport == SipTransport::Tls { 5061 } else { 5060 };
        // Port 0 is known to nobody before it is bound.
        let port = address.map(|at| at.port()).filter(|port| *port != usual && *port != 0);
        let port = port.map(|port| format!(":{port}")).unwrap_or_default();
        let over = match transport {
            SipTransport::Udp => String::new(),
            other => format!(";transport={}", other.as_str()),
        };
        let voice = &config.voice;
        let mut proxy_ips: Vec<IpAddr> =
            [voice.public_address, voice.media.public_address].into_iter().flatten().collect();
        proxy_ips.dedup();
        let termination = format!("sip:{}{port}{over}", host(config, address.map(|at| at.ip())));
        Self { termination, transport, media: voice.media.srtp, proxy_ips }
    }

    /// Whether nobody on the way can listen. Keys of SRTP travel with the signalling.
    #[must_use]
    pub fn is_encrypted(transport: SipTransport, media: MediaEncryption) -> bool {
        transport == SipTransport::Tls && media == MediaEncryption::Always
    }
}

/// The name that is set; else the address that is; else what is in our URL; else where we listen.
fn host(config: &Config, listens_at: Option<IpAddr>) -> String {
    let written = |ip: IpAddr| if ip.is_ipv6() { format!("[{ip}]") } else { ip.to_string() };
    let in_url = || config.server.public_url.as_ref()?.host_str().map(str::to_owned);
    let listening = || listens_at.filter(|ip| !ip.is_unspecified()).map(written);
    let domain = config.voice.sip.domain.clone();
    domain
        .or_else(|| config.voice.public_address.map(written))
        .or_else(in_url)
        .or_else(listening)
        .unwrap_or_else(|| "localhost".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn door(variables: &[(&str, &str)]) -> SipDoor {
        let find = |name: &str| variables.iter().find(|(key, _)| name == *key).map(|(_, value)| (*value).to_owned());
        SipDoor::of(&Config::load(&find).unwrap())
    }

    #[test]
    fn a_customer_calls_the_best_that_there_is() {
        let tls = [
            ("OFFHOOK__VOICE__SIP__LISTEN", "udp:0.0.0.0:5060,tls:0.0.0.0:5061"),
            ("OFFHOOK__VOICE__SIP__TLS_CERTIFICATE", "/c.pem"),
            ("OFFHOOK__VOICE__SIP__TLS_KEY", "/k.pem"),
            ("OFFHOOK__VOICE__SIP__DOMAIN", "Phone.Example.com"),
            ("OFFHOOK__VOICE__PUBLIC_ADDRESS", "192.0.2.9"),
        ];
        let found = door(&tls);
        assert_eq!(found.termination, "sip:phone.example.com;transport=tls");
        assert_eq!((found.transport, found.media), (SipTransport::Tls, MediaEncryption::Offered));
        assert_eq!(found.proxy_ips, ["192.0.2.9".parse::<IpAddr>().unwrap()]);
        assert!(!SipDoor::is_encrypted(found.transport, found.media), "offered is not always");
    }

    #[test]
    fn the_host_is_the_first_that_is_known() {
        let udp = ("OFFHOOK__VOICE__SIP__LISTEN", "udp:127.0.0.1:5099");
        assert_eq!(door(&[]).termination, "sip:localhost");
        assert_eq!(door(&[udp]).termination, "sip:127.0.0.1:5099");
        let url = ("OFFHOOK__SERVER__PUBLIC_URL", "https://phone.example.com/");
        assert_eq!(door(&[udp, url]).termination, "sip:phone.example.com:5099");
        let address = ("OFFHOOK__VOICE__PUBLIC_ADDRESS", "2001:db8::9");
        assert_eq!(door(&[udp, url, address]).termination, "sip:[2001:db8::9]:5099");
        let free = ("OFFHOOK__VOICE__SIP__LISTEN", "tcp:127.0.0.1:0");
        assert_eq!(door(&[free]).termination, "sip:127.0.0.1;transport=tcp");
    }
}
