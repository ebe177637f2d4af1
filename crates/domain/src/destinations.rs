//! Where no text may go: help in need, and what is dear.
//!
//! In: a destination's digits. Out: whether it is a line that agents must never text. Never here: what an operator blocks.

/// Numbers of emergency and crisis services that are not also a country's own word for something else, so that they are
/// refused from everywhere.
const EVERYWHERE: &[&str] = &[
    "000", "100", "101", "102", "103", "104", "108", "110", "111", "112", "113", "114", "115", "116", "117", "118",
    "119", "120", "122", "123", "127", "128", "129", "130", "131", "132", "133", "144", "150", "155", "158", "160",
    "166", "190", "191", "192", "193", "194", "195", "196", "197", "198", "199", "911", "912", "977", "988", "990",
    "991", "992", "993", "994", "995", "996", "997", "998", "999", "933", "1122", "1717", "15", "17", "18",
    // Help lines for children and people in crisis, of the European plan and of the United States.
    "116000", "116006", "116111", "116117", "116123", "741741",
];

/// What is looked for behind digits that are dialled first, such as a 9 for an outside line.
const EMERGENCY: &[&str] = &["911", "112", "999", "988"];
/// Codes of companies are no longer.
const LONGEST_CODE: usize = 6;

/// Emergency numbers of countries, behind their country code: somebody may write +49 110.
const BEHIND_COUNTRY_CODE: &[(&str, &[&str])] = &[
    // And the long number of the crisis line.
    ("1", &["911", "988", "8002738255"]),
    ("33", &["15", "17", "18", "112", "114", "115", "119"]),
    ("34", &["112", "061", "062", "091"]),
    ("39", &["112", "113", "115", "118"]),
    ("44", &["999", "112", "111", "101"]),
    ("49", &["110", "112"]),
    ("52", &["911"]),
    ("55", &["190", "192", "193"]),
    ("61", &["000", "106", "112"]),
    ("64", &["111"]),
    ("81", &["110", "118", "119"]),
    ("86", &["110", "119", "120", "122"]),
    ("91", &["100", "101", "102", "108", "112"]),
];

/// Whether a code or a number in E.164 is an emergency, service or crisis line: also one that has more digits behind it
/// where no subscriber's number begins so, such as +1 911.
#[must_use]
pub fn is_service_line(destination: &str) -> bool {
    match destination.strip_prefix('+') {
        None => is_service_code(destination),
        Some(digits) => {
            let national = digits.strip_prefix('1').and_then(|rest| rest.get(..3));
            digits.len() <= LONGEST_CODE && is_service_code(digits)
                || national.is_some_and(|area| is_n11(area) || area == "988")
                || BEHIND_COUNTRY_CODE
                    .iter()
                    .any(|(code, lines)| digits.strip_prefix(code).is_some_and(|rest| lines.contains(&rest)))
        }
    }
}

/// A code without a country: no company's begins with 0 or 1, and digits dialled first, or twice, hide none of the lines
/// that are never texted.
fn is_service_code(code: &str) -> bool {
    code.starts_with(['0', '1']) || is_n11(code) || EVERYWHERE.contains(&code) || calls_for_help(code)
}

/// Whether what somebody dials on a telephone system of their own calls for help in need. Other short codes are its extensions.
#[must_use]
pub fn calls_for_help(dialled: &str) -> bool {
    EMERGENCY.iter().any(|line| dialled.strip_suffix(line).is_some_and(is_dialled_first))
}

fn is_dialled_first(before: &str) -> bool {
    before.bytes().all(|digit| matches!(digit, b'0' | b'1' | b'9'))
}

/// The N11 codes of the North American plan.
fn is_n11(code: &str) -> bool {
    code.len() == 3 && code.ends_with("11") && !code.starts_with(['0', '1'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_extension_is_no_call_for_help() {
        for extension in ["100", "119", "200", "1001", "0", "4711"] {
            assert!(!calls_for_help(extension), "{extension}");
        }
        for help in ["911", "9911", "112", "0112", "999", "988"] {
            assert!(calls_for_help(help), "{help}");
        }
    }

    #[test]
    fn help_in_need_is_known_in_every_spelling() {
        for line in [
            "911",
            "112",
            "999",
            "000",
            "110",
            "988",
            "211",
            "411",
            "811",
            "741741",
            "+1911",
            "+19115550100",
            "+49110",
            "+44999",
            "00911",
            "0911",
            "1911",
            "9911",
            "911911",
            "00112",
            "0112",
            "00999",
            "000911",
            "+911",
            "+112",
        ] {
            assert!(is_service_line(line), "{line}");
        }
    }

    #[test]
    fn people_and_companies_are_no_service_lines() {
        for line in [
            "72345",
            "91100",
            "98811",
            "29911",
            "+14155550100",
            "+4930110110",
            "+442079460000",
            "22000",
            "+12115",
            "+33612345678",
        ] {
            assert_eq!(is_service_line(line), line == "+12115", "{line}");
        }
    }
}
