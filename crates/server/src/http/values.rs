//! The values requests are made of. Each type is its own rule, for the parser and for the OpenAPI document.
//!
//! In that document a type is known by its name alone, so the name must tell the rule's figures.

use std::borrow::Cow;

use offhook_domain::agent::{AmbientSound, DenoisingMode, ModelTier, SttMode, ToolMethod, VoiceMode};
use offhook_domain::{Country, E164, Id, Timestamp};
use serde_json::{Map, Value};
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaType, Type};
use utoipa::openapi::{RefOr, schema};
use utoipa::{PartialSchema, ToSchema};

use super::fields::{FromField, Problem};

/// Text of `MIN` to `MAX` characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text<const MIN: usize, const MAX: usize>(pub String);

impl<const MIN: usize, const MAX: usize> FromField for Text<MIN, MAX> {
    fn from_field(value: &Value) -> Result<Self, Problem> {
        let Value::String(text) = value else { return Err(Problem::wrong_type("a string")) };
        let length = text.chars().count();
        if length < MIN || MIN > 0 && visible(text) < MIN {
            return Err(Problem::value(if MIN == 1 {
                "must not be empty".to_owned()
            } else {
                format!("must have at least {MIN} characters")
            }));
        }
        if length > MAX {
            return Err(Problem::value(format!("must have at most {MAX} characters")));
        }
        // PostgreSQL can't keep it, and no carrier can send it.
        if text.contains('\0') {
            return Err(Problem::value("must not contain the character U+0000"));
        }
        Ok(Self(text.clone()))
    }
}

/// How many characters of a text somebody would see: blanks around it don't count, several in a row are one, and what has no
/// width is nothing.
fn visible(text: &str) -> usize {
    let seen: String = text.chars().filter(|c| c.is_whitespace() || !(c.is_control() || has_no_width(*c))).collect();
    let (words, letters) = seen.split_whitespace().fold((0, 0), |(n, sum), word| (n + 1, sum + word.chars().count()));
    letters + usize::saturating_sub(words, 1)
}

fn has_no_width(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{180e}' | '\u{200b}'..='\u{200d}' | '\u{2060}'..='\u{2064}'
        | '\u{2800}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}')
        || turns_direction(c)
}

/// Marks that change the direction of writing: with them a name shows as another one.
fn turns_direction(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// What somebody or something is called: a [`Text`] of one line, without marks that make it look like another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name<const MIN: usize, const MAX: usize>(pub String);

impl<const MIN: usize, const MAX: usize> FromField for Name<MIN, MAX> {
    fn from_field(value: &Value) -> Result<Self, Problem> {
        let text = Text::<MIN, MAX>::from_field(value)?.0;
        if text.chars().any(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') || turns_direction(c)) {
            return Err(Problem::value("must be one line, without control characters"));
        }
        Ok(Self(text))
    }
}

impl<const MIN: usize, const MAX: usize> PartialSchema for Name<MIN, MAX> {
    fn schema() -> RefOr<Schema> {
        Text::<MIN, MAX>::schema()
    }
}

impl<const MIN: usize, const MAX: usize> ToSchema for Name<MIN, MAX> {
    fn name() -> Cow<'static, str> {
        format!("Name_{MIN}_{MAX}").into()
    }
}

impl<const MIN: usize, const MAX: usize> PartialSchema for Text<MIN, MAX> {
    fn schema() -> RefOr<Schema> {
        let text = ObjectBuilder::new().schema_type(SchemaType::new(Type::String));
        let text = if MIN > 0 { text.min_length(Some(MIN)) } else { text };
        // That U+0000 is refused goes unsaid: as a pattern it would stand in every field, for what nobody sends.
        text.max_length(Some(MAX)).into()
    }
}

impl<const MIN: usize, const MAX: usize> ToSchema for Text<MIN, MAX> {
    fn name() -> Cow<'static, str> {
        format!("Text_{MIN}_{MAX}").into()
    }
}

/// A whole number from `MIN` to `MAX`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Number<const MIN: i64, const MAX: i64>(pub i64);

impl<const MIN: i64, const MAX: i64> FromField for Number<MIN, MAX> {
    fn from_field(value: &Value) -> Result<Self, Problem> {
        // 2.0 is the same JSON number as 2.
        let whole =
            value.as_i64().or_else(|| value.as_f64().filter(|n| n.fract() == 0.0 && n.abs() < 9e15).map(|n| n as i64));
        match whole {
            Some(number) if (MIN..=MAX).contains(&number) => Ok(Self(number)),
            Some(_) => Err(Problem::value(format!("must be from {MIN} to {MAX}"))),
            None if value.is_number() => Err(Problem::value(format!("must be a whole number from {MIN} to {MAX}"))),
            None => Err(Problem::wrong_type("a whole number")),
        }
    }

