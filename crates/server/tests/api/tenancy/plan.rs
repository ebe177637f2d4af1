//! How each operation of the OpenAPI document is asked for, and where in it things are named.
//!
//! In: the document. Out: a plan for each operation, or what about it is not known. Every name of a parameter or a field is
//! known here: as one that names a thing of an account, or as one that does not.

use axum::http::Method;
use serde_json::{Value, json};

use super::household::{Household, Own};
use crate::app::{Answer, Call};

/// A kind of thing that an account has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Agent,
    Number,
    /// A number by its digits.
    Digits,
    Contact,
    Conversation,
    Message,
    Delivery,
    Key,
    SubAccount,
    OptOut,
    SipTrunk,
    Call,
    Verification,
    /// Words in a list that can be searched.
    Words,
}

impl Kind {
    /// Well formed, and nothing's.
    pub fn nobody(self) -> &'static str {
        match self {
            Self::Agent => "agt_06ck3v0w2e8zg1m8t4q7x5n9ra",
            Self::Number => "num_06ck3v0w2e8zg1m8t4q7x5n9ra",
            Self::Digits => "+14155550042",
            Self::Contact => "contact_06ck3v0w2e8zg1m8t4q7x5n9ra",
            Self::Conversation => "conv_06ck3v0w2e8zg1m8t4q7x5n9ra",
            Self::Message => "msg_06ck3v0w2e8zg1m8t4q7x5n9ra",
            Self::Delivery => "del_06ck3v0w2e8zg1m8t4q7x5n9ra",
            Self::Key => "key_06ck3v0w2e8zg1m8t4q7x5n9ra",
            Self::SubAccount => "acct_06ck3v0w2e8zg1m8t4q7x5n9ra",
            Self::OptOut => "opt_06ck3v0w2e8zg1m8t4q7x5n9ra",
            Self::SipTrunk => "trunk_06ck3v0w2e8zg1m8t4q7x5n9ra",
            Self::Call => "call_06ck3v0w2e8zg1m8t4q7x5n9ra",
            Self::Verification => "ver_06ck3v0w2e8zg1m8t4q7x5n9ra",
            Self::Words => "nobody",
        }
    }

    /// By the part of the path that stands before it.
    fn of_path(before: &str) -> Option<Self> {
        Some(match before {
            "agents" => Self::Agent,
            "numbers" => Self::Number,
            "contacts" => Self::Contact,
            "conversations" => Self::Conversation,
            "messages" => Self::Message,
            "deliveries" => Self::Delivery,
            "keys" => Self::Key,
            "sub-accounts" => Self::SubAccount,
            "opt-outs" => Self::OptOut,
            "sip-trunks" => Self::SipTrunk,
            "calls" => Self::Call,
            "location" => Self::Digits,
            _ => return None,
        })
    }

    /// By the name of a query parameter or of a field.
    fn of_name(name: &str) -> Option<Self> {
        Some(match name {
            "agentId" | "agent_id" => Self::Agent,
            "numberId" | "number_id" | "fromNumberId" => Self::Number,
            "from_number" => Self::Digits,
            "before" | "after" | "reply_to_message_id" => Self::Message,
            "verification_id" => Self::Verification,
            "search" => Self::Words,
            _ => return None,
        })
    }
}

