//! Customers' telephone systems that hand a call on to somebody else (REFER): over the trunk that asked and no other, as its
//! `transfers` allows, so that nobody is called at anybody else's cost. In: whom they want. Out: a leg to them, or why not.

use std::sync::Arc;

use async_trait::async_trait;
use offhook_domain::call_routing::TrunkOwner;
use offhook_domain::sip_trunk::{TransferCallerId, Transfers};
use offhook_domain::{E164, destinations};
use offhook_store::{StoreError, Tx};
use offhook_voice::audio_line::Referrals;
use offhook_voice::signalling::{Leg, PlaceOrder, Signalling};

use super::signalled;
use crate::app::App;
use crate::app::guards::Guarding;
use crate::app::trunks::Trunk;

/// Digits of an extension.
const LONGEST_EXTENSION: usize = 6;

struct OverTrunks {
    app: App,
    signalling: Signalling,
    /// Which the call may have come over: several customers may call from one network.
    trunks: Vec<Trunk>,
    ours: String,
    theirs: String,
}

/// How a call may be handed on over one of these trunks; `ours` and `theirs` are who talks. `None`: it may not, as where it may
/// have come over a carrier's, for then anybody may be at its other end.
pub fn over(
    app: &App,
    signalling: &Signalling,
    trunks: Vec<Trunk>,
    ours: &str,
    theirs: &str,
) -> Option<Arc<dyn Referrals>> {
    let are_customers = trunks.iter().all(|trunk| matches!(trunk.owner, TrunkOwner::Account(_)));
    let may = |trunk: &Trunk| trunk.transfers != Transfers::None && !trunk.targets.is_empty();
    let trunks: Vec<Trunk> = trunks.into_iter().filter(may).collect();
    (are_customers && !trunks.is_empty()).then(|| {
        let (app, signalling) = (app.clone(), signalling.clone());
        Arc::new(OverTrunks { app, signalling, trunks, ours: ours.to_owned(), theirs: theirs.to_owned() }) as _
    })
}

impl OverTrunks {
    /// The trunk of whoever has our number: nobody else's is called over.
    async fn trunk(&self) -> Option<&Trunk> {
        let ours = number(&self.ours)?;
        let find = async move |tx: &mut Tx| tx.holder_of(&ours).await;
        let holder = self.app.store.read::<_, StoreError>(find).await.ok()??;
        self.trunks
            .iter()
            .find(|trunk| matches!(&trunk.owner, TrunkOwner::Account(owner) if *owner == holder.account_id))
    }
}

#[async_trait]
impl Referrals for OverTrunks {
    async fn call(&self, to: &str, offer: String) -> Result<Leg, u16> {
        let trunk = self.trunk().await.ok_or(403_u16)?;
        if to.contains('?') {
            // Such as Replaces, by which they would join a call that there is: that we can't.
            return Err(501);
        }
        let to = callee(to).ok_or(404_u16)?;
        let allowed = match number(&to) {
            Some(number) => {
                trunk.transfers == Transfers::All
                    && !destinations::is_service_line(number.as_str())
                    && Guarding::of(&self.app.config).check_destination(number.as_str()).is_ok()
            }
            None => is_extension(&to) && !destinations::calls_for_help(&to),
        };
        if !allowed {
            return Err(403);
        }
        // We are who is transferred. Who hides has no number to show.
        let from = match trunk.transfer_caller_id {
            TransferCallerId::Transferor if callee(&format!("sip:{}", self.theirs)).is_some() => &self.theirs,
            _ => &self.ours,
        };
        let ring_for = self.app.config.voice.transfer_for;
        let order = PlaceOrder { trunk: signalled(trunk), from: from.clone(), to, ring_for };
        self.signalling.place(order, |_, _| offer.into_bytes()).await.map_err(|error| {
            tracing::info!(%error, "a call that is handed on can't be placed");
            503
        })
    }
}

/// Who a URI calls: what stands before the `@`, which a telephone system understands, whichever host it names. Without what
/// only makes a number easier to read.
fn callee(uri: &str) -> Option<String> {
    let rest = uri.strip_prefix("sip:").or_else(|| uri.strip_prefix("sips:")).or_else(|| uri.strip_prefix("tel:"))?;
    let user = rest.split(['@', ';', '?']).next().unwrap_or_default();
    let is_dialled = user.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.'));
    let user = if is_dialled { user.replace(['-', '.'], "") } else { user.to_owned() };
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.' | b'_');
    ((1..=64).contains(&user.len()) && user.bytes().all(legal)).then_some(user)
}

/// A name, or so few digits that no number is hidden in them, behind a prefix for an outside line or not.
fn is_extension(to: &str) -> bool {
    to.bytes().filter(u8::is_ascii_digit).count() <= LONGEST_EXTENSION && !to.starts_with('+')
}

/// The telephone number that it is.
fn number(to: &str) -> Option<E164> {
    E164::parse(to).or_else(|_| E164::parse(&format!("+{to}"))).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_called_is_what_stands_before_the_host() {
        assert_eq!(callee("sip:200@pbx.example.com;user=phone").as_deref(), Some("200"));
        assert_eq!(callee("sip:front-desk@pbx.example.com").as_deref(), Some("front-desk"));
        assert_eq!(callee("tel:+1-415-555-0100").as_deref(), Some("+14155550100"));
        for none in ["sip:@pbx", "sip:a b@pbx", "https://example.com", "sip:%0d%0a@pbx", "sip:*72@pbx", "sip:9#1@pbx"] {
            assert_eq!(callee(none), None, "{none}");
        }
    }

    #[test]
    fn help_in_need_is_known_however_it_is_written() {
        for written in ["sip:911@pbx", "sip:9-1-1@pbx", "sip:9.911@pbx"] {
            assert!(destinations::calls_for_help(&callee(written).unwrap()), "{written}");
        }
    }

    #[test]
    fn no_number_is_hidden_in_an_extension() {
        for extension in ["200", "1001", "desk", "front-desk.2"] {
            assert!(number(extension).is_none() && is_extension(extension), "{extension}");
        }
        for hidden in ["9011442071234567", "014155550100", "00442071234567", "+911", "desk14155550100"] {
            assert!(!is_extension(hidden), "{hidden}");
        }
        assert_eq!(number("14155550100"), E164::parse("+14155550100").ok());
    }
}
