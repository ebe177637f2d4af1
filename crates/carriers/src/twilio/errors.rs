//! What Twilio's refusals mean. In: an answer that is none of success. Out: an outcome with Twilio's own code. Never here: I/O.

use http::StatusCode;
use offhook_domain::message::{Failure, SendOutcome};

use crate::BuyError;
use crate::rest::{Reply, text};

/// Twilio's number for an error; the HTTP status where it has none.
fn code(reply: &Reply) -> i64 {
    reply.body.get("code").and_then(serde_json::Value::as_i64).unwrap_or_else(|| reply.status.as_u16().into())
}

/// In words.
pub(super) fn words(reply: &Reply) -> String {
    let message = text(&reply.body, "message").unwrap_or("the carrier gave no reason");
    let message: String = message.chars().take(300).collect();
    format!("{message} (Twilio {})", code(reply))
}

/// What a refused text comes to.
pub(super) fn of_message(reply: &Reply) -> SendOutcome {
    let message = text(&reply.body, "message").unwrap_or("the carrier refused the message");
    let code = code(reply);
    let failure = Failure::new(&code.to_string(), &message.chars().take(300).collect::<String>());
    match reply.status {
        // Said by Twilio itself, which then has not taken it. A gateway in between says so without a code.
        StatusCode::SERVICE_UNAVAILABLE if code == 20503 => SendOutcome::NotTaken(failure),
        status if status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT => SendOutcome::Unknown(failure),
        StatusCode::TOO_MANY_REQUESTS => SendOutcome::NotTaken(failure),
        // The operator's doing, and he can undo it while the message waits.
        StatusCode::UNAUTHORIZED => SendOutcome::NotTaken(failure),
        _ if is_for_the_moment(code) => SendOutcome::NotTaken(failure),
        status if status.is_client_error() => SendOutcome::Refused(failure),
        _ => SendOutcome::Unknown(failure),
    }
}

/// Codes of what passes: rates, full queues, an account that is locked or can't be found.
fn is_for_the_moment(code: i64) -> bool {
    matches!(code, 14107 | 20003 | 20005 | 20404 | 20429 | 21611 | 63018 | 63038)
}

/// What a refused purchase comes to.
pub(super) fn of_purchase(reply: &Reply) -> BuyError {
    let why = words(reply);
    match reply.status {
        StatusCode::SERVICE_UNAVAILABLE if code(reply) == 20503 => BuyError::NotBought(why),
        status if status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT => BuyError::Unknown(why),
        StatusCode::TOO_MANY_REQUESTS | StatusCode::UNAUTHORIZED => BuyError::NotBought(why),
        // Not available; invalid, as what is in nobody's stock is; none left in the area.
        _ if matches!(code(reply), 21421 | 21422 | 21452) => BuyError::Taken,
        status if status.is_client_error() => BuyError::Refused(why),
        _ => BuyError::Unknown(why),
    }
}

/// The codes of receipts, which come without words.
pub(super) fn reason(code: &str) -> &'static str {
    match code {
        "30001" => "the carrier's queue was full",
        "30002" => "the account at the carrier is suspended",
        "30003" => "the phone can't be reached",
        "30004" => "the message is blocked",
        "30005" => "nobody has the number",
        "30006" => "it is a landline, or its carrier can't be reached",
        "30007" => "it was filtered as spam",
        "30008" => "the carrier gave no reason",
        "30032" => "the toll-free number is not verified",
        "30034" => "the number is not registered for 10DLC",
        "30410" => "the other carrier did not answer in time",
        "30453" => "the message could not be delivered",
        _ => "the message did not arrive",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn reply(status: u16, code: i64) -> Reply {
        let body = if code == 0 { json!(null) } else { json!({"code": code, "message": "no", "status": status}) };
        Reply { status: StatusCode::from_u16(status).unwrap(), body }
    }

    #[test]
    fn only_what_is_said_for_sure_is_refused() {
        use SendOutcome as O;
        let code_of = |outcome: &O| match outcome {
            O::Refused(f) | O::NotTaken(f) | O::Unknown(f) => f.code.clone(),
            O::Accepted { .. } => String::new(),
        };
        for (status, code) in [(400, 21211), (400, 21610), (403, 21408), (404, 0), (400, 21408)] {
            let outcome = of_message(&reply(status, code));
            assert!(matches!(outcome, O::Refused(_)), "{status} {code}: {outcome:?}");
            assert_eq!(code_of(&outcome), if code == 0 { status.to_string() } else { code.to_string() });
        }
        for (status, code) in [(429, 20429), (429, 0), (429, 63038), (400, 21611), (401, 20003), (503, 20503)] {
            assert!(matches!(of_message(&reply(status, code)), O::NotTaken(_)), "{status} {code}");
        }
        for (status, code) in [(500, 20500), (502, 0), (503, 0), (504, 0), (408, 0), (302, 0)] {
            assert!(matches!(of_message(&reply(status, code)), O::Unknown(_)), "{status} {code}");
        }
    }

    #[test]
    fn a_purchase_is_undone_only_where_nothing_was_bought() {
        assert_eq!(of_purchase(&reply(400, 21422)), BuyError::Taken);
        assert!(matches!(of_purchase(&reply(400, 21631)), BuyError::Refused(_)));
        assert!(matches!(of_purchase(&reply(429, 20429)), BuyError::NotBought(_)));
        assert!(matches!(of_purchase(&reply(500, 20500)), BuyError::Unknown(_)));
        assert!(matches!(of_purchase(&reply(503, 0)), BuyError::Unknown(_)));
    }
}