/// Names of parameters and fields that name nothing of an account's.
const NAMES_NOTHING: &[&str] = &[
    // How much of a list, and of what time.
    "limit",
    "offset",
    "hours",
    "days",
    "months",
    "period",
    "tz",
    "message_limit",
    // What is looked for or asked about, of the world.
    "areaCode",
    "city",
    "state",
    "zip",
    "country",
    "phoneNumbers",
    "phone_number",
    "phoneNumber",
    // What a thing is to be like.
    "name",
    "description",
    "voiceMode",
    "enableMessaging",
    "modelTier",
    "systemPrompt",
    "beginMessage",
    "voice",
    "transferNumber",
    "customTools",
    "voicemailMessage",
    "callScreeningIdentity",
    "callScreeningPurpose",
    "sttMode",
    "ambientSound",
    "denoisingMode",
    "maxSilenceMs",
    "voiceSpeed",
    "interruptionSensitivity",
    "enableBackchannel",
    "language",
    "url",
    "method",
    "headers",
    "parameters",
    "timeoutMs",
    "speakDuringExecution",
    "executionMessage",
    "contextLimit",
    "timeout",
    "events",
    "rotateSecret",
    "type",
    "imessageType",
    "expiresAt",
    "email",
    "notes",
    "metadata",
    "group_name",
    "firstName",
    "lastName",
    "displayName",
    "avatarUrl",
    "image_url",
    "reaction",
    // What is registered with the carriers.
    "registration_type",
    "first_name",
    "last_name",
    "business_name",
    "brand_name",
    "organization_type",
    "contact_title",
    "contact_title_other",
    "ein",
    "website_url",
    "industry",
    "business_regions",
    "street_address",
    "street_address_2",
    "zip_code",
    "planned_numbers",
    "use_cases",
    "volume",
    "message_samples",
    "consent_flow",
    "privacy_policy_url",
    "terms_of_service_url",
    "opt_in_image_url",
    "includes",
    "link_sample",
    "create_sub_account",
    // The customer's own reference, which is looked up nowhere.
    "externalId",
    // What a key may do, what an account sets, and which part of its log is asked for.
    "scopes",
    "retentionDays",
    "dailySpendLimit",
    "action",
    "since",
    "category",
    "note",
    "tags",
    "code",
    // The customer's own reference, which is looked up nowhere.
    "externalId",
    // A request by the id it was answered with: kept, and looked up nowhere.
    "request_id",
    // What is written, and to whom: receivers are not the account's. There are no groups yet.
    "body",
    "message",
    "from",
    "to",
    "channel",
    "to_number",
    "recipients",
    "media_url",
    "media_urls",
    "send_style",
    // SIP trunks: where calls come from and go to, in the world.
    "transfers",
    "transferCallerId",
    "origination",
    "uris",
    "sip_uri",
    "priority",
    "weight",
    "allowedIps",
    "cidr",
    // Calls: which ones, and how one is led; who is called is in the world.
    "status",
    "direction",
    "wait",
    "toNumber",
    "initialGreeting",
    "variables",
    "disableRecording",
    "waitForCompletion",
    // A link that we signed.
    "expires",
    "signature",
    "maxWaitSeconds",
    // Opt-outs: proof, and the account's own words.
    "consent",
    "note",
    "optedOut",
    "optedIn",
    "help",
];

/// An operation of the document.
#[derive(Debug, Clone)]
pub struct Operation {
    pub name: String,
    pub method: Method,
    pub path: String,
    pub needs_key: bool,
    /// Where each parameter stands, and its name.
    parameters: Vec<(String, String)>,
    body: Option<Value>,
}

/// Where a thing is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    Path(String),
    Query(String),
    Body(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    pub place: Place,
    pub kind: Kind,
}

/// How an operation is asked for.
#[derive(Debug, Clone)]
pub struct Plan {
    pub operation: Operation,
    pub slots: Vec<Slot>,
}

/// All operations of a document.
pub fn operations(document: &Value) -> Vec<Operation> {
    let mut operations = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            operations.push(Operation {
                name: text(&operation["operationId"]),
                method: method.to_uppercase().parse().unwrap(),
                path: path.clone(),
                needs_key: operation["security"].is_null(),
                parameters: parameters.map(|one| (text(&one["in"]), text(&one["name"]))).collect(),
                body: operation.get("requestBody").cloned(),
            });
        }
    }
    operations
}

