//! What an API key may do.

/// One of the things that a key may be made for. `Admin` is all of them, and what concerns the account itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyScope {
    Read,
    Messages,
    Calls,
    Numbers,
    Admin,
}

impl KeyScope {
    pub const ALL: [Self; 5] = [Self::Read, Self::Messages, Self::Calls, Self::Numbers, Self::Admin];
    pub const TEXTS: &'static [&'static str] = &["read", "messages", "calls", "numbers", "admin"];

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == text)
    }

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Messages => "messages",
            Self::Calls => "calls",
            Self::Numbers => "numbers",
            Self::Admin => "admin",
        }
    }
}

/// A set of scopes, of which at least one is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyScopes(u8);

impl KeyScopes {
    /// All that there is.
    pub const ALL: Self = Self(0b1_1111);

    /// `None` where there is none of them.
    #[must_use]
    pub fn of(scopes: &[KeyScope]) -> Option<Self> {
        let bits = scopes.iter().fold(0, |bits, scope| bits | bit(*scope));
        (bits != 0).then_some(Self(bits))
    }

    /// Words with commas between them, such as `read,messages`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let scopes: Option<Vec<KeyScope>> = text.split(',').map(|word| KeyScope::parse(word.trim())).collect();
        Self::of(&scopes?)
    }

    /// Whether a key with these may do what needs `wanted`. Each scope stands for itself, so that a key that sends can't
    /// read; only `Admin` holds the others.
    #[must_use]
    pub fn allow(self, wanted: KeyScope) -> bool {
        self.0 & (bit(wanted) | bit(KeyScope::Admin)) != 0
    }

    /// The scopes one by one.
    pub fn iter(self) -> impl Iterator<Item = KeyScope> {
        KeyScope::ALL.into_iter().filter(move |scope| self.0 & bit(*scope) != 0)
    }

    /// As [`KeyScopes::parse`] reads it.
    #[must_use]
    pub fn to_text(self) -> String {
        self.iter().map(KeyScope::as_str).collect::<Vec<_>>().join(",")
    }
}

const fn bit(scope: KeyScope) -> u8 {
    1 << scope as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_written_and_read_again() {
        for bits in 1..=KeyScopes::ALL.0 {
            let scopes = KeyScopes(bits);
            assert_eq!(KeyScopes::parse(&scopes.to_text()), Some(scopes));
        }
        assert_eq!(KeyScopes::parse(" read, messages").map(KeyScopes::to_text).as_deref(), Some("read,messages"));
        assert_eq!((KeyScopes::parse(""), KeyScopes::parse("read,all")), (None, None));
    }

    #[test]
    fn each_scope_is_for_itself_and_admin_for_all() {
        for held in KeyScope::ALL {
            let scopes = KeyScopes::of(&[held]).unwrap();
            for wanted in KeyScope::ALL {
                assert_eq!(scopes.allow(wanted), held == wanted || held == KeyScope::Admin, "{held:?} {wanted:?}");
            }
        }
    }
}
