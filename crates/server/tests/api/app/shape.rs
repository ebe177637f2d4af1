//! Bodies for snapshots: what differs from run to run is blanked.

use offhook_domain::Timestamp;
use serde_json::Value;

/// The body with every id as `agt_…` and every time as `(time)`.
pub fn shape(body: &Value) -> Value {
    match body {
        Value::String(text) => Value::String(blanked(text)),
        Value::Array(items) => items.iter().map(shape).collect(),
        Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), shape(value))).collect(),
        other => other.clone(),
    }
}

fn blanked(text: &str) -> String {
    if Timestamp::parse(text).is_ok() {
        assert!(text.ends_with('Z'), "{text} is not in UTC");
        return "(time)".to_owned();
    }
    match text.rsplit_once('_') {
        Some((prefix, rest)) if rest.len() == 26 && prefix.bytes().all(|b| b.is_ascii_lowercase()) => {
            format!("{prefix}_…")
        }
        _ => text.to_owned(),
    }
}
