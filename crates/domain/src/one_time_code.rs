//! The text that brings a one-time code, and how it looks to whoever must not read the code.

const BEHIND: &str =
    " is your verification code. It can be used for 10 minutes. Give it to nobody who calls or writes to you.";
const DIGITS: usize = 6;
const MASKED: &str = "••••••";

/// The text for a code.
#[must_use]
pub fn text(code: &str) -> String {
    format!("{code}{BEHIND}")
}

/// The text with its code masked, where it is one that brings a code; any other as it is. A code is for its receiver
/// only: whoever reads the sender's messages must not be able to pass for him.
#[must_use]
pub fn masked(body: String) -> String {
    match body.strip_suffix(BEHIND) {
        Some(code) if code.len() == DIGITS && code.bytes().all(|b| b.is_ascii_digit()) => text(MASKED),
        _ => body,
    }
}

/// As [`masked`], of a preview that may have lost its end.
#[must_use]
pub fn masked_preview(preview: String) -> String {
    let Some((code, rest)) = preview.split_at_checked(DIGITS) else { return preview };
    let is_ours = code.bytes().all(|b| b.is_ascii_digit()) && rest.starts_with(" is your verification code.");
    if is_ours { format!("{MASKED}{rest}") } else { preview }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_masked_and_nothing_else_is() {
        assert!(masked(text("012345")).starts_with("•••••• is your"));
        for other in ["012345", "hello", "", "ünïcödé", "01234 is your verification code."] {
            assert_eq!(masked(other.to_owned()), other);
            assert_eq!(masked_preview(other.to_owned()), other);
        }
        assert_eq!(masked_preview(text("012345")[..39].to_owned()), "•••••• is your verification code. It ca");
    }

    #[test]
    fn it_is_one_segment() {
        assert_eq!(crate::segments::count(&text("012345")).count, 1);
    }
}
