//! Whether anybody is at the addresses of a carrier of calls: for an operator who looks. In: the carrier as it is configured. Out:
//! what each answers. It has sockets of its own, so that it can be asked beside a server that runs.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use offhook_domain::sip_trunk::OriginationUri;
use offhook_voice::signalling::{Pinged, Settings, Signalling, Strangers, Transport, Trunk, TrunkTarget};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{NotOpened, tls, transport_of};
use crate::config::Config;
use crate::config::carriers::Sip;

/// RFC 3261 sends a request over UDP again after a half, one and two seconds.
const PATIENCE: Duration = Duration::from_secs(5);

/// # Errors
/// [`NotOpened`]: there are no sockets, or our certificate can't be used.
pub async fn ping(config: &Config, name: &str, link: &Sip) -> Result<Vec<Pinged>, NotOpened> {
    let loaded = config.voice.sip.tls.as_ref().map(|(certificate, key)| tls::load(certificate, key)).transpose();
    let loaded = loaded.map_err(NotOpened::Tls)?;
    let any = SocketAddr::from(([0, 0, 0, 0], 0));
    let mut listeners = vec![(Transport::Udp, any), (Transport::Tcp, any)];
    if loaded.is_some() {
        listeners.push((Transport::Tls, any));
    }
    let settings = Settings {
        listeners,
        tls: loaded,
        public_address: None,
        realm: "offhook".to_owned(),
        strangers: Strangers::Ignored,
        most_calls: 1,
        // The operator's own addresses.
        may_reach: Arc::new(|_: &str, _: IpAddr| true),
    };
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    let (signalling, _arriving) = Signalling::open(settings, &tasks, stop.clone()).await?;
    let target = |target: &OriginationUri| TrunkTarget {
        uri: target.sip_uri.as_str().to_owned(),
        priority: target.priority,
        weight: target.weight,
    };
    let trunk = Trunk {
        name: name.to_owned(),
        ways_in: Vec::new(),
        targets: link.targets.iter().map(target).collect(),
        credentials: None,
        transport: link.transport.map(transport_of),
        registration: None,
    };
    let answered = signalling.ping(&trunk, PATIENCE).await;
    stop.cancel();
    tasks.close();
    tasks.wait().await;
    Ok(answered)
}
