//! The three layers of the configuration. In: the embedded default file, the operator's file, the environment.
//! Out: one value per key with its origin. Never here: what a value means (`sections.rs`).

use std::collections::BTreeMap;

use secrecy::SecretString;
use toml::{Table, Value};

use super::errors::{ConfigError, Origin};

/// The default file: it defines which keys exist, and of which type.
pub(super) const DEFAULT_FILE: &str = include_str!("../../config.default.toml");

/// The keys of one carrier: those of all, and those of each kind.
pub(super) const CARRIER_FILE: &str = include_str!("../../config.carrier.toml");

/// Short names, for what nearly everybody sets.
const SHORT_NAMES: [(&str, &str); 5] = [
    ("OFFHOOK_LISTEN", "server.listen"),
    ("OFFHOOK_DATA", "storage.data_dir"),
    ("DATABASE_URL", "storage.database_url"),
    ("OFFHOOK_BOOTSTRAP_KEY", "keys.bootstrap_key"),
    ("OFFHOOK_SECRET_KEY", "keys.secret_key"),
];

/// Names the operator's file.
const FILE_VARIABLE: &str = "OFFHOOK_CONFIG";

/// A value that no rule has been applied to yet.
pub(super) struct Setting {
    pub value: Value,
    pub origin: Origin,
}

/// One setting for every key there is.
pub(super) struct Layers {
    pub settings: BTreeMap<String, Setting>,
    /// What is named by the settings that name a secret, or why it is not to be had.
    pub secrets: BTreeMap<String, Result<SecretString, String>>,
    pub errors: Vec<ConfigError>,
}

impl Layers {
    /// Lays the environment over the file over the defaults. A layer that can't be read becomes errors, and the others
    /// still count, so that one start shows everything that is wrong.
    pub fn collect(env: &dyn Fn(&str) -> Option<String>) -> Self {
        let mut layers = Self { settings: BTreeMap::new(), secrets: BTreeMap::new(), errors: Vec::new() };
        layers.add_defaults();
        if let Some(path) = set(env, FILE_VARIABLE) {
            match std::fs::read_to_string(&path) {
                Ok(text) => layers.add_file(&path, &text),
                Err(error) => {
                    layers.error(FILE_VARIABLE, None, format!("names a file that can't be read, {path}: {error}"))
                }
            }
        }
        layers.add_environment(env);
        layers.fetch_secrets(env);
        layers
    }

    /// Refuses `OFFHOOK…` variables that set nothing, among `names`.
    pub fn refuse_unknown_variables(&mut self, names: impl Iterator<Item = String>) {
        for name in names.filter(|name| name.starts_with("OFFHOOK__")) {
            let known: Vec<String> = self.settings.keys().map(|key| variable(key)).collect();
            if !known.contains(&name) {
                let hint = did_you_mean(&name, known.iter());
                self.error(&name, None, format!("sets no key that exists{hint}"));
            }
        }
    }

    fn add_defaults(&mut self) {
        match DEFAULT_FILE.parse::<Table>() {
            Ok(table) => {
                for (key, value) in flatten(table) {
                    self.settings.insert(key, Setting { value, origin: Origin::Default });
                }
            }
            Err(error) => self.error("config.default.toml", None, format!("is not TOML: {error}")),
        }
    }

    fn add_file(&mut self, path: &str, text: &str) {
        let table = match text.parse::<Table>() {
            Ok(table) => table,
            Err(error) => {
                return self.error(path, None, format!("is not TOML: {}", error.to_string().trim_end()));
            }
        };
        self.add_carriers(&table);
        for (key, value) in flatten(table) {
            let origin = Origin::File(path.to_owned());
            match self.settings.get_mut(&key) {
                Some(setting) => *setting = Setting { value, origin },
                None => {
                    let rule = self.why_unknown(&key);
                    self.error(&key, Some(origin), rule);
                }
            }
        }
    }

    /// Every carrier of the file has the keys of its kind.
    fn add_carriers(&mut self, file: &Table) {
        let Some(carriers) = file.get("carriers").and_then(Value::as_table) else { return };
        let Ok(keys) = CARRIER_FILE.parse::<Table>() else {
            return self.error("config.carrier.toml", None, "is not TOML".to_owned());
        };
        for (name, carrier) in carriers.iter().filter_map(|(name, value)| Some((name, value.as_table()?))) {
            let kind = carrier.get("kind").and_then(Value::as_str).unwrap_or_default();
            for part in ["all", kind].into_iter().filter_map(|part| keys.get(part)?.as_table()) {
                for (key, value) in part {
                    let setting = Setting { value: value.clone(), origin: Origin::Default };
                    self.settings.insert(format!("carriers.{name}.{key}"), setting);
                }
            }
        }
    }