    fn from_text(text: &str) -> Result<Self, Problem> {
        let plain = text.strip_prefix('-').unwrap_or(text);
        if plain.is_empty() || !plain.bytes().all(|b| b.is_ascii_digit()) {
            return Err(Problem::wrong_type("a whole number"));
        }
        match text.parse::<i64>() {
            Ok(number) if (MIN..=MAX).contains(&number) => Ok(Self(number)),
            _ => Err(Problem::value(format!("must be from {MIN} to {MAX}"))),
        }
    }
}

impl<const MIN: i64, const MAX: i64> PartialSchema for Number<MIN, MAX> {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new().schema_type(SchemaType::new(Type::Integer)).minimum(Some(MIN)).maximum(Some(MAX)).into()
    }
}

impl<const MIN: i64, const MAX: i64> ToSchema for Number<MIN, MAX> {
    fn name() -> Cow<'static, str> {
        format!("Number_{MIN}_{MAX}").into()
    }
}

/// A number from `MIN` to `MAX` hundredths, such as 0.5 to 2.0 for `<50, 200>`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Decimal<const MIN: i64, const MAX: i64>(pub f64);

impl<const MIN: i64, const MAX: i64> FromField for Decimal<MIN, MAX> {
    fn from_field(value: &Value) -> Result<Self, Problem> {
        let number = value.as_f64().ok_or_else(|| Problem::wrong_type("a number"))?;
        let (least, most) = (MIN as f64 / 100.0, MAX as f64 / 100.0);
        if (least..=most).contains(&number) {
            Ok(Self(number))
        } else {
            Err(Problem::value(format!("must be from {least} to {most}")))
        }
    }
}

impl<const MIN: i64, const MAX: i64> PartialSchema for Decimal<MIN, MAX> {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(SchemaType::new(Type::Number))
            .minimum(Some(MIN as f64 / 100.0))
            .maximum(Some(MAX as f64 / 100.0))
            .into()
    }
}

impl<const MIN: i64, const MAX: i64> ToSchema for Decimal<MIN, MAX> {
    fn name() -> Cow<'static, str> {
        format!("Decimal_{MIN}_{MAX}").into()
    }
}

impl FromField for bool {
    fn from_field(value: &Value) -> Result<Self, Problem> {
        value.as_bool().ok_or_else(|| Problem::wrong_type("true or false"))
    }

    fn from_text(text: &str) -> Result<Self, Problem> {
        match text {
            "true" | "1" => Ok(true),
            "false" | "0" => Ok(false),
            _ => Err(Problem::wrong_type("true or false")),
        }
    }
}

/// Any JSON object.
impl FromField for Map<String, Value> {
    fn from_field(value: &Value) -> Result<Self, Problem> {
        let object = value.as_object().cloned().ok_or_else(|| Problem::wrong_type("an object"))?;
        if value.to_string().contains("\\u0000") {
            return Err(Problem::value("must not contain the character U+0000"));
        }
        Ok(object)
    }
}

/// Any JSON array, for items that are read further.
impl FromField for Vec<Value> {
    fn from_field(value: &Value) -> Result<Self, Problem> {
        value.as_array().cloned().ok_or_else(|| Problem::wrong_type("an array"))
    }
}

/// At most `MAX` values of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List<T, const MAX: usize>(pub Vec<T>);

impl<T: FromField, const MAX: usize> FromField for List<T, MAX> {
    fn from_field(value: &Value) -> Result<Self, Problem> {
        let items = value.as_array().ok_or_else(|| Problem::wrong_type("an array"))?;
        if items.len() > MAX {
            return Err(Problem::value(format!("must have at most {MAX} items")));
        }
        let read = |(i, item)| {
            T::from_field(item).map_err(|p| Problem { rule: p.rule, message: format!("item {i} {}", p.message) })
        };
        items.iter().enumerate().map(read).collect::<Result<_, _>>().map(Self)
    }
}

impl<T: ToSchema, const MAX: usize> PartialSchema for List<T, MAX> {
    fn schema() -> RefOr<Schema> {
        schema::ArrayBuilder::new().items(T::schema()).max_items(Some(MAX)).into()
    }
}

impl<T: ToSchema, const MAX: usize> ToSchema for List<T, MAX> {
    fn name() -> Cow<'static, str> {
        format!("ListOf_{MAX}_{}", T::name()).into()
    }
}

/// An http(s) URL of an attachment. It is only fetched through the guarded client, so where it points is no
/// question here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaUrl(pub String);

impl FromField for MediaUrl {
    fn from_field(value: &Value) -> Result<Self, Problem> {
        let text = Text::<1, 2048>::from_field(value)?.0;
        match url::Url::parse(&text) {
            Ok(url) if matches!(url.scheme(), "http" | "https") && url.host().is_some() => Ok(Self(text)),
            _ => Err(Problem::value("must be an http or https URL")),
        }
    }
}

