//! What a client says of a trunk. In: the sent fields. Out: parsed values.

use std::net::IpAddr;

use ipnet::IpNet;
use offhook_domain::sip_trunk::{
    AllowedIp, MAX_ADDRESSES, OriginationUri, SipAddress, SipTrunk, TransferCallerId, Transfers, USUAL_PRIORITY,
    USUAL_WEIGHT,
};
use serde_json::{Map, Value};
use utoipa::PartialSchema;
use utoipa::ToSchema;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;

use crate::app::App;
use crate::http::error::ApiError;
use crate::http::fields::{Casing, Fields, FromField, Input, Problem};
use crate::http::values::{Name, Number, one_of, schema_of_words};

/// What a trunk is to be like. What isn't sent gets its default, or stays as it is.
#[derive(Debug, Clone, ToSchema)]
#[schema(rename_all = "camelCase", as = SipTrunkChange)]
pub struct TrunkInput {
    pub name: Option<Name<1, 100>>,
    /// Where your system may have calls transferred to. Of a new trunk: `none`.
    #[schema(value_type = Option<TransfersSchema>)]
    pub transfers: Option<Transfers>,
    /// Whose number a transferred call shows. Of a new trunk: `transferee`.
    #[schema(value_type = Option<CallerIdSchema>)]
    pub transfer_caller_id: Option<TransferCallerId>,
    /// Where we send calls to your system; replaces what was there.
    #[schema(value_type = Option<OriginationInput>)]
    pub origination: Option<Vec<OriginationUri>>,
    /// Networks from which your system may call without a password; replaces what was there.
    #[schema(value_type = Option<Vec<AllowedIpInput>>, max_items = 20)]
    pub allowed_ips: Option<Vec<AllowedIp>>,
    #[schema(ignore)]
    pub is_empty: bool,
}

impl Input for TrunkInput {
    const CASING: Casing = Casing::Either;

    fn read(fields: &mut Fields) -> Option<Self> {
        Some(Self {
            is_empty: fields.is_empty(),
            name: fields.optional("name"),
            transfers: fields.optional("transfers"),
            transfer_caller_id: fields.optional("transfer_caller_id"),
            origination: fields
                .optional::<Map<String, Value>>("origination")
                .and_then(|object| fields.nested::<OriginationInput>("origination", object))
                .map(|input| input.uris),
            allowed_ips: each::<AllowedIpInput>(fields, "allowed_ips", "allowedIps").map(|all| {
                all.into_iter().map(|one| AllowedIp { cidr: one.cidr, name: one.name.map(|n| n.0) }).collect()
            }),
        })
    }
}

impl TrunkInput {
    /// Puts what was sent into a trunk.
    pub fn apply(self, trunk: &mut SipTrunk) {
        let Self { name, transfers, transfer_caller_id, origination, allowed_ips, .. } = self;
        if let Some(name) = name {
            trunk.name = name.0;
        }
        trunk.transfers = transfers.unwrap_or(trunk.transfers);
        trunk.transfer_caller_id = transfer_caller_id.unwrap_or(trunk.transfer_caller_id);
        if let Some(uris) = origination {
            trunk.origination = uris;
        }
        if let Some(networks) = allowed_ips {
            trunk.allowed_ips = networks;
        }
    }

    /// Refuses addresses that this installation calls nobody at: its own network is no customer's to reach.
    ///
    /// # Errors
    /// 400 that names the field.
    pub fn check_reach(&self, app: &App) -> Result<(), ApiError> {
        for one in self.origination.iter().flatten() {
            let host = one.sip_uri.host();
            let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
            if let Err(why) = app.guard.check(&format!("https://{host}/")) {
                return Err(ApiError::refused_field("origination", format!("{}: {why}", one.sip_uri.as_str())));
            }
        }
        Ok(())
    }
}

/// Where calls go.
#[derive(Debug, ToSchema)]
#[schema(as = SipTrunkOrigination)]
struct OriginationInput {
    #[schema(value_type = Vec<UriInput>, max_items = 20)]
    uris: Vec<OriginationUri>,
}

impl Input for OriginationInput {
    const CASING: Casing = Casing::Either;

    fn read(fields: &mut Fields) -> Option<Self> {
        if !fields.has("uris") {
            fields.complain("uris", Problem { rule: "missing", message: "is required".to_owned() });
        }
        let uris = each::<UriInput>(fields, "uris", "origination.uris")?;
        Some(Self { uris: uris.into_iter().map(UriInput::into_uri).collect() })
    }
}

