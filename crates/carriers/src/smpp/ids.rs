//! The peer's ids of messages, such that answers and receipts agree.

use super::settings::MessageIds;

/// The id in an answer.
pub fn in_answer(ids: MessageIds, id: &str) -> String {
    read(id, ids == MessageIds::HexInAnswers, ids)
}

/// The id in a receipt.
pub fn in_receipt(ids: MessageIds, id: &str) -> String {
    read(id, ids == MessageIds::HexInReceipts, ids)
}

/// Numbers in decimal, without zeros before them; what is no number as it is.
fn read(id: &str, is_hex: bool, ids: MessageIds) -> String {
    let id = id.trim();
    if ids == MessageIds::Same {
        return without_zeros(id).to_owned();
    }
    let digits = if is_hex { id.trim_start_matches("0x") } else { id };
    u128::from_str_radix(digits, if is_hex { 16 } else { 10 })
        .map_or_else(|_| id.to_owned(), |number| number.to_string())
}

/// Many peers fill up the ids in receipts with zeros, for the specification's receipts have ten digits.
fn without_zeros(id: &str) -> &str {
    if id.is_empty() || !id.bytes().all(|octet| octet.is_ascii_digit()) {
        return id;
    }
    let bare = id.trim_start_matches('0');
    if bare.is_empty() { "0" } else { bare }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_and_receipts_agree() {
        assert_eq!(in_answer(MessageIds::HexInAnswers, "00FF"), in_receipt(MessageIds::HexInAnswers, "0000000255"));
        assert_eq!(in_answer(MessageIds::HexInReceipts, "255"), in_receipt(MessageIds::HexInReceipts, "ff"));
        assert_eq!(in_answer(MessageIds::Same, "00ff-1"), in_receipt(MessageIds::Same, "00ff-1"));
        assert_eq!(in_answer(MessageIds::Same, "50002"), in_receipt(MessageIds::Same, "0000050002"));
        assert_ne!(in_answer(MessageIds::Same, "5a"), in_receipt(MessageIds::Same, "05a"));
        assert_eq!(in_answer(MessageIds::Same, "000"), "0");
        assert_eq!(in_answer(MessageIds::HexInAnswers, "not a number"), "not a number");
    }
}
