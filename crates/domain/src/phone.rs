//! Phone numbers and everything else a message can be addressed to, parsed once at the edge.

use std::fmt;

use rlibphonenumber::{PHONE_NUMBER_UTIL, PhoneNumberFormat, PhoneNumberType, Region};

use crate::destinations;
use crate::ids::{GroupId, Id};

/// A phone number in E.164 (ITU-T E.164 §6): `+`, then at most 15 digits. Its length is right for its
/// country; that somebody has it is not promised.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct E164(String);

/// Of a number with its country code.
const MOST_DIGITS: usize = 15;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be a phone number, best in E.164 such as +14155550100")]
pub struct NotAPhoneNumber;

impl E164 {
    /// Takes a number in any usual format. One without a country code is read as a US number.
    ///
    /// # Errors
    /// [`NotAPhoneNumber`] when it can't be one: letters only, too short, too long, unknown country code.
    pub fn parse(text: &str) -> Result<Self, NotAPhoneNumber> {
        Self::parse_in(text, Country::US)
    }

    /// Like [`E164::parse`], with another country for numbers that name none.
    ///
    /// # Errors
    /// [`NotAPhoneNumber`], as for [`E164::parse`].
    pub fn parse_in(text: &str, country: Country) -> Result<Self, NotAPhoneNumber> {
        let text = text.trim();
        if is_plain_nanp(text) {
            return Ok(Self(text.to_owned()));
        }
        let mut read = digits(text, country)?;
        // What was read may hold a prefix that is no part of the number (+55 0 …), and would read as another one next time.
        for _ in 0..3 {
            let again = if is_plain_nanp(&read) { read.clone() } else { digits(&read, country)? };
            if again == read {
                return Ok(Self(read));
            }
            read = again;
        }
        Err(NotAPhoneNumber)
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The country the number belongs to, where its digits tell.
    #[must_use]
    pub fn country(&self) -> Option<Country> {
        let number = PHONE_NUMBER_UTIL.parse(&self.0, None).ok()?;
        let region = PHONE_NUMBER_UTIL.get_region_for_number(&number);
        region
            .or_else(|| PHONE_NUMBER_UTIL.get_region_for_country_code(number.country_code))
            .and_then(Country::from_region)
    }

    /// Whether it may be a number of this country: one of a range that is not known yet may be of any with its calling code.
    #[must_use]
    pub fn may_be_of(&self, country: Country) -> bool {
        let Ok(number) = PHONE_NUMBER_UTIL.parse(&self.0, None) else { return false };
        match PHONE_NUMBER_UTIL.get_region_for_number(&number) {
            Some(region) => Country::from_region(region) == Some(country),
            None => PHONE_NUMBER_UTIL.get_country_code_for_region(country.region()) == Some(number.country_code),
        }
    }

    /// The three digits behind `+1`, for numbers of the North American plan.
    #[must_use]
    pub fn area_code(&self) -> Option<&str> {
        (self.0.len() == 12).then(|| self.0.strip_prefix("+1")).flatten().and_then(|rest| rest.get(..3))
    }

    #[must_use]
    pub fn line_type(&self) -> LineType {
        let Ok(number) = PHONE_NUMBER_UTIL.parse(&self.0, None) else { return LineType::Unknown };
        match PHONE_NUMBER_UTIL.get_number_type(&number) {
            PhoneNumberType::FixedLine => LineType::Landline,
            PhoneNumberType::Mobile => LineType::Mobile,
            PhoneNumberType::FixedLineOrMobile => LineType::FixedLineOrMobile,
            PhoneNumberType::TollFree => LineType::TollFree,
            PhoneNumberType::PremiumRate => LineType::Premium,
            PhoneNumberType::VoIP => LineType::Voip,
            PhoneNumberType::PersonalNumber => LineType::Personal,
            _ => LineType::Unknown,
        }
    }
}

/// As E.164, whether or not it reads the same again.
fn digits(text: &str, country: Country) -> Result<String, NotAPhoneNumber> {
    if text.len() > 40 || !text.chars().all(is_dialable) || text.rfind('+').is_some_and(|last| last > 0) {
        return Err(NotAPhoneNumber);
    }
    let number = PHONE_NUMBER_UTIL.parse(text, Some(country.region())).map_err(|_| NotAPhoneNumber)?;
    if !PHONE_NUMBER_UTIL.is_possible_number(&number) {
        return Err(NotAPhoneNumber);
    }
    let text = PHONE_NUMBER_UTIL.format(&number, PhoneNumberFormat::E164);
    // The metadata of some countries (+49) calls longer ones possible.
    if text.len() > "+".len() + MOST_DIGITS {
        return Err(NotAPhoneNumber);
    }
    Ok(text.into_owned())
}

fn is_plain_nanp(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() == 12 && text.starts_with("+1") && bytes[2] >= b'2' && bytes[2..].iter().all(u8::is_ascii_digit)
}

fn is_dialable(c: char) -> bool {
    c.is_ascii_digit() || matches!(c, '+' | '-' | '(' | ')' | '.' | ' ' | '/' | '\u{a0}')
}

impl fmt::Display for E164 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Personal data: shows the country code's neighbourhood and the last two digits only.
impl fmt::Debug for E164 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (head, tail) = (self.0.get(..5).unwrap_or("+"), self.0.get(self.0.len().saturating_sub(2)..).unwrap_or(""));
        write!(f, "{head}…{tail}")
    }
}

