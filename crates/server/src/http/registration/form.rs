//! The form of a registration: its fields, and what they must be together.
//!
//! In: a request's fields. Out: a [`Form`], or every rule that is broken, in one answer. What a PATCH changes is laid over
//! the form that is there, and the whole is judged anew.

use offhook_domain::campaign::RegistrationType as Registered;
use offhook_domain::{Country, E164};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::choices::{
    ContactTitle, Includes, OrganizationType, RegistrationType, UsState, UseCase, Volume, Word, Words,
};
use crate::http::contacts::email::Email;
use crate::http::fields::{Fields, FromField, Problem};
use crate::http::values::{HttpsUrl, List, Number, Text};

/// The fields of a registration as they are kept. None is there that was not sent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
#[schema(as = Registration)]
pub struct Form {
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<RegistrationType>)]
    pub registration_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Text<1, 100>>)]
    pub first_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Text<1, 100>>)]
    pub last_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Email>)]
    pub email: Option<String>,
    /// In any usual format; kept in E.164.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = "phone", example = "+14155550100")]
    pub phone_number: Option<String>,
    /// The legal name. Required but of a sole proprietor.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Text<1, 255>>)]
    pub business_name: Option<String>,
    /// What customers know it by.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Text<1, 255>>)]
    pub brand_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<OrganizationType>)]
    pub organization_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<ContactTitle>)]
    pub contact_title: Option<String>,
    /// Where `contact_title` is `other`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Text<1, 100>>)]
    pub contact_title_other: Option<String>,
    /// Nine digits, such as 12-3456789. Shown again but for its last four.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "12-3456789")]
    pub ein: Option<String>,
    /// An https URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "https://example.com")]
    pub website_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Text<1, 100>>)]
    pub industry: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Text<1, 100>>>, max_items = 20)]
    pub business_regions: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Text<1, 200>>)]
    pub street_address: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Text<0, 200>>)]
    pub street_address_2: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Text<1, 100>>)]
    pub city: Option<String>,
    /// In the US, two letters.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Text<1, 100>>, example = "CA")]
    pub state: Option<String>,
    /// In the US, five digits, or nine.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Text<1, 20>>, example = "94103")]
    pub zip_code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "US")]
    pub country: Option<String>,
    /// One of a sole proprietor, 49 at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Number<1, 49>>)]
    pub planned_numbers: Option<i64>,
    /// What is sent, to whom and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Text<40, 4096>>)]
    pub description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<UseCase>>, min_items = 1, max_items = 5)]
    pub use_cases: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Volume>)]
    pub volume: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Text<20, 1024>>>, min_items = 2, max_items = 5)]
    pub message_samples: Option<Vec<String>>,
    /// How people agree to get messages.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Text<40, 4096>>)]
    pub consent_flow: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub privacy_policy_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub terms_of_service_url: Option<String>,
    /// A picture of where people agree.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opt_in_image_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Includes>>, max_items = 4)]
    pub includes: Option<Vec<String>>,
    /// Where `includes` has links.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub link_sample: Option<String>,
    /// When it is handed in first: whether an account is made for it, whose numbers it is for. `true` unless it is said.
    #[serde(skip_serializing_if = "never_kept")]
    pub create_sub_account: Option<bool>,
}

/// It is no part of what the carriers are told.
#[allow(clippy::ref_option, clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn never_kept(_: &Option<bool>) -> bool {
    true
}

/// What may be changed once a registration is approved: what the carriers don't judge by.
pub const CHANGEABLE: [&str; 6] =
    ["email", "phone_number", "website_url", "privacy_policy_url", "terms_of_service_url", "opt_in_image_url"];

