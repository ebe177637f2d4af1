//! Receipts in the styles of message centres.

use offhook_smpp::{Message, Tlvs, esm_class, tag};

/// Where a receipt says what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReceiptStyle {
    Text,
    Tags,
    Both,
}

/// The receipt of a message that was submitted.
#[must_use]
pub fn receipt(of: &Message, id: &str, state: &str, style: ReceiptStyle) -> Message {
    let error = if state == "DELIVRD" { "000" } else { "021" };
    let delivered = u8::from(state == "DELIVRD");
    let text = format!(
        "id:{id} sub:001 dlvrd:00{delivered} submit date:2611250101 done date:2611250102 stat:{state} err:{error} text:Hi"
    );
    let number = match state {
        "DELIVRD" => 2,
        "EXPIRED" => 3,
        "DELETED" => 4,
        "UNDELIV" => 5,
        "ACCEPTD" => 6,
        "REJECTD" => 8,
        _ => 7,
    };
    let mut id = id.as_bytes().to_vec();
    id.push(0);
    let tlvs = Tlvs::default().with(tag::RECEIPTED_MESSAGE_ID, &id).with(tag::MESSAGE_STATE, &[number]);
    Message {
        source: of.destination.clone(),
        destination: of.source.clone(),
        esm_class: esm_class::RECEIPT,
        short_message: if style == ReceiptStyle::Tags { Vec::new() } else { text.into_bytes() },
        tlvs: if style == ReceiptStyle::Text { Tlvs::default() } else { tlvs },
        ..Message::default()
    }
}
