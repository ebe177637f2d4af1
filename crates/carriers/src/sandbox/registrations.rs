//! Registrations that are decided on by themselves: approved, unless a magic value says otherwise.
//!
//! Documented for users in the guide on registration; change both together.

use offhook_domain::campaign::{CampaignClass, Decision, RegistrationType};

use crate::Registration;

/// What becomes of a registration. `REJECT` in the name rejects it, and so does the tax number of nobody; of one for high
/// volume, `LOW TRUST`, `HIGH TRUST` and `HIGHEST TRUST` tell how far it is trusted.
pub fn decide(registration: &Registration) -> Decision {
    let text = |field: &str| registration.form.get(field).and_then(serde_json::Value::as_str).unwrap_or_default();
    let named = ["business_name", "brand_name", "last_name"].map(text);
    let says = |word: &str| named.iter().any(|name| name.contains(word));
    if says("REJECT") {
        return Decision::Rejected("the sandbox rejects whoever has REJECT in the name".to_owned());
    }
    if text("ein") == "00-0000000" {
        return Decision::Rejected("the IRS knows no business with this tax number".to_owned());
    }
    let trusted = match () {
        () if says("LOW TRUST") => CampaignClass::LowTrust,
        () if says("HIGH TRUST") => CampaignClass::HighTrust,
        () if says("HIGHEST TRUST") => CampaignClass::HighestTrust,
        () => CampaignClass::StandardTrust,
    };
    let registered = registration.registered;
    Decision::Approved(if registered == RegistrationType::HighVolume { trusted } else { registered.class() })
}
