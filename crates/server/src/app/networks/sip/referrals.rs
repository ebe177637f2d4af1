//! Customers' telephone systems that hand a call on to somebody else (REFER): over the trunk that asked and no other, as its
//! `transfers` allows, so that nobody is called at anybody else's cost. In: whom they want. Out: a leg to them, or why not.

use std::sync::Arc;

use async_trait::async_trait;
use offhook_domain::sip_trunk::{TransferCallerId, Transfers};
use offhook_domain::{E164, destinations};
use offhook_voice::audio_line::Referrals;
use offhook_voice::signalling::{Leg, PlaceOrder, Signalling, Trunk as SignalledTrunk};

use super::signalled;
use crate::app::App;
use crate::app::guards::Guarding;
use crate::app::trunks::Trunk;

struct OverTrunk {
    app: App,
    signalling: Signalling,
    trunk: SignalledTrunk,
    transfers: Transfers,
    /// Whose number whoever is called sees.
    from: String,
}

/// Where calls of a trunk may be handed on to; `ours` and `theirs` are who talks. `None`: nowhere.
pub fn over(app: &App, signalling: &Signalling, trunk: &Trunk, ours: &str, theirs: &str) -> Option<Arc<dyn Referrals>> {
    if trunk.transfers == Transfers::None || trunk.targets.is_empty() {
        return None;
    }
    // We are who is transferred.
    let from = match trunk.transfer_caller_id {
        TransferCallerId::Transferee => ours,
        TransferCallerId::Transferor => theirs,
    };
    Some(Arc::new(OverTrunk {
        app: app.clone(),
        signalling: signalling.clone(),
        trunk: signalled(trunk),
        transfers: trunk.transfers,
        from: from.to_owned(),
    }))
}

#[async_trait]
impl Referrals for OverTrunk {
    async fn call(&self, to: &str, offer: String) -> Result<Leg, u16> {
        let to = callee(to).ok_or(404_u16)?;
        if let Some(number) = number(&to) {
            let allowed = self.transfers == Transfers::All
                && !destinations::is_service_line(number.as_str())
                && Guarding::of(&self.app.config).check_destination(number.as_str()).is_ok();
            if !allowed {
                return Err(403);
            }
        } else if destinations::is_service_line(&to) {
            return Err(403);
        }
        let ring_for = self.app.config.voice.transfer_for;
        let order = PlaceOrder { trunk: self.trunk.clone(), from: self.from.clone(), to, ring_for };
        self.signalling.place(order, |_, _| offer.into_bytes()).await.map_err(|error| {
            tracing::info!(%error, "a call that is handed on can't be placed");
            503
        })
    }
}

/// Who a URI calls: what stands before the `@`, which a telephone system understands, whichever host it names.
fn callee(uri: &str) -> Option<String> {
    let rest = uri.strip_prefix("sip:").or_else(|| uri.strip_prefix("sips:")).or_else(|| uri.strip_prefix("tel:"))?;
    let user = rest.split(['@', ';', '?']).next().unwrap_or_default();
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.' | b'_' | b'*' | b'#');
    ((1..=64).contains(&user.len()) && user.bytes().all(legal)).then(|| user.to_owned())
}

/// The telephone number that it is; what is short is an extension.
fn number(to: &str) -> Option<E164> {
    let digits: String = to.chars().filter(|c| !matches!(c, '-' | '.')).collect();
    E164::parse(&digits).or_else(|_| E164::parse(&format!("+{digits}"))).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_called_is_what_stands_before_the_host() {
        assert_eq!(callee("sip:200@pbx.example.com;user=phone").as_deref(), Some("200"));
        assert_eq!(callee("tel:+1-415-555-0100").as_deref(), Some("+1-415-555-0100"));
        for none in ["sip:@pbx", "sip:a b@pbx", "https://example.com", "sip:%0d%0a@pbx"] {
            assert_eq!(callee(none), None, "{none}");
        }
    }

    #[test]
    fn an_extension_is_no_number() {
        assert_eq!(number("200"), None);
        assert_eq!(number("desk"), None);
        for written in ["+14155550100", "14155550100", "+1-415-555-0100"] {
            assert_eq!(number(written), E164::parse("+14155550100").ok(), "{written}");
        }
    }
}