/// Plans an operation, or says what about it is not known.
pub fn plan(document: &Value, operation: &Operation) -> Result<Plan, String> {
    let mut slots = Vec::new();
    if !operation.needs_key {
        // Anybody may ask, so there is nothing to keep apart.
        return Ok(Plan { operation: operation.clone(), slots });
    }
    for (place, name) in &operation.parameters {
        let (place, kind) = match place.as_str() {
            "path" => (Place::Path(name.clone()), Some(kind_in_path(operation, name)?)),
            _ => (Place::Query(name.clone()), kind_of_name(operation, name)?),
        };
        slots.extend(kind.map(|kind| Slot { place, kind }));
    }
    if let Some(body) = &operation.body {
        body_of(&operation.name, &Own::default())
            .ok_or_else(|| format!("{}: no body for it is known", operation.name))?;
        for (name, nested) in fields(document, body) {
            let kind = kind_of_name(operation, &name)?;
            if kind.is_some() && nested {
                return Err(format!("{}: how to try a nested {name:?} is not known", operation.name));
            }
            // A number asked for by its digits may be somebody's.
            let kind = kind.or((operation.name == "createNumber" && name == "phoneNumber").then_some(Kind::Digits));
            slots.extend(kind.map(|kind| Slot { place: Place::Body(name.clone()), kind }));
            if operation.name == "createNumber" && name == "agentId" {
                // It takes the other spelling too, unsaid.
                slots.push(Slot { place: Place::Body("agent_id".to_owned()), kind: Kind::Agent });
            }
        }
    }
    Ok(Plan { operation: operation.clone(), slots })
}

fn kind_in_path(operation: &Operation, name: &str) -> Result<Kind, String> {
    let (before, _) = operation.path.split_once(&format!("/{{{name}}}")).unwrap_or_default();
    let before = before.rsplit('/').next().unwrap_or_default();
    let unknown = || format!("{}: what {{{name}}} behind {before:?} names is not known", operation.name);
    Kind::of_path(before).ok_or_else(unknown)
}

fn kind_of_name(operation: &Operation, name: &str) -> Result<Option<Kind>, String> {
    match Kind::of_name(name) {
        Some(kind) => Ok(Some(kind)),
        None if NAMES_NOTHING.contains(&name) => Ok(None),
        None => Err(format!("{}: whether {name:?} names a thing is not known", operation.name)),
    }
}

/// The fields of a body, and those of the objects within.
fn fields(document: &Value, schema: &Value) -> Vec<(String, bool)> {
    let mut found = Vec::new();
    collect(document, schema, 0, &mut found);
    found
}

fn collect(document: &Value, schema: &Value, depth: usize, found: &mut Vec<(String, bool)>) {
    if let Some(reference) = schema["$ref"].as_str() {
        let target = document.pointer(reference.trim_start_matches('#')).unwrap();
        collect(document, target, depth, found);
    }
    match schema {
        Value::Object(fields) => {
            for (name, field) in schema["properties"].as_object().into_iter().flatten() {
                found.push((name.clone(), depth > 0));
                collect(document, field, depth + 1, found);
            }
            let others = fields.iter().filter(|(name, _)| !["properties", "$ref"].contains(&name.as_str()));
            others.for_each(|(_, below)| collect(document, below, depth, found));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(document, item, depth, found)),
        _ => {}
    }
}

impl Plan {
    /// Which things to name that are another's: each alone, and all together.
    pub fn trials(&self) -> Vec<Vec<Slot>> {
        let mut trials: Vec<Vec<Slot>> = self.slots.iter().map(|slot| vec![slot.clone()]).collect();
        if self.slots.len() > 1 {
            trials.push(self.slots.clone());
        }
        trials
    }

    /// Whether it is done all the same: the words of a search find nothing, and a message that is answered is only
    /// repeated, for SMS knows no answers.
    pub fn is_harmless(&self, slots: &[Slot]) -> bool {
        let harmless = [Place::Query("search".to_owned()), Place::Body("reply_to_message_id".to_owned())];
        slots.iter().all(|slot| harmless.contains(&slot.place))
    }