impl serde::Serialize for E164 {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&self.0)
    }
}

impl<'de> serde::Deserialize<'de> for E164 {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(d)?).map_err(serde::de::Error::custom)
    }
}

/// What kind of line a number is on, as far as its digits tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LineType {
    Mobile,
    Landline,
    FixedLineOrMobile,
    TollFree,
    Premium,
    Voip,
    Personal,
    Unknown,
}

/// A country by its ISO 3166-1 alpha-2 code.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Country([u8; 2]);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be an ISO 3166-1 alpha-2 country code such as US")]
pub struct NotACountry;

impl Country {
    pub const US: Self = Self(*b"US");
    pub const CA: Self = Self(*b"CA");

    /// # Errors
    /// [`NotACountry`] unless it is the upper-case code of a country with telephone numbers of its own.
    pub fn parse(text: &str) -> Result<Self, NotACountry> {
        let [a @ b'A'..=b'Z', b @ b'A'..=b'Z'] = *text.as_bytes() else { return Err(NotACountry) };
        let region = Region::from_code(text).map_err(|_| NotACountry)?;
        PHONE_NUMBER_UTIL.get_country_code_for_region(region).map(|_| Self([a, b])).ok_or(NotACountry)
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or("US")
    }

    fn region(self) -> Region {
        Region::from_code(self.as_str()).unwrap_or(Region::US)
    }

    fn from_region(region: Region) -> Option<Self> {
        Self::parse(&region.as_region_str()).ok()
    }
}

impl fmt::Debug for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Country {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl serde::Serialize for Country {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.as_str())
    }
}

/// What a message may be addressed to (contract, `POST /v1/messages`: `to_number`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    Phone(E164),
    /// Three to six digits, as carriers lend them to companies.
    ShortCode(String),
    /// An iMessage address.
    Email(String),
    Group(GroupId),
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be a phone number (best in E.164 such as +14155550100), a short code, an email address or a group id")]
pub struct NotADestination;

impl Destination {
    /// # Errors
    /// [`NotADestination`] when it is none of the four kinds.
    pub fn parse(text: &str) -> Result<Self, NotADestination> {
        let text = text.trim();
        if text.starts_with(GroupId::PREFIX) {
            return GroupId::parse(text).map(Self::Group).map_err(|_| NotADestination);
        }
        if (3..=6).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit()) {
            return Ok(Self::ShortCode(text.to_owned()));
        }
        // However it is written: it must be told from a typing error.
        if let Some(line) = service_line(text) {
            return Ok(Self::ShortCode(line));
        }
        if is_email(text) {
            return Ok(Self::Email(text.to_ascii_lowercase()));
        }
        E164::parse(text).map(Self::Phone).map_err(|_| NotADestination)
    }
}

