//! Phone numbers and short codes as peers write them.

use offhook_domain::E164;
use offhook_smpp::Address;

use super::settings::SmppSettings;

/// Types of number.
const INTERNATIONAL: u8 = 1;
const NATIONAL: u8 = 2;
const ALPHANUMERIC: u8 = 5;
/// Shorter ones are short codes.
const SHORTEST_NUMBER: usize = 8;

/// A sender or receiver of ours, as the peer wants it.
pub fn outgoing(settings: &SmppSettings, address: &str) -> Address {
    match address.strip_prefix('+') {
        Some(digits) => {
            let format = settings.numbers;
            Address::new(format.ton, format.npi, if format.plus { address } else { digits })
        }
        None => Address::new(settings.short_codes.0, settings.short_codes.1, address),
    }
}

/// One of our numbers, as the peer names it; `None` where it can be none.
pub fn our_number(settings: &SmppSettings, address: &Address) -> Option<E164> {
    international(settings, address).and_then(|number| E164::parse(&number).ok())
}

/// Whoever sent: a number as E.164 where that can be told, or else what stands there.
pub fn sender(settings: &SmppSettings, address: &Address) -> String {
    let is_number = address.ton != ALPHANUMERIC && is_digits(&address.digits);
    let number = is_number.then(|| international(settings, address)).flatten();
    number.filter(|number| E164::parse(number).is_ok()).unwrap_or_else(|| address.digits.trim().to_owned())
}

fn is_digits(text: &str) -> bool {
    let digits = text.strip_prefix('+').unwrap_or(text);
    !digits.is_empty() && digits.bytes().all(|octet| octet.is_ascii_digit())
}

fn international(settings: &SmppSettings, address: &Address) -> Option<String> {
    let digits = address.digits.trim();
    if let Some(rest) = digits.strip_prefix('+') {
        return is_digits(rest).then(|| digits.to_owned());
    }
    if !is_digits(digits) || (digits.len() < SHORTEST_NUMBER && address.ton != INTERNATIONAL) {
        return None;
    }
    let country = settings.country_code.as_deref();
    match (address.ton, country) {
        (INTERNATIONAL, _) => Some(format!("+{}", digits.strip_prefix("00").unwrap_or(digits))),
        (NATIONAL, Some(country)) => Some(format!("+{country}{digits}")),
        (NATIONAL, None) => None,
        (_, Some(country)) if is_national(digits, country) => Some(format!("+{country}{digits}")),
        _ => Some(format!("+{}", digits.strip_prefix("00").unwrap_or(digits))),
    }
}

/// Whether a number of no declared type is a national one. Of the North American plan they have ten digits.
fn is_national(digits: &str, country: &str) -> bool {
    if country == "1" { digits.len() == 10 } else { !digits.starts_with(country) && !digits.starts_with("00") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(country_code: Option<&str>) -> SmppSettings {
        let country_code = country_code.map(str::to_owned);
        SmppSettings { country_code, ..SmppSettings::new("smpp", "localhost", 2775, "us", "secret") }
    }

    #[test]
    fn numbers_are_understood_in_any_of_their_ways() {
        let american = settings(Some("1"));
        for (ton, digits) in [
            (1, "14155550100"),
            (1, "+14155550100"),
            (2, "4155550100"),
            (0, "4155550100"),
            (0, "14155550100"),
            (0, "0014155550100"),
        ] {
            let number = our_number(&american, &Address::new(ton, 1, digits));
            assert_eq!(number.as_ref().map(E164::as_str), Some("+14155550100"), "{ton} {digits}");
        }
        for digits in ["", "ACME", "911", "+", "1415555x100", "99999999999999999999"] {
            assert_eq!(our_number(&american, &Address::new(0, 0, digits)), None, "{digits}");
        }
    }

    #[test]
    fn senders_need_not_be_numbers() {
        let american = settings(Some("1"));
        let of = |ton, digits| sender(&american, &Address::new(ton, 0, digits));
        assert_eq!(of(5, "ACME"), "ACME");
        assert_eq!(of(5, "4155550100"), "4155550100");
        assert_eq!(of(3, "72345"), "72345");
        assert_eq!(of(0, "4155550100"), "+14155550100");
        assert_eq!(of(1, "447700900123"), "+447700900123");
    }

    #[test]
    fn ours_are_written_as_the_peer_wants_them() {
        let plain = settings(None);
        assert_eq!(outgoing(&plain, "+14155550100"), Address::new(1, 1, "14155550100"));
        assert_eq!(outgoing(&plain, "72345"), Address::new(3, 0, "72345"));
    }
}