    /// Asks with an account's own things, but for those in `slots`.
    pub fn call(&self, asking: &Household, slots: &[Slot], names: &[String]) -> Call {
        let named = |place: &Place| slots.iter().position(|slot| slot.place == *place).map(|nth| names[nth].clone());
        let mut path = self.operation.path.clone();
        let mut query = Vec::new();
        for (place, name) in &self.operation.parameters {
            if place == "path" {
                let own = || asking.id(kind_in_path(&self.operation, name).unwrap(), 0);
                let id = named(&Place::Path(name.clone())).unwrap_or_else(own);
                path = path.replace(&format!("{{{name}}}"), &id);
            } else if let Some(id) = named(&Place::Query(name.clone())) {
                query.push(format!("{name}={}", id.replace('+', "%2B")));
            } else if let Some(value) = required_query(&self.operation, name) {
                query.push(format!("{name}={value}"));
            }
        }
        if !query.is_empty() {
            path = format!("{path}?{}", query.join("&"));
        }
        let call = asking.client.call(self.operation.method.clone(), &path);
        let Some(mut body) = self.operation.body.as_ref().and_then(|_| body_of(&self.operation.name, asking)) else {
            return call;
        };
        for slot in slots {
            if let Place::Body(name) = &slot.place {
                // A sender named by its id is looked at first.
                let hidden_by = (name == "from_number" && slots.len() == 1).then_some("number_id");
                hidden_by.and_then(|other| body.as_object_mut()?.remove(other));
                body[name] = json!(named(&slot.place));
            }
        }
        call.json(body)
    }

    pub async fn request(&self, asking: &Household, slots: &[Slot], names: &[String]) -> Answer {
        self.call(asking, slots, names).await
    }
}

/// A value for a parameter that has to be there.
fn required_query(operation: &Operation, name: &str) -> Option<&'static str> {
    match name {
        // Here it would hide the others.
        "phone_number" if operation.path.starts_with("/v1/opt-outs") => None,
        "phone_number" | "phoneNumbers" => Some("%2B14152010009"),
        "consent" => Some("by%20mail"),
        _ => None,
    }
}

/// A good body for an operation, of this account's things.
fn body_of(operation: &str, own: &Own) -> Option<Value> {
    Some(match operation {
        "createAgent" | "updateAgent" => json!({"name": format!("{} renamed", own.words)}),
        "attachNumber" => json!({"numberId": own.id(Kind::Number, 0)}),
        "setWebhook" | "setAgentWebhook" => json!({"url": format!("{}/again", own.endpoint)}),
        "testWebhook" | "testAgentWebhook" => json!({"message": own.words}),
        "createKey" => json!({"name": own.words, "scopes": ["read"]}),
        "createSubAccount" | "updateSubAccount" => json!({"name": format!("{} and child", own.words)}),
        "updateAccount" => json!({"name": own.words}),
        "exportContact" | "eraseContact" => json!({"phoneNumber": own.another_handset()}),
        "createContact" => json!({"phoneNumber": own.another_handset(), "name": own.words}),
        "updateContact" => json!({"notes": format!("{} again", own.words)}),
        "updateConversation" => json!({"metadata": {"of": own.words}}),
        "setBackground" => json!({"image_url": "https://example.com/cat.jpg"}),
        "sendMessage" => json!({"number_id": own.id(Kind::Number, 0), "to_number": own.handset, "body": own.words}),
        "shareContactCard" => json!({"to": own.handset}),
        "reactToMessage" => json!({"reaction": "love"}),
        "createNumber" => json!({"externalId": own.words}),
        "updateNumber" => json!({"externalId": format!("{} again", own.words)}),
        "createCall" => json!({"agentId": own.id(Kind::Agent, 0), "toNumber": own.handset}),
        "createSipTrunk" | "updateSipTrunk" => json!({"name": format!("{} trunk", own.words)}),
        "submitRegistration" => crate::registration::form("sole_proprietor"),
        "updateRegistration" => json!({"email": "somebody@example.org"}),
        "addOptOut" => json!({"phoneNumber": own.another_handset()}),
        "updateOptOutAnswers" => json!({"help": own.words}),
        "sendVerification" => json!({"phone_number": own.another_handset()}),
        "checkVerification" => json!({"verification_id": own.id(Kind::Verification, 0), "code": "000000"}),
        "submitFeedback" => json!({"category": "praise", "note": own.words}),
        "putContactCard" => json!({"displayName": own.words}),
        _ => return None,
    })
}
