//! What carriers bring, made such that it can be kept. In: texts and receipts as some network or its gateway wrote them.
//! Out: the same, unless it is absurd. Never here: a refusal. What can't be kept would be brought again for ever, and
//! with it whatever stands behind it.
//!
//! The limits lie beyond anything a telephone network carries; what they cut is noise.

use offhook_carriers::{Inbound, InboundMessage, Receipt};
use offhook_domain::message::Failure;
use offhook_domain::{Id, MessageId, Timestamp};
use sha2::{Digest, Sha256};

use super::hex;

/// The longest text there can be: 255 parts of 153 characters are 39,015.
const LONGEST_TEXT: usize = 40_000;
/// What stands where the rest of a longer one was, as where a part of one is missing.
const CUT: &str = "[…]";
/// The longest phone number has 16 characters, the longest named sender 11, an email address up to 254.
const LONGEST_SENDER: usize = 254;
const LONGEST_ID: usize = 255;
const MOST_MEDIA: usize = 30;
const LONGEST_URL: usize = 8_192;
const LONGEST_CODE: usize = 64;
const LONGEST_REASON: usize = 1_000;
/// A receipt that claims to be older is not: there was no such installation.
const BEGINNING: Timestamp = Timestamp::from_micros(946_684_800_000_000);

/// Makes what a carrier brought fit.
#[must_use]
pub fn fit(inbound: Inbound, now: Timestamp) -> Inbound {
    match inbound {
        Inbound::Message(message) => Inbound::Message(fit_message(message, now)),
        Inbound::Receipt(receipt) => Inbound::Receipt(fit_receipt(receipt, now)),
    }
}

fn fit_message(message: InboundMessage, now: Timestamp) -> InboundMessage {
    let sender = one_line(&message.from, LONGEST_SENDER);
    let mut media_urls = message.media_urls;
    media_urls.retain(|url| !url.is_empty() && url.len() <= LONGEST_URL && !url.contains('\0'));
    media_urls.truncate(MOST_MEDIA);
    InboundMessage {
        // Without an id a repeat can't be told from another text: better twice than never.
        carrier_message_id: fit_id(&message.carrier_message_id)
            .unwrap_or_else(|| format!("none:{}", MessageId::generate(now))),
        from: if sender.is_empty() { "unknown".to_owned() } else { sender },
        body: fit_body(message.body.replace('\0', "")),
        media_urls,
        ..message
    }
}

/// A text that was cut says so.
fn fit_body(body: String) -> String {
    if body.chars().nth(LONGEST_TEXT).is_none() {
        return body;
    }
    beginning(body, LONGEST_TEXT - CUT.chars().count()) + CUT
}

fn fit_receipt(receipt: Receipt, now: Timestamp) -> Receipt {
    let ours = || receipt.message_id.as_ref().map_or_else(|| "none".to_owned(), |id| format!("none:{id}"));
    let failure = receipt.failure.as_ref().map(|failure| Failure {
        code: one_line(&failure.code, LONGEST_CODE),
        reason: one_line(&failure.reason, LONGEST_REASON),
    });
    Receipt {
        carrier_message_id: fit_id(&receipt.carrier_message_id).unwrap_or_else(ours),
        failure,
        at: if (BEGINNING..=now).contains(&receipt.at) { receipt.at } else { now },
        ..receipt
    }
}

/// An id as it is, or one that stands for it; `None` where there is none.
fn fit_id(id: &str) -> Option<String> {
    match id {
        "" => None,
        id if id.len() <= LONGEST_ID && !id.contains(char::is_control) => Some(id.to_owned()),
        id => Some(format!("sha256:{}", hex(&Sha256::digest(id.as_bytes())))),
    }
}

fn one_line(text: &str, longest: usize) -> String {
    let line: String = text.chars().filter(|c| !c.is_control()).collect();
    beginning(line.trim().to_owned(), longest)
}

fn beginning(mut text: String, longest: usize) -> String {
    if let Some((end, _)) = text.char_indices().nth(longest) {
        text.truncate(end);
    }
    text
}

#[cfg(test)]
mod tests {
    use offhook_domain::E164;
    use offhook_domain::message::ReceiptStatus;

    use super::*;

    const NOW: Timestamp = Timestamp::from_micros(1_795_000_000_000_000);

    fn text(id: &str, from: &str, body: &str) -> InboundMessage {
        InboundMessage {
            carrier: "fake",
            carrier_message_id: id.to_owned(),
            from: from.to_owned(),
            to: E164::parse("+14155550100").unwrap(),
            body: body.to_owned(),
            media_urls: Vec::new(),
        }
    }

    fn receipt(id: &str, at: Timestamp) -> Receipt {
        let (message_id, failure) = (Some(MessageId::generate(NOW)), Some(Failure::new("\0", &"y".repeat(9_999))));
        let carrier_message_id = id.to_owned();
        Receipt { carrier: "fake", carrier_message_id, message_id, status: ReceiptStatus::Failed, failure, at }
    }

    #[test]
    fn what_a_network_carries_stays_as_it_is() {
        let message = InboundMessage {
            media_urls: vec!["https://media.example/1".to_owned()],
            ..text("SM1", "+14152011234", "two lines\nand grüße ☎")
        };
        assert_eq!(fit_message(message.clone(), NOW), message);
        for sender in ["ACME", "12345", "ada@example.com"] {
            assert_eq!(fit_message(text("SM1", sender, ""), NOW).from, sender);
        }
    }

    #[test]
    fn absurd_texts_are_cut_to_what_can_be_kept() {
        let absurd = text(&"i".repeat(100_000), &"\0 \u{7}".repeat(1_000), &"é\0".repeat(1_000_000));
        let fitted = fit_message(absurd.clone(), NOW);
        assert_eq!((fitted.from.as_str(), fitted.body.chars().count()), ("unknown", LONGEST_TEXT));
        assert!(fitted.body.ends_with("é[…]"), "it says that it was cut");
        let longest = "é".repeat(LONGEST_TEXT);
        assert_eq!(fit_message(text("SM1", "+14152011234", &longest), NOW).body, longest);
        assert_eq!(fitted.carrier_message_id.len(), "sha256:".len() + 64);
        assert_eq!(fit_message(absurd, NOW).carrier_message_id, fitted.carrier_message_id, "a repeat is known");
        let none = || fit_message(text("", "+14152011234", "Hi"), NOW).carrier_message_id;
        assert_ne!(none(), none(), "two texts without an id are two texts");
    }

    #[test]
    fn absurd_receipts_are_cut_to_what_can_be_kept() {
        let one = fit_receipt(receipt("", Timestamp::from_micros(i64::MAX)), NOW);
        let failure = one.failure.unwrap();
        assert_eq!((failure.code.as_str(), failure.reason.len(), one.at), ("", LONGEST_REASON, NOW));
        assert!(one.carrier_message_id.starts_with("none:msg_"), "{}", one.carrier_message_id);
        assert_eq!(fit_receipt(receipt("SM1", Timestamp::from_micros(0)), NOW).at, NOW);
        let true_time = Timestamp::from_micros(NOW.as_micros() - 1_000_000);
        assert_eq!(fit_receipt(receipt("SM1", true_time), NOW).at, true_time);
    }
}