/// The digits of a service line that was written with a + or with blanks and the like between.
fn service_line(text: &str) -> Option<String> {
    if text.len() > 40 || !text.chars().all(is_dialable) {
        return None;
    }
    let line: String = text.chars().filter(|c| c.is_ascii_digit() || *c == '+').collect();
    (line.len() <= 7 && destinations::is_service_line(&line)).then_some(line)
}

/// Whether a text has the shape of an email address.
#[must_use]
pub fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    let sane = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_graphic() && b != b'@');
    text.len() <= 254
        && sane(local)
        && sane(domain)
        && domain.contains('.')
        && !domain.starts_with('[')
        && !domain.starts_with('.')
        && !domain.ends_with('.')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn usual_spellings_become_e164() {
        for text in ["+14155550100", "(415) 555-0100", "415.555.0100", "1 415 555 0100", "  +1 415-555-0100 "] {
            assert_eq!(E164::parse(text).map(|n| n.to_string()), Ok("+14155550100".to_owned()), "{text}");
        }
        assert_eq!(E164::parse("+44 20 7946 0000").map(|n| n.to_string()), Ok("+442079460000".to_owned()));
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in [
            "",
            "+",
            "abc",
            "+1415",
            "+999123456789",
            "+1415555010000000",
            "++14155550100",
            "+1+4155550100",
            "call me",
            "+1 415 555 0100 ext 5",
            "١٢٣٤٥٦٧٨٩٠",
        ] {
            assert_eq!(E164::parse(text), Err(NotAPhoneNumber), "{text}");
        }
    }

    #[test]
    fn a_number_knows_its_country_and_area() {
        let toronto = E164::parse("+14165550100").expect("parses");
        assert_eq!((toronto.country(), toronto.area_code()), (Some(Country::CA), Some("416")));
        let london = E164::parse("+442079460000").expect("parses");
        assert_eq!((london.country().map(|c| c.to_string()), london.area_code()), (Some("GB".to_owned()), None));
    }

    #[test]
    fn debug_does_not_show_the_whole_number() {
        let number = E164::parse("+14155550100").expect("parses");
        assert_eq!(format!("{number:?}"), "+1415…00");
    }

    #[test]
    fn countries_are_iso_codes() {
        assert!(Country::parse("US").is_ok() && Country::parse("DE").is_ok());
        for text in ["us", "XX", "USA", "", "1A", "ZZ"] {
            assert_eq!(Country::parse(text), Err(NotACountry), "{text}");
        }
    }

    #[test]
    fn destinations_are_of_four_kinds() {
        assert!(matches!(Destination::parse("+14155550100"), Ok(Destination::Phone(_))));
        assert!(matches!(Destination::parse("72345"), Ok(Destination::ShortCode(_))));
        assert!(matches!(Destination::parse("Ada@Example.org"), Ok(Destination::Email(e)) if e == "ada@example.org"));
        for line in ["9 1 1", "+911", "+1 911", "+1-911", "(911)"] {
            assert!(matches!(Destination::parse(line), Ok(Destination::ShortCode(_))), "{line}");
        }
        for nothing in ["++14155550100", "+72345", "7 23 45"] {
            assert!(Destination::parse(nothing).is_err(), "{nothing}");
        }
        assert!(Destination::parse("grp_nothing").is_err());
        assert!(Destination::parse("@").is_err());
    }

    proptest! {
        #[test]
        fn parsing_never_panics_and_settles(text in "\\PC{0,30}") {
            if let Ok(number) = E164::parse(&text) {
                prop_assert_eq!(E164::parse(number.as_str()), Ok(number));
            }
        }
    }
}