    fn fetch_secrets(&mut self, env: &dyn Fn(&str) -> Option<String>) {
        for (key, setting) in self.settings.iter().filter(|(key, _)| may_name_a_secret(key)) {
            let Some(text) = setting.value.as_str() else { continue };
            let fetched = if let Some(name) = text.strip_prefix("env:") {
                set(env, name).ok_or_else(|| format!("names the variable {name}, which is not set"))
            } else if let Some(path) = text.strip_prefix("file:") {
                match std::fs::read_to_string(path).map(|text| text.trim().to_owned()) {
                    Ok(text) if text.is_empty() => Err(format!("names a file that is empty, {path}")),
                    read => read.map_err(|error| format!("names a file that can't be read, {path}: {error}")),
                }
            } else {
                continue;
            };
            self.secrets.insert(key.clone(), fetched.map(SecretString::from));
        }
    }

    fn add_environment(&mut self, env: &dyn Fn(&str) -> Option<String>) {
        for (key, setting) in &mut self.settings {
            let long = variable(key);
            let short = SHORT_NAMES.iter().find(|(_, short_key)| short_key == key).map(|(name, _)| (*name).to_owned());
            let mut given: Vec<(String, String)> =
                short.into_iter().chain([long]).filter_map(|name| set(env, &name).map(|text| (name, text))).collect();
            if let [(short, a), (long, b)] = given.as_slice()
                && a != b
            {
                let rule = format!("is set twice and differently, by {short} and {long}: keep one of them");
                self.errors.push(ConfigError { key: key.clone(), origin: None, rule });
            }
            if let Some((name, text)) = given.pop() {
                *setting = Setting { value: typed_like(&setting.value, text), origin: Origin::Environment(name) };
            }
        }
    }

    fn why_unknown(&self, key: &str) -> String {
        let section = format!("{key}.");
        if self.settings.keys().any(|known| known.starts_with(&section)) {
            return "is a section and can't be a value".to_owned();
        }
        format!("is no key that exists{}", did_you_mean(key, self.settings.keys()))
    }

    fn error(&mut self, key: &str, origin: Option<Origin>, rule: String) {
        self.errors.push(ConfigError { key: key.to_owned(), origin, rule });
    }
}

/// A variable's text. An empty one counts as absent, since that is how shells and compose files say so.
fn may_name_a_secret(key: &str) -> bool {
    let named = ["media.s3_secret_access_key", "voice.speech.stt_api_key", "voice.speech.tts_api_key"];
    key.starts_with("carriers.") || named.contains(&key)
}

fn set(env: &dyn Fn(&str) -> Option<String>, name: &str) -> Option<String> {
    env(name).filter(|text| !text.is_empty())
}

/// `server.listen` → `OFFHOOK__SERVER__LISTEN`.
fn variable(key: &str) -> String {
    format!("OFFHOOK__{}", key.replace('.', "__").to_uppercase())
}

fn did_you_mean<'a>(key: &str, known: impl Iterator<Item = &'a String>) -> String {
    known
        .map(|candidate| (strsim::normalized_damerau_levenshtein(key, candidate), candidate))
        .filter(|(likeness, _)| *likeness > 0.7)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map_or_else(String::new, |(_, candidate)| format!("; did you mean {candidate}?"))
}

fn flatten(table: Table) -> Vec<(String, Value)> {
    let mut flat = Vec::new();
    for (name, value) in table {
        match value {
            Value::Table(inner) => {
                flat.extend(flatten(inner).into_iter().map(|(key, value)| (format!("{name}.{key}"), value)));
            }
            value => flat.push((name, value)),
        }
    }
    flat
}

/// Reads a variable's text as the type the default has. Text that isn't of that type stays text, and the reader then
/// names the rule it breaks.
fn typed_like(default: &Value, text: String) -> Value {
    match default {
        Value::Integer(_) => text.trim().replace('_', "").parse().map_or(Value::String(text), Value::Integer),
        Value::Boolean(_) => text.trim().parse().map_or(Value::String(text), Value::Boolean),
        Value::Array(_) => list(&text),
        _ => Value::String(text),
    }
}

/// `5,30,300` or `[5, 30, 300]`; items are integers where they look like it.
fn list(text: &str) -> Value {
    let items =
        text.trim().trim_start_matches('[').trim_end_matches(']').split(',').map(|item| item.trim().trim_matches('"'));
    let item = |text: &str| text.parse().map_or_else(|_| Value::String(text.to_owned()), Value::Integer);
    Value::Array(items.filter(|text| !text.is_empty()).map(item).collect())
}
