//! Logins of customers' trunks: made here, random, and kept sealed.

use offhook_domain::sip_trunk::SipLogin;
use rand::seq::IndexedRandom as _;

use crate::app::{Sealer, hex};

/// Without those that look alike: somebody types it into a telephone system.
const LETTERS: &[u8] = b"abcdefghjkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
const LENGTH: usize = 28;

/// A password that is shown once.
pub struct Password(String);

impl Password {
    #[must_use]
    pub fn generate() -> Self {
        let mut random = rand::rng();
        Self((0..LENGTH).filter_map(|_| LETTERS.choose(&mut random)).map(|b| char::from(*b)).collect())
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn last4(&self) -> String {
        self.0.get(LENGTH - 4..).unwrap_or_default().to_owned()
    }
}

/// Makes logins.
pub struct Login;

impl Login {
    /// A login of its own name.
    #[must_use]
    pub fn fresh(sealer: &Sealer, password: &Password) -> SipLogin {
        let username = format!("trunk{}", hex(&rand::random::<[u8; 8]>()));
        let nobody = SipLogin { username, sealed_password: String::new(), password_last4: String::new() };
        Self::renewed(sealer, nobody, password)
    }

    /// The same name with another password.
    #[must_use]
    pub fn renewed(sealer: &Sealer, login: SipLogin, password: &Password) -> SipLogin {
        SipLogin { sealed_password: sealer.seal(password.as_str()), password_last4: password.last4(), ..login }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_long_random_and_never_kept_in_the_clear() {
        let (sealer, one, other) = (Sealer::new(&[7; 32]), Password::generate(), Password::generate());
        assert!(one.as_str().len() == LENGTH && one.as_str() != other.as_str());
        let login = Login::fresh(&sealer, &one);
        assert_eq!(sealer.open(&login.sealed_password).as_deref(), Ok(one.as_str()));
        assert!(!format!("{login:?}").contains(&login.password_last4), "{login:?}");
        let renewed = Login::renewed(&sealer, login.clone(), &other);
        assert_eq!(renewed.username, login.username);
        assert_eq!(sealer.open(&renewed.sealed_password).as_deref(), Ok(other.as_str()));
        assert!(other.as_str().ends_with(&renewed.password_last4));
    }
}
