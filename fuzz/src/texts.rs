//! What people and their programs write.

use std::sync::LazyLock;

use offhook_domain::opt_out::{Keyword, Keywords};
use offhook_domain::{Country, Destination, E164};
use offhook_server::fuzzed;

/// The operator's file of numbers: each row has a number that reads the same again, and no number stands in two.
pub fn numbers_csv(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    match fuzzed::numbers_csv(&text) {
        Ok(rows) => {
            let mut numbers: Vec<_> = rows.iter().map(|row| row.number.clone()).collect();
            numbers.iter().for_each(is_itself);
            numbers.sort_by(|a, b| a.as_str().cmp(b.as_str()));
            assert!(numbers.windows(2).all(|pair| pair[0] != pair[1]), "a number twice");
        }
        Err(errors) => assert!(!errors.is_empty() && errors.len() < 30, "{} errors", errors.len()),
    }
}

/// What is read as a number is written as E.164, and reads the same again.
pub fn phone(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(number) = E164::parse(&text) {
        is_itself(&number);
    }
    for country in ["US", "GB", "DE", "BR", "JP"] {
        let country = Country::parse(country).expect("a country");
        if let Ok(number) = E164::parse_in(&text, country) {
            is_itself(&number);
        }
    }
    let _ = (Country::parse(&text), Destination::parse(&text));
}

fn is_itself(number: &E164) {
    let text = number.as_str();
    assert!(text.len() <= 16 && text.starts_with('+') && text[1..].bytes().all(|b| b.is_ascii_digit()), "{text}");
    assert_eq!(E164::parse(text).as_ref().map(E164::as_str), Ok(text));
    let _ = (number.country(), number.area_code(), number.line_type());
}

/// The body of `POST /v1/messages`: read, or refused with an answer that has a client error's status.
pub fn send_message(bytes: &[u8]) {
    if let Err(status) = fuzzed::send_message(bytes) {
        assert!((400..500).contains(&status), "{status}");
    }
}

/// A text that is a keyword is one with anything around it that is no word, and in capitals.
pub fn opt_out(bytes: &[u8]) {
    static KEYWORDS: LazyLock<Keywords> = LazyLock::new(|| {
        Keywords::new([(Keyword::Stop, "es", "BAJA"), (Keyword::Help, "de", "HILFE"), (Keyword::Stop, "ja", "停止")])
    });
    let text = String::from_utf8_lossy(bytes);
    let said = KEYWORDS.read(&text);
    assert_eq!(KEYWORDS.read(&format!(" «{text}» !\u{1f64f}")), said);
    assert_eq!(KEYWORDS.read(&text.to_uppercase()).is_some(), said.is_some(), "{text:?}");
}

/// The answer to a turn of a call is the same wherever it is torn, and ends exactly once, last.
pub fn webhook_answer(bytes: &[u8]) {
    let whole = fuzzed::webhook_answer(bytes, bytes.len());
    assert_eq!(fuzzed::webhook_answer(bytes, 1), whole);
    assert_eq!(fuzzed::webhook_answer(bytes, 5), whole);
    let ends = whole.iter().filter(|answer| answer.starts_with("Ended")).count();
    assert!(ends == 1 && whole.last().is_some_and(|last| last.starts_with("Ended")), "{whole:?}");
}
