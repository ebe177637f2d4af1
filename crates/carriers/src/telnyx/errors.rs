//! What Telnyx's refusals mean. In: an answer that is none of success. Out: an outcome with Telnyx's own code. Never here: I/O.

use http::StatusCode;
use offhook_domain::message::{Failure, SendOutcome};
use serde_json::Value;

use crate::BuyError;
use crate::rest::{Reply, text};

/// The first error of an answer: its code and its words.
fn first(reply: &Reply) -> (String, String) {
    let error = reply.body.get("errors").and_then(|errors| errors.get(0)).unwrap_or(&Value::Null);
    failure_of(error).unwrap_or_else(|| (reply.status.as_u16().to_string(), "the carrier gave no reason".to_owned()))
}

/// An error as Telnyx writes it.
pub(super) fn failure_of(error: &Value) -> Option<(String, String)> {
    let code = match error.get("code")? {
        Value::String(code) => code.clone(),
        Value::Number(code) => code.to_string(),
        _ => return None,
    };
    let words = text(error, "detail").or_else(|| text(error, "title")).unwrap_or("the carrier gave no reason");
    Some((code, words.chars().take(300).collect()))
}

/// In words.
pub(super) fn words(reply: &Reply) -> String {
    let (code, words) = first(reply);
    format!("{words} (Telnyx {code})")
}

/// Whether Telnyx itself says that it can't take anything now. A gateway in between says so without an error of Telnyx's.
fn is_closed(reply: &Reply) -> bool {
    reply.status == StatusCode::SERVICE_UNAVAILABLE && reply.body.get("errors").is_some()
}

/// What a refused text comes to.
pub(super) fn of_message(reply: &Reply) -> SendOutcome {
    let (code, words) = first(reply);
    let failure = Failure::new(&code, &words);
    match reply.status {
        _ if is_closed(reply) => SendOutcome::NotTaken(failure),
        status if status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT => SendOutcome::Unknown(failure),
        // The operator's doing, and he can undo it while the message waits: a key, a balance.
        StatusCode::TOO_MANY_REQUESTS | StatusCode::UNAUTHORIZED | StatusCode::PAYMENT_REQUIRED => {
            SendOutcome::NotTaken(failure)
        }
        // Rates of a number or a profile, a full queue.
        _ if matches!(code.as_str(), "10011" | "40318" | "40333") => SendOutcome::NotTaken(failure),
        status if status.is_client_error() => SendOutcome::Refused(failure),
        _ => SendOutcome::Unknown(failure),
    }
}

/// What a refused purchase comes to.
pub(super) fn of_purchase(reply: &Reply) -> BuyError {
    let why = words(reply);
    match reply.status {
        _ if is_closed(reply) => BuyError::NotBought(why),
        status if status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT => BuyError::Unknown(why),
        StatusCode::TOO_MANY_REQUESTS | StatusCode::UNAUTHORIZED | StatusCode::PAYMENT_REQUIRED => {
            BuyError::NotBought(why)
        }
        // Sold to somebody else, or nobody's: the next one may be had.
        StatusCode::NOT_FOUND | StatusCode::CONFLICT | StatusCode::UNPROCESSABLE_ENTITY => BuyError::Taken,
        status if status.is_client_error() => BuyError::Refused(why),
        _ => BuyError::Unknown(why),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn reply(status: u16, code: &str) -> Reply {
        let body = if code.is_empty() { json!(null) } else { json!({"errors": [{"code": code, "title": "no"}]}) };
        Reply { status: StatusCode::from_u16(status).unwrap(), body }
    }

    #[test]
    fn only_what_is_said_for_sure_is_refused() {
        for (status, code) in [(400, "40310"), (403, "40300"), (422, "10002"), (404, "")] {
            let SendOutcome::Refused(failure) = of_message(&reply(status, code)) else { panic!("{status} {code}") };
            assert_eq!(failure.code, if code.is_empty() { status.to_string() } else { code.to_owned() });
        }
        for (status, code) in [(429, "10011"), (401, "10009"), (402, "20100"), (503, "10016"), (400, "40318")] {
            assert!(matches!(of_message(&reply(status, code)), SendOutcome::NotTaken(_)), "{status} {code}");
        }
        for (status, code) in [(500, "10007"), (502, ""), (503, ""), (504, ""), (301, "")] {
            assert!(matches!(of_message(&reply(status, code)), SendOutcome::Unknown(_)), "{status} {code}");
        }
    }

    #[test]
    fn a_purchase_is_undone_only_where_nothing_was_bought() {
        assert_eq!(of_purchase(&reply(422, "10015")), BuyError::Taken);
        assert!(matches!(of_purchase(&reply(403, "10038")), BuyError::Refused(_)));
        assert!(matches!(of_purchase(&reply(402, "20100")), BuyError::NotBought(_)));
        assert!(matches!(of_purchase(&reply(500, "10007")), BuyError::Unknown(_)));
    }
}
