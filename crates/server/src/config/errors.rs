//! What is wrong with a configuration. In: findings of the layers and the reader. Out: one text naming every bad key.
//! Never here: the value of a secret.

use std::fmt;

/// Everything that is wrong with the configuration, not only the first thing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ConfigErrors(Vec<ConfigError>);

/// One key and the rule that its value breaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// `section.key`, or the name of the variable or file that can't be read at all.
    pub key: String,
    /// Where the value was set; absent when the key names the place itself.
    pub origin: Option<Origin>,
    /// What a good value is, and what came instead.
    pub rule: String,
}

/// Where a value was set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The embedded `config.default.toml`.
    Default,
    /// The operator's file.
    File(String),
    /// An environment variable, by name.
    Environment(String),
}

impl ConfigErrors {
    /// `Ok` when nothing was found.
    pub(super) fn check(found: Vec<ConfigError>) -> Result<(), Self> {
        if found.is_empty() { Ok(()) } else { Err(Self(found)) }
    }

    /// The single errors, in the order in which they were found.
    pub fn iter(&self) -> impl Iterator<Item = &ConfigError> {
        self.0.iter()
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the configuration can't be used:")?;
        for error in &self.0 {
            write!(f, "\n  {error}")?;
        }
        Ok(())
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Some(origin) => write!(f, "{} {} (set in {origin})", self.key, self.rule),
            None => write!(f, "{} {}", self.key, self.rule),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("the built-in defaults"),
            Self::File(path) => f.write_str(path),
            Self::Environment(name) => f.write_str(name),
        }
    }
}