impl Form {
    /// The fields that were sent, each by its own rule.
    pub fn read(fields: &mut Fields) -> Self {
        let form = Self {
            registration_type: word::<RegistrationType>(fields, "registration_type"),
            first_name: text::<1, 100>(fields, "first_name"),
            last_name: text::<1, 100>(fields, "last_name"),
            email: fields.optional::<Email>("email").map(|email| email.0),
            phone_number: fields.optional::<E164>("phone_number").map(|phone| phone.to_string()),
            business_name: text::<1, 255>(fields, "business_name"),
            brand_name: text::<1, 255>(fields, "brand_name"),
            organization_type: word::<OrganizationType>(fields, "organization_type"),
            contact_title: word::<ContactTitle>(fields, "contact_title"),
            contact_title_other: text::<1, 100>(fields, "contact_title_other"),
            ein: fields.optional::<Ein>("ein").map(|ein| ein.0),
            website_url: url(fields, "website_url"),
            industry: text::<1, 100>(fields, "industry"),
            business_regions: texts(fields.optional::<List<Text<1, 100>, 20>>("business_regions")),
            street_address: text::<1, 200>(fields, "street_address"),
            street_address_2: text::<0, 200>(fields, "street_address_2"),
            city: text::<1, 100>(fields, "city"),
            state: text::<1, 100>(fields, "state"),
            zip_code: text::<1, 20>(fields, "zip_code"),
            country: fields.optional::<Country>("country").map(|country| country.to_string()),
            planned_numbers: fields.optional::<Number<1, 49>>("planned_numbers").map(|number| number.0),
            description: text::<40, 4096>(fields, "description"),
            use_cases: words(fields.optional::<List<Word<UseCase>, 5>>("use_cases")),
            volume: word::<Volume>(fields, "volume"),
            message_samples: texts(fields.optional::<List<Text<20, 1024>, 5>>("message_samples")),
            consent_flow: text::<40, 4096>(fields, "consent_flow"),
            privacy_policy_url: url(fields, "privacy_policy_url"),
            terms_of_service_url: url(fields, "terms_of_service_url"),
            opt_in_image_url: url(fields, "opt_in_image_url"),
            includes: words(fields.optional::<List<Word<Includes>, 4>>("includes")),
            link_sample: url(fields, "link_sample"),
            create_sub_account: fields.optional("create_sub_account"),
        };
        if form.use_cases.as_ref().is_some_and(Vec::is_empty) {
            fields.complain("use_cases", Problem::value("must have at least 1 item"));
        }
        if form.message_samples.as_ref().is_some_and(|samples| samples.len() < 2) {
            fields.complain("message_samples", Problem::value("must have at least 2 items"));
        }
        form
    }

    /// What this is registered as, where it says so.
    pub fn registered(&self) -> Option<Registered> {
        self.registration_type.as_deref().and_then(Registered::parse)
    }

    /// What is wrong with the whole: what is missing, and what does not go together.
    pub fn violations(&self) -> Vec<(&'static str, Problem)> {
        let mut found = Vec::new();
        let missing = || Problem { rule: "missing", message: "is required".to_owned() };
        let always = [
            ("registration_type", self.registration_type.is_some()),
            ("first_name", self.first_name.is_some()),
            ("last_name", self.last_name.is_some()),
            ("email", self.email.is_some()),
            ("phone_number", self.phone_number.is_some()),
            ("street_address", self.street_address.is_some()),
            ("city", self.city.is_some()),
            ("state", self.state.is_some()),
            ("zip_code", self.zip_code.is_some()),
            ("description", self.description.is_some()),
            ("use_cases", self.use_cases.is_some()),
            ("message_samples", self.message_samples.is_some()),
            ("consent_flow", self.consent_flow.is_some()),
            ("opt_in_image_url", self.opt_in_image_url.is_some()),
        ];
        let of_brands = [
            ("business_name", self.business_name.is_some()),
            ("organization_type", self.organization_type.is_some()),
            ("contact_title", self.contact_title.is_some()),
            ("ein", self.ein.is_some()),
            ("website_url", self.website_url.is_some()),
            ("industry", self.industry.is_some()),
        ];
        let registered = self.registered();
        let is_brand = matches!(registered, Some(Registered::StandardBrand | Registered::HighVolume));
        let required = always.iter().chain(of_brands.iter().filter(|_| is_brand));
        found.extend(required.filter(|(_, is_there)| !is_there).map(|(name, _)| (*name, missing())));
        let mut say = |name, message: &str| found.push((name, Problem::value(message)));
        if registered == Some(Registered::SoleProprietor) {
            if self.ein.is_some() {
                say("ein", "must not be given for sole_proprietor: with one, register as standard_brand");
            }
            if self.planned_numbers.is_some_and(|planned| planned > 1) {
                say("planned_numbers", "must be 1 for sole_proprietor");
            }
        }
        if is_brand && self.organization_type.as_deref() == Some("sole_proprietor") {
            say("organization_type", "must not be sole_proprietor where registration_type is another");
        }
        if self.volume.as_deref() == Some("high")
            && matches!(registered, Some(type_) if type_ != Registered::HighVolume)
        {
            say("volume", "must be low unless registration_type is high_volume");
        }
        if self.contact_title.as_deref() == Some("other") && self.contact_title_other.is_none() {
            say("contact_title_other", "is required where contact_title is other");
        }
        let includes_links = self.includes.as_ref().is_some_and(|all| all.iter().any(|one| one == "links"));
        if includes_links && self.link_sample.is_none() {
            say("link_sample", "is required where includes has links");
        }
        if self.country.as_deref().is_none_or(|country| country == "US") {
            if self.state.as_deref().is_some_and(|state| !UsState::ALL.contains(&state)) {
                say("state", "must be the two letters of a US state, such as CA");
            }
            if self.zip_code.as_deref().is_some_and(|zip| !is_zip_code(zip)) {
                say("zip_code", "must be five digits, or nine as in 94103-1234");
            }
        }
        found
    }

