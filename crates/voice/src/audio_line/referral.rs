//! The other side asks us to talk to somebody else (RFC 3515): a leg to them takes the place of the one that there is, and the sound
//! goes on. In: whom they want. Out: how it goes, to who asked and on the timeline. Until somebody else has answered, the call stays
//! where it is.

use async_trait::async_trait;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use offhook_media::sdp::{Direction, Negotiation};

use super::{AudioLine, negotiation, signalling};
use crate::line::{LineEnd, LineEvent};
use crate::signalling::{Leg, LegEvent, LegOrder};

/// Calls whom the other side of a call asks for.
#[async_trait]
pub trait Referrals: Send + Sync {
    /// Calls them, a URI, with our offer.
    ///
    /// # Errors
    /// The SIP status that whoever asked is told: they may not be called, or can't be.
    async fn call(&self, to: &str, offer: String) -> Result<Leg, u16>;
}

/// A leg that is on its way.
pub(super) enum Referral {
    Placing(BoxFuture<'static, Result<Leg, u16>>, Negotiation),
    /// With the last answer that came before theirs: it counts if theirs has none.
    Calling(Leg, Negotiation, Option<Vec<u8>>),
}

/// What became of it.
pub(super) enum Followed {
    /// There is no leg to them, and what whoever asked is told.
    Nowhere(u16),
    Told(LegEvent),
}

/// Cancel safe.
pub(super) async fn next(referral: &mut Option<Referral>) -> Followed {
    loop {
        match referral {
            None => return std::future::pending().await,
            Some(Referral::Calling(leg, ..)) => return Followed::Told(leg.next().await),
            Some(Referral::Placing(placing, _)) => match placing.await {
                Err(status) => return Followed::Nowhere(status),
                Ok(leg) => {
                    if let Some(Referral::Placing(_, negotiation)) = referral.take() {
                        *referral = Some(Referral::Calling(leg, negotiation, None));
                    }
                }
            },
        }
    }
}

impl AudioLine {
    pub(super) fn on_referred(&mut self, to: &str) -> LineEvent {
        let Some(referrals) = self.parts.referrals.clone().filter(|_| self.stream.is_some()) else {
            self.leg.order(LegOrder::RefuseReferral(603));
            return signalling("REFER refused".to_owned());
        };
        self.leg.order(LegOrder::AcceptReferral);
        let mut negotiation = negotiation(&self.parts.ability, self.parts.local);
        let (offer, to) = (negotiation.offer(Direction::SendRecv), to.to_owned());
        let placing = async move { referrals.call(&to, offer).await }.boxed();
        self.referral = Some(Referral::Placing(placing, negotiation));
        signalling("REFER: somebody else is called".to_owned())
    }

    pub(super) fn on_followed(&mut self, followed: Followed) -> Option<LineEvent> {
        let referral = self.referral.take();
        let (event, leg, mut negotiation, early) = match (followed, referral) {
            (Followed::Nowhere(status), _) => return self.is_not_followed(status),
            (Followed::Told(event), Some(Referral::Calling(leg, negotiation, early))) => {
                (event, leg, negotiation, early)
            }
            (Followed::Told(_), _) => return None,
        };
        match event {
            LegEvent::Progress { status, answer } => {
                self.referral = Some(Referral::Calling(leg, negotiation, answer.or(early)));
                self.leg.order(LegOrder::ReportReferral(status));
                None
            }
            LegEvent::Answered { answer } => {
                if let Some(answer) = answer.or(early) {
                    // What can't be agreed on, ends it below.
                    let _ = negotiation.answered(&String::from_utf8_lossy(&answer));
                }
                self.go_over(leg, negotiation)
            }
            LegEvent::Failed { status } => self.is_not_followed(status),
            LegEvent::Ended(_) => self.is_not_followed(487),
            _ => {
                self.referral = Some(Referral::Calling(leg, negotiation, early));
                None
            }
        }
    }

    /// Somebody else has answered: they are the other side from now on, and who sent us there is let go.
    fn go_over(&mut self, leg: Leg, negotiation: Negotiation) -> Option<LineEvent> {
        let Some(agreed) = negotiation.agreed().cloned() else { return self.is_not_followed(488) };
        if let Some(stream) = &self.stream {
            stream.renegotiate(&agreed);
        }
        self.leg.order(LegOrder::ReportReferral(200));
        // Dropped, the former one hangs up.
        (self.leg, self.negotiation) = (leg, negotiation);
        (self.is_between_legs, self.held) = (false, false);
        Some(signalling("handed on to somebody else".to_owned()))
    }

    fn is_not_followed(&mut self, status: u16) -> Option<LineEvent> {
        if self.is_between_legs {
            return Some(self.ends(LineEnd::TheyHungUp));
        }
        self.leg.order(LegOrder::ReportReferral(status.max(300)));
        Some(signalling(format!("nobody else is there: {status}")))
    }
}