/// One address, spelled as the reference service does.
#[derive(Debug, ToSchema)]
#[schema(as = SipTrunkUri)]
struct UriInput {
    #[schema(value_type = String, max_length = 255, example = "sip:pbx.example.com;transport=tls")]
    sip_uri: SipAddress,
    name: Option<Name<1, 100>>,
    /// The lowest is tried first.
    #[schema(value_type = Option<Number<0, 65_535>>, default = 10)]
    priority: Number<0, 65_535>,
    /// The share of the calls among those of the same priority.
    #[schema(value_type = Option<Number<1, 65_535>>, default = 10)]
    weight: Number<1, 65_535>,
}

impl Input for UriInput {
    const CASING: Casing = Casing::Snake;

    fn read(fields: &mut Fields) -> Option<Self> {
        let (sip_uri, name) = (fields.required("sip_uri"), fields.optional("name"));
        let priority = fields.or("priority", Number(USUAL_PRIORITY.into()));
        let weight = fields.or("weight", Number(USUAL_WEIGHT.into()));
        Some(Self { sip_uri: sip_uri?, name, priority, weight })
    }
}

impl UriInput {
    fn into_uri(self) -> OriginationUri {
        let within = |number: i64| u16::try_from(number).unwrap_or(u16::MAX);
        OriginationUri {
            sip_uri: self.sip_uri,
            name: self.name.map(|name| name.0),
            priority: within(self.priority.0),
            weight: within(self.weight.0),
        }
    }
}

/// One network.
#[derive(Debug, ToSchema)]
#[schema(as = SipTrunkNetwork)]
struct AllowedIpInput {
    /// An address, or a network of at most 4096 of them (IPv6: /48).
    #[schema(value_type = String, example = "192.0.2.0/28")]
    cidr: IpNet,
    name: Option<Name<1, 100>>,
}

impl Input for AllowedIpInput {
    const CASING: Casing = Casing::Either;

    fn read(fields: &mut Fields) -> Option<Self> {
        let (cidr, name) = (fields.required("cidr"), fields.optional("name"));
        Some(Self { cidr: cidr?, name })
    }
}

/// Reads a list of objects, every bad field of every one named `{wire}.{n}.{field}`.
fn each<T: Input>(fields: &mut Fields, name: &str, wire: &str) -> Option<Vec<T>> {
    let items = fields.optional::<Vec<Value>>(name)?;
    if items.len() > MAX_ADDRESSES {
        fields.complain(name, Problem::value(format!("must have at most {MAX_ADDRESSES} items")));
        return None;
    }
    let mut read = Vec::with_capacity(items.len());
    for (n, item) in items.into_iter().enumerate() {
        match item {
            Value::Object(object) => read.extend(fields.nested::<T>(&format!("{wire}.{n}"), object)),
            _ => fields.complain(&format!("{name}.{n}"), Problem::wrong_type("an object")),
        }
    }
    Some(read)
}

impl FromField for SipAddress {
    fn from_field(value: &Value) -> Result<Self, Problem> {
        let text = value.as_str().ok_or_else(|| Problem::wrong_type("a string"))?;
        Self::parse(text).map_err(|error| Problem::value(error.to_string()))
    }
}

/// An address or a network. A whole internet is no telephone system: who lets it in lets everybody call on his account.
impl FromField for IpNet {
    fn from_field(value: &Value) -> Result<Self, Problem> {
        let text = value.as_str().ok_or_else(|| Problem::wrong_type("a string"))?;
        let parsed = text.parse::<Self>().or_else(|_| text.parse::<IpAddr>().map(Self::from));
        let net = parsed.map_err(|_| Problem::value("must be an address or a network such as 192.0.2.0/28"))?;
        let least = if net.addr().is_ipv4() { 20 } else { 48 };
        if net.prefix_len() < least {
            return Err(Problem::value(format!("must be no wider than /{least}")));
        }
        Ok(net.trunc())
    }
}

impl FromField for Transfers {
    fn from_field(value: &Value) -> Result<Self, Problem> {
        one_of(value, Self::TEXTS, Self::parse)
    }
}

impl FromField for TransferCallerId {
    fn from_field(value: &Value) -> Result<Self, Problem> {
        one_of(value, Self::TEXTS, Self::parse)
    }
}

/// What stands for the choices in the OpenAPI document.
struct TransfersSchema;

impl PartialSchema for TransfersSchema {
    fn schema() -> RefOr<Schema> {
        schema_of_words(Transfers::TEXTS)
    }
}

impl ToSchema for TransfersSchema {
    fn name() -> std::borrow::Cow<'static, str> {
        "SipTrunkTransfers".into()
    }
}

/// Likewise.
struct CallerIdSchema;

impl PartialSchema for CallerIdSchema {
    fn schema() -> RefOr<Schema> {
        schema_of_words(TransferCallerId::TEXTS)
    }
}

impl ToSchema for CallerIdSchema {
    fn name() -> std::borrow::Cow<'static, str> {
        "SipTrunkTransferCallerId".into()
    }
}