    /// This form with the fields of another one laid over it.
    pub fn overlaid(&self, changes: &Self) -> Self {
        let mut whole = self.fields();
        whole.extend(changes.fields());
        serde_json::from_value(Value::Object(whole)).unwrap_or_else(|_| self.clone())
    }

    /// The names of the fields that are there.
    pub fn names(&self) -> Vec<String> {
        self.fields().into_iter().map(|(name, _)| name).collect()
    }

    fn fields(&self) -> Map<String, Value> {
        match serde_json::to_value(self) {
            Ok(Value::Object(fields)) => fields,
            _ => Map::new(),
        }
    }

    /// As it is shown: a tax number is not told again.
    pub fn masked(mut self) -> Self {
        self.ein = self.ein.map(|ein| format!("**-***{}", &ein[ein.len().saturating_sub(4)..]));
        self
    }
}

/// Nine digits of the IRS, kept as `12-3456789`.
struct Ein(String);

impl FromField for Ein {
    fn from_field(value: &Value) -> Result<Self, Problem> {
        let text = value.as_str().ok_or_else(|| Problem::wrong_type("a string"))?;
        let digits = match text.split_once('-') {
            Some((two, seven)) if two.len() == 2 && seven.len() == 7 => format!("{two}{seven}"),
            Some(_) => String::new(),
            None => text.to_owned(),
        };
        if digits.len() == 9 && digits.bytes().all(|b| b.is_ascii_digit()) {
            Ok(Self(format!("{}-{}", &digits[..2], &digits[2..])))
        } else {
            Err(Problem::value("must be nine digits such as 12-3456789"))
        }
    }
}

fn is_zip_code(text: &str) -> bool {
    let digits = |part: &str, count| part.len() == count && part.bytes().all(|b| b.is_ascii_digit());
    match text.split_once('-') {
        Some((five, four)) => digits(five, 5) && digits(four, 4),
        None => digits(text, 5),
    }
}

fn text<const MIN: usize, const MAX: usize>(fields: &mut Fields, name: &str) -> Option<String> {
    fields.optional::<Text<MIN, MAX>>(name).map(|text| text.0)
}

fn word<L: Words>(fields: &mut Fields, name: &str) -> Option<String> {
    fields.optional::<Word<L>>(name).map(|word| word.0.to_owned())
}

fn url(fields: &mut Fields, name: &str) -> Option<String> {
    fields.optional::<HttpsUrl>(name).map(|url| url.0)
}

fn texts<const MIN: usize, const MAX: usize, const MOST: usize>(
    list: Option<List<Text<MIN, MAX>, MOST>>,
) -> Option<Vec<String>> {
    list.map(|list| list.0.into_iter().map(|text| text.0).collect())
}

fn words<L, const MOST: usize>(list: Option<List<Word<L>, MOST>>) -> Option<Vec<String>> {
    list.map(|list| list.0.into_iter().map(|word| word.0.to_owned()).collect())
}
