//! What the fates of its parts mean for a message.

use offhook_domain::message::{Failure, SendOutcome};
use offhook_smpp::Status;

use super::outbox::Fate;

/// The ids that the peer gave, by the number of the part, and the whole's outcome.
pub struct Folded {
    pub outcome: SendOutcome,
    pub taken: Vec<(u8, String)>,
    /// The id under which the whole is known, where any part was taken.
    pub whole_id: Option<String>,
}

/// Folds the fates of all parts, in order. A message is accepted when all of it is. It may be sent again only where the
/// peer has nothing of it.
pub fn fold(fates: &[Fate]) -> Folded {
    let numbered = (1_u8..=u8::MAX).zip(fates);
    let taken: Vec<(u8, String)> = numbered
        .filter_map(|(number, fate)| match fate {
            Fate::Accepted(id) => Some((number, id.clone())),
            _ => None,
        })
        .collect();
    let whole_id = taken.first().map(|(_, first)| match fates.len() {
        1 => first.clone(),
        // Not the id of any part, so that no receipt of a part is taken for the whole's.
        total => format!("{first}+{}", total - 1),
    });
    let outcome = outcome(fates, &taken, whole_id.as_deref());
    Folded { outcome, taken, whole_id }
}

fn outcome(fates: &[Fate], taken: &[(u8, String)], whole_id: Option<&str>) -> SendOutcome {
    let unknown = fates.iter().find_map(|fate| match fate {
        Fate::Unknown(why) => Some(*why),
        _ => None,
    });
    let refused = fates.iter().find_map(|fate| match fate {
        Fate::Refused(status) => Some(*status),
        _ => None,
    });
    let not_taken = fates.iter().find_map(|fate| match fate {
        Fate::NotTaken(why) => Some(why.as_str()),
        _ => None,
    });
    let torn = |why: &str| format!("the carrier took {} of {} parts: {why}", taken.len(), fates.len());
    match (refused, unknown, not_taken, whole_id) {
        // Whatever became of the others, this message does not arrive whole.
        (Some(status), _, _, None) => SendOutcome::Refused(failure_of(status, &status.to_string())),
        (Some(status), _, _, Some(_)) => SendOutcome::Refused(failure_of(status, &torn(&status.to_string()))),
        (None, Some(why), _, _) => SendOutcome::Unknown(Failure::new("30001", why)),
        (None, None, Some(why), None) => SendOutcome::NotTaken(Failure::new("30022", why)),
        // Sent again, the parts that were taken would arrive twice.
        (None, None, Some(why), Some(_)) => SendOutcome::Refused(Failure::new("30022", &torn(why))),
        (None, None, None, Some(id)) => SendOutcome::Accepted { carrier_message_id: id.to_owned() },
        (None, None, None, None) => SendOutcome::NotTaken(Failure::new("30022", "there was nothing to send")),
    }
}

/// The peer's own code, in words for a person.
fn failure_of(status: Status, reason: &str) -> Failure {
    Failure::new(&status.code(), reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(id: &str) -> Fate {
        Fate::Accepted(id.to_owned())
    }

    #[test]
    fn a_message_is_accepted_when_all_of_it_is() {
        let id = |fates: &[Fate]| match fold(fates).outcome {
            SendOutcome::Accepted { carrier_message_id } => carrier_message_id,
            other => panic!("{other:?}"),
        };
        assert_eq!(id(&[accepted("a")]), "a");
        assert_eq!(id(&[accepted("a"), accepted("b"), accepted("c")]), "a+2");
    }

    #[test]
    fn only_what_the_peer_has_nothing_of_may_be_sent_again() {
        let busy = || Fate::NotTaken("busy".to_owned());
        assert!(matches!(fold(&[busy(), busy()]).outcome, SendOutcome::NotTaken(_)));
        assert!(matches!(fold(&[accepted("a"), busy()]).outcome, SendOutcome::Refused(_)));
        assert!(matches!(fold(&[Fate::Unknown("cut"), busy()]).outcome, SendOutcome::Unknown(_)));
        assert!(matches!(fold(&[accepted("a"), Fate::Unknown("cut")]).outcome, SendOutcome::Unknown(_)));
    }

    #[test]
    fn a_refusal_keeps_the_peers_code() {
        let SendOutcome::Refused(failure) = fold(&[Fate::Refused(Status::RINVDSTADR)]).outcome else { panic!() };
        assert_eq!(failure.code, "ESME_RINVDSTADR");
        let SendOutcome::Refused(failure) = fold(&[accepted("a"), Fate::Refused(Status(0x400))]).outcome else {
            panic!()
        };
        assert_eq!(failure.code, "0x00000400");
        assert_eq!(failure.reason, "the carrier took 1 of 2 parts: the carrier's own error 0x00000400");
    }
}
