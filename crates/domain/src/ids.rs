//! Ids: opaque, prefixed and time-ordered (contract, "Conventions").
//!
//! Every id is its own type, so that a number's id can't be passed where an agent's is meant. The text
//! is the prefix and 26 lower-case Crockford base32 characters of a UUID v7 whose sub-millisecond bits
//! carry the microsecond: ids of one process sort as they were made.

use std::fmt;

use crate::time::Timestamp;

/// Text that is not an id of the kind asked for. At the edge this looks like an absent object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an id with the prefix {prefix}")]
pub struct NotAnId {
    pub prefix: &'static str,
}

/// What all id types share: a prefix, a parser and their text.
pub trait Id: Sized + Clone + fmt::Display {
    const PREFIX: &'static str;

    /// Makes an id for something that came to be `at` this time.
    fn generate(at: Timestamp) -> Self;

    /// # Errors
    /// [`NotAnId`] when `text` lacks the prefix or is not 26 base32 characters behind it.
    fn parse(text: &str) -> Result<Self, NotAnId>;

    fn as_str(&self) -> &str;
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident $prefix:literal),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(String);

        impl Id for $name {
            const PREFIX: &'static str = $prefix;

            fn generate(at: Timestamp) -> Self {
                Self(generate($prefix, at))
            }

            fn parse(text: &str) -> Result<Self, NotAnId> {
                if is_id($prefix, text) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(NotAnId { prefix: $prefix })
                }
            }

            fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.serialize_str(&self.0)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = String::deserialize(d)?;
                Self::parse(&text).map_err(serde::de::Error::custom)
            }
        }
    )+};
}

ids! {
    /// A customer of this installation; owns everything else.
    AccountId "acct_",
    /// An agent: who answers and sends.
    AgentId "agt_",
    /// A stored API key. The secret itself is never an id.
    ApiKeyId "key_",
    /// A phone number held by an account.
    NumberId "num_",
    /// A conversation: one per (number, participant).
    ConversationId "conv_",
    /// A message, in or out.
    MessageId "msg_",
    /// A file that goes with a message.
    MediaId "med_",
    /// A phone call.
    CallId "call_",
    /// One turn of a call's transcript.
    TurnId "tr_",
    /// A customer's endpoint for events.
    WebhookId "wh_",
    /// An event and its serialised body.
    EventId "evt_",
    /// One event's way to one endpoint.
    DeliveryId "del_",
    /// An address-book entry.
    ContactId "contact_",
    /// A one-time-code check.
    VerificationId "ver_",
    /// A SIP trunk.
    TrunkId "trunk_",
    /// A group of participants.
    GroupId "grp_",
    /// A reaction to a message.
    ReactionId "rxn_",
    /// A purchase of a number under way; also our reference at the carrier.
    PurchaseId "buy_",
    /// A registration with the US carriers.
    CampaignId "camp_",
    /// A participant who is not to be texted.
    OptOutId "opt_",
    /// A line in the log of opt-outs.
    OptOutLogId "optlog_",
    /// A line in the ledger.
    EntryId "led_",
    /// What a customer told us of the platform.
    FeedbackId "fb_",
    /// An HTTP request, as named in `X-Request-Id`.
    RequestId "req_",
    /// A line in the audit log.
    AuditId "aud_",
}

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const BODY_LENGTH: usize = 26;

fn generate(prefix: &str, at: Timestamp) -> String {
    let micros = at.as_micros().max(0).unsigned_abs();
    let mut random: [u8; 10] = rand::random();
    // The first 12 of the random bits carry the microsecond, so that order holds within a millisecond.
    let fraction = u16::try_from(micros % 1000).unwrap_or(0) << 2;
    random[0] = (fraction >> 8) as u8;
    random[1] = (fraction & 0xff) as u8 | (random[1] & 0b11);
    let uuid = uuid::Builder::from_unix_timestamp_millis(micros / 1000, &random).into_uuid();
    let mut bits = uuid.as_u128();
    let mut body = [0u8; BODY_LENGTH];
    for slot in body.iter_mut().rev() {
        *slot = ALPHABET[(bits & 31) as usize];
        bits >>= 5;
    }
    let mut text = String::with_capacity(prefix.len() + BODY_LENGTH);
    text.push_str(prefix);
    text.extend(body.iter().map(|&b| char::from(b)));
    text
}

fn is_id(prefix: &str, text: &str) -> bool {
    text.strip_prefix(prefix)
        .is_some_and(|body| body.len() == BODY_LENGTH && body.bytes().all(|b| ALPHABET.contains(&b)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_sort_as_they_were_made() {
        let mut last = String::new();
        for tick in 0..5_000 {
            let id = MessageId::generate(Timestamp::from_micros(1_764_000_000_000_000 + tick)).to_string();
            assert!(id > last, "{id} after {last}");
            last = id;
        }
    }

    #[test]
    fn another_kinds_id_does_not_parse() {
        let number = NumberId::generate(Timestamp::from_micros(5)).to_string();
        assert!(NumberId::parse(&number).is_ok());
        assert_eq!(AgentId::parse(&number), Err(NotAnId { prefix: "agt_" }));
        assert!(NumberId::parse("num_").is_err());
        assert!(NumberId::parse("num_ABCDEFGHJKMNPQRSTVWXYZ0123").is_err());
    }
}
