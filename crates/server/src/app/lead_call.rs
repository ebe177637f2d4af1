//! How a call is led: what its agent wants, and what this one call has otherwise.
//!
//! In: an agent's profile and the options of `POST /v1/calls`. Out: the plan that `voice::run_call` follows. Never here: who
//! is called, and over what.

use std::collections::BTreeMap;
use std::time::Duration;

use offhook_domain::CallId;
use offhook_domain::agent::{AgentProfile, SttMode};
use offhook_voice::host::{Plan, Wishes};
use offhook_voice::turn::taking::Manners;
use serde::{Deserialize, Serialize};

use super::place_call::may_be_handed_to;
use super::{App, recordings};

/// What one call has otherwise than its agent. Kept with the call, as JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CallOptions {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub initial_greeting: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub voice: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub variables: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub disable_recording: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call_screening_identity: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call_screening_purpose: Option<String>,
}

impl CallOptions {
    /// What is kept of them; `None` where there are none.
    #[must_use]
    pub fn kept(&self) -> Option<String> {
        (*self != Self::default()).then(|| serde_json::to_string(self).unwrap_or_default())
    }

    /// Options as they were kept. What can't be read any more is as if nothing had been asked for.
    #[must_use]
    pub fn read(kept: Option<&str>) -> Self {
        kept.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
    }
}

/// The plan of one call. `records` is whether its account has its calls recorded.
#[must_use]
pub fn plan(app: &App, call: &CallId, profile: &AgentProfile, options: &CallOptions, records: bool) -> Plan {
    let filled = |text: &str| filled(text, &options.variables);
    let greeting = options.initial_greeting.as_deref().or(profile.begin_message.as_deref());
    let identity = options.call_screening_identity.as_ref().or(profile.call_screening_identity.as_ref());
    let purpose = options.call_screening_purpose.as_ref().or(profile.call_screening_purpose.as_ref());
    let most = Duration::from_secs(60) * app.config.limits.max_call_duration_minutes;
    let recorded = records && !options.disable_recording;
    Plan {
        call: call.clone(),
        manners: Manners {
            interruption_sensitivity: profile.interruption_sensitivity,
            longest_silence: Duration::from_millis(profile.max_silence_ms.unsigned_abs()),
            apology: app.config.voice.apology.clone(),
        },
        greeting: greeting.map(filled).filter(|text| !text.trim().is_empty()),
        wishes: Wishes {
            language: profile.language.clone(),
            voice: options.voice.clone().or_else(|| profile.voice.clone()),
            speed: profile.voice_speed,
            accurate: profile.stt_mode == SttMode::Accurate,
        },
        transfer_to: profile.transfer_number.clone().filter(|to| may_be_handed_to(app, to)),
        longest: app.config.voice.longest_call.min(most),
        ring_for: app.config.voice.ring_for,
        recording: recorded.then(|| recordings::file_of(app, call)),
        voicemail_message: profile.voicemail_message.as_deref().map(filled),
        screening: identity.map(|identity| (identity.clone(), purpose.cloned().unwrap_or_default())),
    }
}

/// A text with its `{{names}}` replaced; what has no value stays as it stands.
fn filled(text: &str, variables: &BTreeMap<String, String>) -> String {
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some((before, behind)) = rest.split_once("{{") {
        out.push_str(before);
        match behind.split_once("}}").map(|(name, after)| (variables.get(name.trim()), after)) {
            Some((Some(value), after)) => {
                out.push_str(value);
                rest = after;
            }
            _ => {
                out.push_str("{{");
                rest = behind;
            }
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_replaced_once_and_what_has_no_value_stays() {
        let variables =
            BTreeMap::from([("name".to_owned(), "Ada {{order}}".to_owned()), ("order".to_owned(), "17".to_owned())]);
        let text = "Hi {{name}}, {{ order }} is {{unknown}} {{";
        assert_eq!(filled(text, &variables), "Hi Ada {{order}}, 17 is {{unknown}} {{");
    }

    #[test]
    fn options_are_kept_only_where_there_are_some() {
        assert_eq!(CallOptions::default().kept(), None);
        let options = CallOptions { disable_recording: true, ..CallOptions::default() };
        assert_eq!(CallOptions::read(options.kept().as_deref()), options);
        assert_eq!(CallOptions::read(Some("garbage")), CallOptions::default());
    }
}
