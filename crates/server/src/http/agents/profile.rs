//! What a client sets about an agent, when it is made and when it is changed. In: the sent fields. Out: an agent that
//! has them.

use offhook_domain::E164;
use offhook_domain::agent::{
    Agent, AgentProfile, AmbientSound, DenoisingMode, ModelTier, NeedsSystemPrompt, SttMode, VoiceMode,
};
use serde_json::Value;
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaType, Type};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

use super::tools::{ToolInput, Tools};
use crate::http::error::ApiError;
use crate::http::fields::{Casing, Clearable, Fields, FromField, Input, Patch, Problem};
use crate::http::values::{Decimal, Number, Text, choice};

type Name = Text<1, 200>;
type Prompt = Text<0, 100_000>;
/// What a voice says at once.
type Spoken = Text<0, 5_000>;

/// What to change about an agent. A field that isn't sent stays as it is.
#[derive(Debug, Clone, ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct UpdateAgent {
    name: Option<Name>,
    #[schema(value_type = Option<Text<0, 2000>>)]
    description: Patch<Text<0, 2000>>,
    /// Who speaks on a call: your webhook or the built-in model.
    #[schema(value_type = Option<choice::VoiceMode>)]
    voice_mode: Option<VoiceMode>,
    enable_messaging: Option<bool>,
    #[schema(value_type = Option<choice::ModelTier>)]
    model_tier: Option<ModelTier>,
    /// Required when `voiceMode` is `hosted`.
    #[schema(value_type = Option<Prompt>)]
    system_prompt: Patch<Prompt>,
    #[schema(value_type = Option<Spoken>)]
    begin_message: Patch<Spoken>,
    /// A `voice_id` of `GET /v1/agents/voices`; null for the default one.
    #[schema(value_type = Option<Text<0, 200>>)]
    voice: Patch<Text<0, 200>>,
    /// Where a call can be handed on to; empty or null clears it.
    #[schema(value_type = Option<String>, format = "phone", example = "+14155550100")]
    transfer_number: Patch<Clearable<E164>>,
    /// At most 20; `[]` clears them.
    #[schema(value_type = Option<Vec<ToolInput>>, max_items = 20)]
    custom_tools: Option<Tools>,
    /// Empty or null clears it.
    #[schema(value_type = Option<Spoken>)]
    voicemail_message: Patch<Clearable<Spoken>>,
    #[schema(value_type = Option<Text<0, 500>>)]
    call_screening_identity: Patch<Text<0, 500>>,
    #[schema(value_type = Option<Text<0, 500>>)]
    call_screening_purpose: Patch<Text<0, 500>>,
    #[schema(value_type = Option<choice::SttMode>)]
    stt_mode: Option<SttMode>,
    #[schema(value_type = Option<choice::AmbientSound>)]
    ambient_sound: Option<AmbientSound>,
    #[schema(value_type = Option<choice::DenoisingMode>)]
    denoising_mode: Option<DenoisingMode>,
    /// A call ends after this much silence.
    max_silence_ms: Option<Number<10_000, 3_600_000>>,
    voice_speed: Option<Decimal<50, 200>>,
    interruption_sensitivity: Option<Decimal<0, 100>>,
    enable_backchannel: Option<bool>,
    language: Option<LanguageTag>,
}

impl Input for UpdateAgent {
    const CASING: Casing = Casing::Camel;

    fn read(fields: &mut Fields) -> Option<Self> {
        let name = fields.optional("name");
        Some(Self::read_named(fields, name))
    }
}

impl UpdateAgent {
    fn read_named(fields: &mut Fields, name: Option<Name>) -> Self {
        Self {
            name,
            description: fields.patch("description"),
            voice_mode: fields.optional("voice_mode"),
            enable_messaging: fields.optional("enable_messaging"),
            model_tier: fields.optional("model_tier"),
            system_prompt: fields.patch("system_prompt"),
            begin_message: fields.patch("begin_message"),
            voice: fields.patch("voice"),
            transfer_number: fields.patch("transfer_number"),
            custom_tools: Tools::read(fields, "custom_tools"),
            voicemail_message: fields.patch("voicemail_message"),
            call_screening_identity: fields.patch("call_screening_identity"),
            call_screening_purpose: fields.patch("call_screening_purpose"),
            stt_mode: fields.optional("stt_mode"),
            ambient_sound: fields.optional("ambient_sound"),
            denoising_mode: fields.optional("denoising_mode"),
            max_silence_ms: fields.optional("max_silence_ms"),
            voice_speed: fields.optional("voice_speed"),
            interruption_sensitivity: fields.optional("interruption_sensitivity"),
            enable_backchannel: fields.optional("enable_backchannel"),
            language: fields.optional("language"),
        }
    }

