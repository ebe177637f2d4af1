//! Reads typed values out of the merged settings. In: one untyped value per key. Out: checked values, and an error for
//! each that breaks its rule. Never here: which keys there are (`sections.rs`).

use std::ops::RangeInclusive;
use std::time::Duration;

use ipnet::IpNet;
use secrecy::SecretString;
use toml::Value;

use super::errors::ConfigError;
use super::layers::Layers;

/// A value that breaks its rule is noted and replaced by something harmless, so that reading goes on to the next one;
/// what was read is used only when nothing was noted.
pub(super) struct Reader {
    layers: Layers,
}

impl Reader {
    pub fn new(layers: Layers) -> Self {
        Self { layers }
    }

    /// All that was found wrong: in the layers first, then in the values.
    pub fn into_errors(self) -> Vec<ConfigError> {
        self.layers.errors
    }

    pub fn boolean(&mut self, key: &str) -> bool {
        match self.value(key) {
            Some(Value::Boolean(value)) => value,
            other => self.refuse(key, "must be true or false", other.as_ref()),
        }
    }

    pub fn integer(&mut self, key: &str, range: RangeInclusive<u32>) -> u32 {
        let rule = format!("must be a whole number from {} to {}", range.start(), range.end());
        let value = self.value(key);
        match value.as_ref().and_then(Value::as_integer).and_then(|value| u32::try_from(value).ok()) {
            Some(number) if range.contains(&number) => number,
            _ => self.refuse(key, &rule, value.as_ref()),
        }
    }

    /// Like `integer`, for numbers of things held in memory.
    pub fn count(&mut self, key: &str, range: RangeInclusive<u32>) -> usize {
        self.integer(key, range) as usize
    }

    pub fn seconds(&mut self, key: &str, range: RangeInclusive<u32>) -> Duration {
        Duration::from_secs(self.integer(key, range).into())
    }

    /// Micro-dollars, at most $1000.
    pub fn micros(&mut self, key: &str) -> i64 {
        self.integer(key, 0..=1_000_000_000).into()
    }

    /// A number from 0 to `most` with up to three decimals, in thousandths.
    pub fn thousandths(&mut self, key: &str, most: u32) -> i64 {
        let rule = format!("must be a number from 0 to {most} with at most three decimals");
        let value = self.value(key);
        let number = match &value {
            Some(Value::Integer(whole)) => Some(*whole as f64),
            Some(Value::Float(number)) => Some(*number),
            _ => None,
        };
        let thousandths =
            number.filter(|number| (0.0..=f64::from(most)).contains(number)).map(|number| number * 1000.0);
        match thousandths.filter(|exact| (exact - exact.round()).abs() < 1e-6) {
            Some(exact) => exact.round() as i64,
            None => self.refuse(key, &rule, value.as_ref()),
        }
    }

    /// A list of networks.
    pub fn networks(&mut self, key: &str) -> Vec<IpNet> {
        self.each(key, "must be a list of networks like \"10.1.0.0/16\"", |text| text.parse().ok())
    }

    /// A list of waits in seconds.
    pub fn waits(&mut self, key: &str, count: RangeInclusive<usize>) -> Vec<Duration> {
        let (fewest, most) = (count.start(), count.end());
        let rule = format!("must be a list of {fewest} to {most} waits, each of 1 to 604800 seconds");
        let value = self.value(key);
        let seconds = |item: &Value| item.as_integer().filter(|wait| (1..=604_800).contains(wait));
        let wait = |item: &Value| seconds(item).map(|wait| Duration::from_secs(wait.unsigned_abs()));
        let items = value.as_ref().and_then(Value::as_array);
        match items.and_then(|items| items.iter().map(wait).collect::<Option<Vec<_>>>()) {
            Some(waits) if count.contains(&waits.len()) => waits,
            _ => self.refuse(key, &rule, value.as_ref()),
        }
    }

    /// A list of texts, each parsed; `rule` says what a good one is.
    pub fn each<T>(&mut self, key: &str, rule: &str, parse: impl Fn(&str) -> Option<T>) -> Vec<T> {
        let value = self.value(key);
        let parsed = value
            .as_ref()
            .and_then(Value::as_array)
            .and_then(|items| items.iter().map(|item| item.as_str().and_then(&parse)).collect::<Option<Vec<T>>>());
        parsed.unwrap_or_else(|| self.refuse(key, rule, value.as_ref()))
    }

    /// A text that must be there; `rule` says what a good one is.
    pub fn required<T>(&mut self, key: &str, rule: &str, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
        let value = self.value(key);
        match value.as_ref().and_then(Value::as_str).and_then(parse) {
            Some(parsed) => Some(parsed),
            None => self.refuse(key, rule, value.as_ref()),
        }
    }

    /// A text that may be `""` for "not set".
    pub fn optional<T>(&mut self, key: &str, rule: &str, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
        match self.value(key) {
            Some(Value::String(text)) if text.is_empty() => None,
            _ => self.required(key, rule, parse),
        }
    }

    /// Like `optional`, for what must not be seen: the error doesn't repeat the value.
    pub fn secret<T>(&mut self, key: &str, rule: &str, parse: impl Fn(SecretString) -> Option<T>) -> Option<T> {
        match self.value(key) {
            Some(Value::String(text)) if text.is_empty() => None,
            Some(Value::String(text)) => match parse(SecretString::from(text)) {
                Some(parsed) => Some(parsed),
                None => self.refuse(key, rule, None),
            },
            _ => self.refuse(key, rule, None),
        }
    }

    /// A secret that the value names: `env:VARIABLE` or `file:/path`. It must be there.
    pub fn referenced(&mut self, key: &str) -> Option<SecretString> {
        match self.layers.secrets.remove(key) {
            Some(Ok(secret)) => Some(secret),
            Some(Err(rule)) => self.refuse(key, &rule, None),
            // It may be the secret itself, so it is not repeated.
            None => self.refuse(key, "must say where the secret is: \"env:NAME\" or \"file:/path\"", None),
        }
    }

    /// Like `referenced`, or `""` for "not set".
    pub fn referenced_or_none(&mut self, key: &str) -> Option<SecretString> {
        match self.value(key) {
            Some(Value::String(text)) if text.is_empty() => None,
            _ => self.referenced(key),
        }
    }

    /// The names of the carriers, in the order of their names.
    pub fn carriers(&self) -> Vec<String> {
        let kinds = self.layers.settings.keys().filter_map(|key| key.strip_prefix("carriers.")?.strip_suffix(".kind"));
        kinds.map(str::to_owned).collect()
    }

    /// Notes that a value is bad and hands back a harmless one.
    pub fn refuse<T: Default>(&mut self, key: &str, rule: &str, found: Option<&Value>) -> T {
        let origin = self.layers.settings.get(key).map(|setting| setting.origin.clone());
        let rule = found.map_or_else(|| rule.to_owned(), |found| format!("{rule}, but is {found}"));
        self.layers.errors.push(ConfigError { key: key.to_owned(), origin, rule });
        T::default()
    }

    fn value(&self, key: &str) -> Option<Value> {
        self.layers.settings.get(key).map(|setting| setting.value.clone())
    }
}
