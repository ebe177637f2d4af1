//! What calls go over from this node: the sandbox's network, and SIP. In: a call to place, and calls that come. Out: lines.

pub mod sip;

use std::sync::Arc;

use offhook_domain::call::EndReason;
use offhook_store::call_flow::OpenCall;
use offhook_voice::exchange::Exchange;
use offhook_voice::host::Plan;
use offhook_voice::line::Line;

use super::App;
use super::sandbox_calls;
use super::trunks::WayOut;
pub use sip::NotOpened;
use sip::SipNetwork;

/// The networks of this node. Cheap to clone.
#[derive(Clone)]
pub struct Networks {
    app: App,
    exchange: Exchange,
    /// Where SIP is listened for.
    sip: Option<Arc<SipNetwork>>,
}

impl Networks {
    /// Opens what is configured; what comes is brought to the exchange.
    ///
    /// # Errors
    /// [`NotOpened`]: a socket, a certificate or a speech service that can't be used.
    pub async fn open(app: &App, exchange: &Exchange) -> Result<Self, NotOpened> {
        let voice = &app.config.voice;
        let sip = if voice.enabled && !voice.sip.listen.is_empty() {
            Some(Arc::new(SipNetwork::open(app, exchange).await?))
        } else {
            None
        };
        Ok(Self { app: app.clone(), exchange: exchange.clone(), sip })
    }

    /// A line to who is to be called.
    ///
    /// # Errors
    /// There is no way there.
    pub async fn dial(&self, call: &OpenCall, plan: &Plan) -> Result<Box<dyn Line>, EndReason> {
        let trunks = match self.app.trunks.way_out(&call.carrier, &call.account_id) {
            WayOut::Sandbox => return Ok(sandbox_calls::dial(&self.app, &self.exchange, call).await),
            WayOut::Trunks(trunks) => trunks,
            WayOut::None => Vec::new(),
        };
        let Some(sip) = self.sip.as_ref().filter(|_| !trunks.is_empty()) else {
            tracing::warn!(call.id = %call.id, carrier = call.carrier, "no trunk carries calls of this number");
            return Err(EndReason::Failed);
        };
        sip.dial(call, plan, &trunks).await
    }

    /// Tells how punctual sound is.
    pub fn measure(&self) {
        if let Some(sip) = &self.sip {
            sip.measure();
        }
    }

    /// Takes no further calls.
    pub fn drain(&self) {
        if let Some(sip) = &self.sip {
            sip.drain();
        }
    }

    /// Everything is over: sockets are closed.
    pub async fn close(&self) {
        if let Some(sip) = &self.sip {
            sip.close().await;
        }
    }
}