    /// Puts the changes into an agent.
    ///
    /// # Errors
    /// 422 when the agent would be hosted without a prompt.
    pub fn apply(mut self, agent: &mut Agent) -> Result<(), ApiError> {
        set(&mut agent.name, self.name.take().map(|name| name.0));
        self.apply_profile(&mut agent.profile);
        agent.profile.check().map_err(|NeedsSystemPrompt| {
            ApiError::invalid_field("body", "systemPrompt", format!("is {NeedsSystemPrompt}"))
        })
    }

    fn apply_profile(self, profile: &mut AgentProfile) {
        self.description.map(|text| text.0).apply(&mut profile.description);
        self.system_prompt.map(|text| text.0).apply(&mut profile.system_prompt);
        self.begin_message.map(|text| text.0).apply(&mut profile.begin_message);
        self.voice.map(|text| text.0).apply(&mut profile.voice);
        self.call_screening_identity.map(|text| text.0).apply(&mut profile.call_screening_identity);
        self.call_screening_purpose.map(|text| text.0).apply(&mut profile.call_screening_purpose);
        self.transfer_number.or_cleared().map(|number| number.to_string()).apply(&mut profile.transfer_number);
        self.voicemail_message.or_cleared().map(|text| text.0).apply(&mut profile.voicemail_message);
        set(&mut profile.voice_mode, self.voice_mode);
        set(&mut profile.enable_messaging, self.enable_messaging);
        set(&mut profile.model_tier, self.model_tier);
        set(&mut profile.custom_tools, self.custom_tools.map(|tools| tools.0));
        set(&mut profile.stt_mode, self.stt_mode);
        set(&mut profile.ambient_sound, self.ambient_sound);
        set(&mut profile.denoising_mode, self.denoising_mode);
        set(&mut profile.max_silence_ms, self.max_silence_ms.map(|number| number.0));
        set(&mut profile.voice_speed, self.voice_speed.map(|number| number.0));
        set(&mut profile.interruption_sensitivity, self.interruption_sensitivity.map(|number| number.0));
        set(&mut profile.enable_backchannel, self.enable_backchannel);
        set(&mut profile.language, self.language.map(|tag| tag.0));
    }
}

fn set<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

/// An agent to make: a name, and whatever is not to be as by default.
#[derive(Debug, Clone)]
pub struct CreateAgent {
    pub name: String,
    pub rest: UpdateAgent,
}

impl Input for CreateAgent {
    const CASING: Casing = Casing::Camel;

    fn read(fields: &mut Fields) -> Option<Self> {
        let name = fields.required::<Name>("name");
        let rest = UpdateAgent::read_named(fields, None);
        let prompted = match &rest.system_prompt {
            Patch::Value(prompt) => !prompt.0.trim().is_empty(),
            Patch::Null => false,
            // Sent all the same means complained of already.
            Patch::Absent => fields.has("system_prompt"),
        };
        if rest.voice_mode == Some(VoiceMode::Hosted) && !prompted {
            fields.complain("system_prompt", Problem::value(format!("is {NeedsSystemPrompt}")));
        }
        Some(Self { name: name?.0, rest })
    }
}

/// As [`UpdateAgent`], with a name that must be there.
impl PartialSchema for CreateAgent {
    fn schema() -> RefOr<Schema> {
        let mut schema = UpdateAgent::schema();
        if let RefOr::T(Schema::Object(object)) = &mut schema {
            object.description = Some("An agent to make. What isn't sent is as by default.".to_owned());
            object.properties.insert("name".to_owned(), Ref::from_schema_name(Name::name()).into());
            object.required.push("name".to_owned());
        }
        schema
    }
}

impl ToSchema for CreateAgent {
    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        UpdateAgent::schemas(schemas);
    }
}

/// A language as BCP 47 writes it: `en-US`, `es-419`, `fil-PH`. Whether a voice speaks it, the call finds out.
#[derive(Debug, Clone)]
struct LanguageTag(String);

impl FromField for LanguageTag {
    fn from_field(value: &Value) -> Result<Self, Problem> {
        let tag = value.as_str().ok_or_else(|| Problem::wrong_type("a string"))?;
        let part = |part: &str| matches!(part.len(), 1..=8) && part.bytes().all(|b| b.is_ascii_alphanumeric());
        let (language, _) = tag.split_once('-').unwrap_or((tag, ""));
        let named = matches!(language.len(), 2..=8) && language.bytes().all(|b| b.is_ascii_alphabetic());
        if tag.len() <= MAX_TAG && named && tag.split('-').all(part) {
            Ok(Self(tag.to_owned()))
        } else {
            Err(Problem::value("must be a BCP 47 language tag such as en-US"))
        }
    }
}

/// What RFC 5646, section 4.4.1, asks every implementation to take.
const MAX_TAG: usize = 35;

impl PartialSchema for LanguageTag {
    fn schema() -> RefOr<Schema> {
        let text = ObjectBuilder::new().schema_type(SchemaType::new(Type::String)).max_length(Some(MAX_TAG));
        text.pattern(Some("^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$")).into()
    }
}

impl ToSchema for LanguageTag {}