impl PartialSchema for MediaUrl {
    fn schema() -> RefOr<Schema> {
        let text = ObjectBuilder::new().schema_type(SchemaType::new(Type::String));
        text.max_length(Some(2048)).format(Some(schema::SchemaFormat::Custom("uri".to_owned()))).into()
    }
}

impl ToSchema for MediaUrl {}

/// An https URL with a host that has a dot in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpsUrl(pub String);

impl FromField for HttpsUrl {
    fn from_field(value: &Value) -> Result<Self, Problem> {
        let text = Text::<1, 2048>::from_field(value)?.0;
        match url::Url::parse(&text) {
            Ok(url) if url.scheme() == "https" && url.host_str().is_some_and(|host| host.contains('.')) => {
                Ok(Self(text))
            }
            _ => Err(Problem::value("must be an https URL such as https://example.com")),
        }
    }
}

impl PartialSchema for HttpsUrl {
    fn schema() -> RefOr<Schema> {
        let text = ObjectBuilder::new().schema_type(SchemaType::new(Type::String)).max_length(Some(2048));
        text.pattern(Some("^https://")).format(Some(schema::SchemaFormat::Custom("uri".to_owned()))).into()
    }
}

impl ToSchema for HttpsUrl {}

/// An id in a request body. One of the wrong shape is no field error: what it names is absent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ref<I>(Option<I>);

impl<I> Ref<I> {
    /// The id, or nothing where the text can't be one.
    pub fn id(&self) -> Option<&I> {
        self.0.as_ref()
    }
}

impl<I: Id> FromField for Ref<I> {
    fn from_field(value: &Value) -> Result<Self, Problem> {
        let text = value.as_str().ok_or_else(|| Problem::wrong_type("a string"))?;
        Ok(Self(I::parse(text).ok()))
    }
}

impl FromField for E164 {
    fn from_field(value: &Value) -> Result<Self, Problem> {
        let text = value.as_str().ok_or_else(|| Problem::wrong_type("a string"))?;
        Self::parse(text).map_err(|e| Problem::value(e.to_string()))
    }
}

impl FromField for Country {
    fn from_field(value: &Value) -> Result<Self, Problem> {
        let text = value.as_str().ok_or_else(|| Problem::wrong_type("a string"))?;
        Self::parse(text).map_err(|e| Problem::value(e.to_string()))
    }
}

impl FromField for Timestamp {
    fn from_field(value: &Value) -> Result<Self, Problem> {
        let text = value.as_str().ok_or_else(|| Problem::wrong_type("a string"))?;
        Self::parse(text).map_err(|e| Problem::value(e.to_string()))
    }
}

/// One of a list of words, as `parse` reads it.
pub fn one_of<T>(value: &Value, words: &[&str], parse: impl FnOnce(&str) -> Option<T>) -> Result<T, Problem> {
    let text = value.as_str().ok_or_else(|| Problem::wrong_type("a string"))?;
    parse(text).ok_or_else(|| Problem::value(format!("must be one of {}", words.join(", "))))
}

/// How such a list stands in the OpenAPI document.
pub fn schema_of_words(words: &'static [&'static str]) -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(SchemaType::new(Type::String)).enum_values(Some(words.iter().copied())).into()
}

macro_rules! choices {
    ($($name:ident),+ $(,)?) => {
        $(impl FromField for $name {
            fn from_field(value: &Value) -> Result<Self, Problem> {
                one_of(value, Self::TEXTS, Self::parse)
            }
        })+

        /// What stands for the domain's choices in the OpenAPI document: `#[schema(value_type = choice::VoiceMode)]`.
        pub mod choice {
            use super::{PartialSchema, RefOr, Schema, ToSchema, schema_of_words};

            $(pub struct $name;

            impl PartialSchema for $name {
                fn schema() -> RefOr<Schema> {
                    schema_of_words(offhook_domain::agent::$name::TEXTS)
                }
            }

            impl ToSchema for $name {})+
        }
    };
}

choices!(AmbientSound, DenoisingMode, ModelTier, SttMode, ToolMethod, VoiceMode);

/// A code of six digits that somebody was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OneTimeCode(pub String);

impl FromField for OneTimeCode {
    fn from_field(value: &Value) -> Result<Self, Problem> {
        let Value::String(text) = value else { return Err(Problem::wrong_type("a string")) };
        let text = text.trim();
        if text.len() == 6 && text.bytes().all(|b| b.is_ascii_digit()) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Problem::value("must be the six digits that were sent"))
        }
    }
}

impl PartialSchema for OneTimeCode {
    fn schema() -> RefOr<Schema> {
        let text = ObjectBuilder::new().schema_type(SchemaType::new(Type::String));
        text.pattern(Some("^[0-9]{6}$")).into()
    }
}

impl ToSchema for OneTimeCode {}
